"""What a GGUF file on the hub says of itself, from its first kilobytes."""

import tempfile
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import get_session, hf_hub_url
from huggingface_hub.utils import build_hf_headers

from evaluation.hub.problems import EXPECTED
from evaluation.models.gguf_header import HeaderReader, Problem

HEAD_BYTES = 256 * 2**10
"""The figures come first; the vocabulary, megabytes of it, after them."""
TIMEOUT_S = 10.0


@dataclass(frozen=True)
class HubHeader:
    """What could be read; ``other`` is a file that is no GGUF at all."""

    kind: Literal["model", "adapter", "other"]
    context_length: int | None = None
    """Tokens the model was trained for."""
    kv_bytes_per_token: int | None = None
    """Memory of one token in an F16 KV cache, bytes; given together with ``context_length``."""


def read_header(repo_id: str, commit: str, path: str) -> HubHeader | None:
    """Of a file in a repository; ``None`` when it can't be had. Never raises because of the hub or the file."""
    with suppress(*EXPECTED, OSError):
        head = _first_bytes(hf_hub_url(repo_id, path, revision=commit))
        if head is not None:
            return _understood(head)
    return None


def _first_bytes(url: str) -> bytes | None:
    headers = {**build_hf_headers(), "Range": f"bytes=0-{HEAD_BYTES - 1}", "Accept-Encoding": "identity"}
    # Large files lie on another host; httpx leaves the token out when a redirect leads there.
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as response:
        if response.status_code not in (200, 206):
            return None
        head = bytearray()
        for chunk in response.iter_bytes(HEAD_BYTES):
            head += chunk
            if len(head) >= HEAD_BYTES:  # from a server that does not know ranges comes the whole file
                break
    return bytes(head[:HEAD_BYTES])


def _understood(head: bytes) -> HubHeader:
    if not head.startswith(b"GGUF"):
        return HubHeader("other")
    with tempfile.NamedTemporaryFile() as file:  # the reader maps a file
        file.write(head)
        file.flush()
        reader = _Beginning(Path(file.name))
    if reader.text("general.type") == "adapter":
        return HubHeader("adapter")
    architecture = reader.text("general.architecture")
    # With the vocabulary begins what is cut off, and a model's own figures are all before it.
    if any(key.startswith("tokenizer.") for key in reader.fields):
        with suppress(Problem):
            context_length = reader.size(f"{architecture}.context_length")
            return HubHeader("model", context_length, reader.kv_bytes_per_token(architecture or ""))
    return HubHeader("model")


class _Beginning(HeaderReader):
    """Keeps what was read up to where the bytes end, or become strange."""

    def __init__(self, path: Path) -> None:
        self.fields = OrderedDict()
        with suppress(Exception):  # whatever a damaged file leads the library to; so few bytes can't lead it far
            super().__init__(path)
