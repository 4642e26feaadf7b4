"""Models that another machine runs: servers that speak OpenAI's chat protocol (vLLM, llama-server, a hosted one)."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from evaluation.records import Host, ModelRef

QUANTIZATION = "endpoint"
"""Stands for what a server does not tell."""


@dataclass(frozen=True)
class Endpoint:
    """How a served model is reached, as it stands in the file of endpoints."""

    name: str
    """As people call it."""
    base_url: str
    """For example ``http://127.0.0.1:8000/v1``; without credentials, and in the one form that ``file.checked`` gives
    it."""
    model: str
    """As the server calls it."""
    key_variable: str | None = None
    """Name of the environment variable that holds the key; the key itself is never stored. ``None``: no key."""

    @property
    def address(self) -> str:
        """Of the machine, for people: ``127.0.0.1:8000``."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    def url(self, route: str) -> str:
        """Where a route of the protocol lies, for example ``models``."""
        return f"{self.base_url}/{route}"


@dataclass(frozen=True)
class EndpointModel:
    """A served model, to be used like one whose file is here."""

    endpoint: Endpoint
    name: str
    """Unlike that of any other model."""
    adapter: None = None
    size_bytes: None = None
    quantization: str = QUANTIZATION

    @property
    def key(self) -> str:
        """Of address and model, so that another name or key changes nothing."""
        identity = f"{self.endpoint.base_url} {self.endpoint.model}"
        return f"endpoint-{_key(identity)}"

    @property
    def host(self) -> Host:
        """The host of its answers: figures of different servers are never mixed."""
        key = _key(f"endpoint {self.endpoint.base_url}")
        return Host(key, self.endpoint.address, None, None, "unknown", "OpenAI-compatible server")

    @property
    def ref(self) -> ModelRef:
        """The identity that goes into records."""
        return ModelRef(self.key, self.name, None, self.quantization, None)


@lru_cache(maxsize=256)
def _key(identity: str) -> str:
    """Slow on purpose: strangers see the keys, and must not find an address by trying."""
    return hashlib.scrypt(identity.encode(), salt=b"endpoint", n=2**14, r=8, p=1, dklen=6).hex()


def is_served(model: ModelRef) -> bool:
    """Whether the records of a model are those of an endpoint."""
    return model.base_sha256 is None and model.quantization == QUANTIZATION
