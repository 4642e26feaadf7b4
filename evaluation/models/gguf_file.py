"""What one GGUF file is: a chat model, a LoRA adapter, or unusable for a reason.

This module runs in a process of its own, because a damaged file can keep a parser busy for minutes, make it ask for
absurd amounts of memory, or end it by a signal. ``evaluation.models.files`` starts it:

    python -m evaluation.models.gguf_file PATH...      # one JSON line per file, in order
"""

import contextlib
import hashlib
import json
import re
import resource
import signal
import sys
from pathlib import Path

from gguf import LlamaFileType
from jinja2 import TemplateError

from evaluation.chat_template import compile_template
from evaluation.models.files import DOWNLOAD_AGAIN, AdapterFacts, FileFacts, ModelFacts, Unusable, quoted, to_json
from evaluation.models.gguf_header import HeaderReader, Problem

PARSE_LIMIT_S = 10
"""A vocabulary of 128k takes less than 0.1 s."""
SLOWEST_DISK_BYTES_PER_S = 20_000_000
MEMORY_LIMIT_BYTES = 2**30
"""Address space beside the mapped file."""


def inspect(path: Path) -> FileFacts:
    """What the file holds. Every failure becomes a sentence; what hangs is ended by SIGALRM."""
    try:
        _limit_memory(path.stat().st_size + MEMORY_LIMIT_BYTES)
        signal.alarm(PARSE_LIMIT_S)
        _check_version(path)
        reader = HeaderReader(path)
        _check_is_one_file(reader, path)
        return _adapter(reader, path) if reader.text("general.type") == "adapter" else _model(reader, path)
    except Problem as problem:
        return Unusable(str(problem))
    except OSError as error:
        return Unusable(f"The file cannot be read ({error.strerror}): check the disk, or {DOWNLOAD_AGAIN}.")
    except Exception as error:  # whatever a damaged file leads the library to
        return Unusable(f"The metadata of the file is damaged ({type(error).__name__}): {DOWNLOAD_AGAIN}.")
    finally:
        signal.alarm(0)


def _limit_memory(limit_bytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    with contextlib.suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _check_version(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    if len(start) < 8:
        raise Problem(f"The file is incomplete (only {len(start)} bytes): {DOWNLOAD_AGAIN}.")
    version = int.from_bytes(start[4:], "little")
    if version & 0xFFFF == 0:
        raise Problem("It was written for big-endian machines: convert the model again for this machine.")
    if version == 1:
        raise Problem("It is in GGUF version 1, which is no longer read: convert the model again with llama.cpp.")
    if version not in (2, 3):
        raise Problem(f"It is in GGUF version {version}, which is not known: update this app, or {DOWNLOAD_AGAIN}.")


def _check_is_one_file(reader: HeaderReader, path: Path) -> None:
    if sum(reader.numbers("split.count")) > 1 or re.search(r"-\d{5}-of-\d{5}$", path.stem):
        raise Problem("It is one part of a split model: join the parts with `llama-gguf-split --merge` first.")


def _model(reader: HeaderReader, path: Path) -> ModelFacts:
    architecture = _architecture(reader)
    _check_purpose(reader, architecture)
    template = reader.text("tokenizer.chat_template")
    if not template or template.isspace():
        raise Problem("It has no chat template, as base models do: take the instruct version of the model.")
    _check_template(template)
    by_type = reader.elements_by_type
    return ModelFacts(
        name=reader.text("general.name"),
        architecture=architecture,
        file_type=_file_type(reader),
        tensor_type=max(by_type, key=by_type.__getitem__),
        parameters=sum(by_type.values()),
        size_bytes=path.stat().st_size,
        context_length=reader.size(f"{architecture}.context_length"),
        license=reader.text("general.license"),
        chat_template=template,
        kv_bytes_per_token=reader.kv_bytes_per_token(architecture),
        shapes={name: shape[:2] for name, shape in reader.shapes.items()},
        sha256=_sha256(path),
    )


def _adapter(reader: HeaderReader, path: Path) -> AdapterFacts:
    kind = reader.text("adapter.type")
    if kind != "lora":
        stated = quoted(kind or "unknown")
        raise Problem(f"It is an adapter of the kind {stated}: only LoRA adapters can be used, so export it as one.")
    pairs = {name.removesuffix(".lora_a") for name in reader.shapes if name.endswith(".lora_a")}
    halves = {f"{name}{suffix}" for name in pairs for suffix in (".lora_a", ".lora_b")}
    if not pairs or halves != {name for name in reader.shapes if not name.endswith("_norm.weight")}:
        raise Problem("The adapter's tensors are not pairs of lora_a and lora_b: export it again.")
    return AdapterFacts(
        name=reader.text("general.name"),
        architecture=_architecture(reader),
        size_bytes=path.stat().st_size,
        base_name=reader.text("general.base_model.0.name"),
        shapes={name: _changed_shape(name, reader) for name in sorted(pairs)},
        sha256=_sha256(path),
    )


def _changed_shape(name: str, reader: HeaderReader) -> list[int]:
    """First two dimensions of the tensor that a pair changes; for the embedding llama.cpp wants the pair flipped."""
    lora_a, lora_b = reader.shapes[f"{name}.lora_a"], reader.shapes[f"{name}.lora_b"]
    if name.endswith("token_embd.weight"):
        return [lora_b[1], lora_a[1]]
    if lora_a[1] != lora_b[0]:
        raise Problem(f"The ranks of the adapter's pair for {quoted(name)} differ: export it again.")
    return [lora_a[0], lora_b[1]]


def _architecture(reader: HeaderReader) -> str:
    architecture = reader.text("general.architecture")
    if not architecture:
        raise Problem("It does not say which architecture it has: convert the model again with llama.cpp.")
    return architecture


def _check_purpose(reader: HeaderReader, architecture: str) -> None:
    if architecture == "clip" or reader.text("general.type") == "mmproj":
        raise Problem("It is the image part (mmproj) of a model, not a chat model: put the model itself here.")
    if not reader.elements_by_type:
        raise Problem("It has a vocabulary but no weights: download the model itself.")
    pooling = reader.numbers(f"{architecture}.pooling_type")
    if "bert" in architecture or "embedding" in architecture or any(kind > 0 for kind in pooling):
        raise Problem("It is an embedding model, which cannot answer: put a chat model here.")


def _check_template(template: str) -> None:
    try:
        compile_template(template)
    except TemplateError as error:
        message = " ".join(str(error).split())[:100].rstrip(".")
        reason = f"Its chat template is not valid Jinja ({message}): take a newer conversion of the model."
        raise Problem(reason) from error


def _file_type(reader: HeaderReader) -> str | None:
    stated = reader.numbers("general.file_type")
    for kind in LlamaFileType:
        if stated == [kind] and kind != LlamaFileType.GUESSED:
            return kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")
    return None


def _sha256(path: Path) -> str:
    signal.alarm(PARSE_LIMIT_S + path.stat().st_size // SLOWEST_DISK_BYTES_PER_S)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(paths: list[str]) -> None:
    """Print what each file holds."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, also within a library
    for path in paths:
        print(json.dumps(to_json(inspect(Path(path)))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
