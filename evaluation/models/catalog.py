"""The chat models of an installation, as the rest of the program knows them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from evaluation.endpoints import EndpointModel
from evaluation.records import ModelRef


@dataclass(frozen=True)
class GgufInfo:
    """What a GGUF file of a chat model says about itself."""

    path: Path
    sha256: str
    name: str
    """Human name, for example ``SmolLM2 135M Instruct``."""
    architecture: str
    quantization: str
    """For example ``Q4_K_M``."""
    parameters: int
    size_bytes: int
    context_length: int
    """Tokens the model was trained for."""
    license: str | None
    chat_template: str
    kv_bytes_per_token: int
    """Memory of one token in an F16 KV cache, bytes."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter, of a training run or from elsewhere."""

    path: Path
    sha256: str
    run: str | None
    """Id of the run, which is its folder's name; ``None`` for one that was put into the folder of models."""
    size_bytes: int
    finished_at: float | None = None
    """When the training was finished, UTC s since 1970; ``None`` when that is unknown or it was not."""


@dataclass(frozen=True)
class ChatModel:
    """A base model, alone or with one adapter on it."""

    key: str
    name: str
    base: GgufInfo
    adapter: Adapter | None = None
    adapter_scale: float = 1.0

    @property
    def quantization(self) -> str:
        return self.base.quantization

    @property
    def size_bytes(self) -> int:
        """Of the files it is made of: base and adapter."""
        return self.base.size_bytes + (self.adapter.size_bytes if self.adapter else 0)

    @property
    def ref(self) -> ModelRef:
        """The identity that goes into records."""
        return ModelRef(
            key=self.key,
            name=self.name,
            base_sha256=self.base.sha256,
            quantization=self.base.quantization,
            template_sha256=hashlib.sha256(self.base.chat_template.encode()).hexdigest(),
            adapter_run=self.adapter.run if self.adapter else None,
            adapter_sha256=self.adapter.sha256 if self.adapter else None,
            adapter_scale=self.adapter_scale if self.adapter else None,
            size_bytes=self.size_bytes,
        )


@dataclass(frozen=True)
class UnusableFile:
    """A file that cannot answer, with the reason as one sentence."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Catalog:
    """Everything found."""

    models: tuple[ChatModel, ...]
    """Those whose files are here."""
    unusable: tuple[UnusableFile, ...]
    endpoints: tuple[EndpointModel, ...] = ()
    """Those that a server answers for."""

    @property
    def everyone(self) -> "tuple[Model, ...]":
        """All that can answer, the local ones first."""
        return (*self.models, *self.endpoints)


Model = ChatModel | EndpointModel
"""Whatever can answer: it has ``key``, ``name``, ``quantization``, ``size_bytes``, ``adapter`` and ``ref``."""


def key_part(sha256: str) -> str:
    """What stands of a file's hash in the keys of models: ``<base>`` and ``<base>+<adapter>``."""
    return sha256[:12]
