"""Models that another machine runs: servers that speak OpenAI's chat protocol (vLLM, llama-server, a hosted one)."""

import hashlib
from dataclasses import dataclass
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
    """For example ``http://127.0.0.1:8000/v1``; without credentials."""
    model: str
    """As the server calls it."""
    key_variable: str | None = None
    """Name of the environment variable that holds the key; the key itself is never stored. ``None``: no key."""

    @property
    def address(self) -> str:
        """Of the machine, for people: ``127.0.0.1:8000``."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    def url(self, route: str) -> str:
        """Where a route of the protocol lies, for example ``models``. The routes lie under ``/v1`` unless the address
        names a path of its own."""
        base = self.base_url.rstrip("/")
        return f"{base}/{route}" if urlsplit(base).path else f"{base}/v1/{route}"


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
        identity = f"{self.endpoint.base_url.rstrip('/')} {self.endpoint.model}"
        return f"endpoint-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"

    @property
    def host(self) -> Host:
        """The host of its answers: figures of different servers are never mixed."""
        key = hashlib.sha256(f"endpoint {self.endpoint.base_url.rstrip('/')}".encode()).hexdigest()[:12]
        return Host(key, self.endpoint.address, None, None, "unknown", "OpenAI-compatible server")

    @property
    def ref(self) -> ModelRef:
        """The identity that goes into records."""
        return ModelRef(self.key, self.name, None, self.quantization, None)


def is_served(model: ModelRef) -> bool:
    """Whether the records of a model are those of an endpoint."""
    return model.base_sha256 is None and model.quantization == QUANTIZATION
