"""What GGUF files say about themselves, read in a process of its own and remembered.

A file that was read once is not read again until its size or modification time changes. Nothing in a file can stop
the caller: a reader process that dies or hangs at a file makes that file unusable, and the rest is read by a new one.
"""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.models.names import printable
from evaluation.settings import PROJECT_ROOT

DOWNLOAD_AGAIN = "download or copy it again"
CACHE_FILE = "model-files-1.json"
# Signals by which a file ends its reader: too slow, shrunk while mapped, a fault in a library. Others come from outside
# (somebody kills the process, the machine is out of memory) and say nothing about the file.
_FILE_IS_TO_BLAME = {signal.SIGALRM, signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT}


@dataclass(frozen=True)
class ModelFacts:
    """A usable chat model."""

    sha256: str
    name: str | None
    """``general.name``, as it stands in the file."""
    architecture: str
    file_type: str | None
    """Quantization that the file states, for example ``Q4_K_M``."""
    tensor_type: str
    """The type in which most of its weights are stored."""
    parameters: int
    size_bytes: int
    context_length: int
    license: str | None
    chat_template: str
    kv_bytes_per_token: int
    shapes: dict[str, list[int]]
    """First two dimensions of each tensor, fastest first."""


@dataclass(frozen=True)
class AdapterFacts:
    """A LoRA adapter."""

    sha256: str
    name: str | None
    """``general.name``, as it stands in the file."""
    architecture: str
    size_bytes: int
    base_name: str | None
    """Name of the model it was trained on."""
    shapes: dict[str, list[int]]
    """First two dimensions that the base's tensors must have."""

    def fits(self, base: ModelFacts) -> bool:
        """Whether ``base`` has every tensor that the adapter changes, in the shape that it expects."""
        same_shapes = all(base.shapes.get(name) == shape for name, shape in self.shapes.items())
        return self.architecture == base.architecture and same_shapes


@dataclass(frozen=True)
class Unusable:
    """Why a file is neither, as one sentence with the remedy."""

    reason: str


FileFacts = ModelFacts | AdapterFacts | Unusable
_KINDS: dict[str, type[ModelFacts] | type[AdapterFacts] | type[Unusable]] = {
    "model": ModelFacts,
    "adapter": AdapterFacts,
    "unusable": Unusable,
}


def quoted(text: str) -> str:
    """Text from a file, made fit for a sentence."""
    return printable(text[:60])


def to_json(facts: FileFacts) -> dict[str, Any]:
    """The form that reader process and cache share."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(facts, cls))
    return {"kind": kind, **asdict(facts)}


def from_json(data: dict[str, Any]) -> FileFacts:
    """Inverse of ``to_json``. Raises ``KeyError`` or ``TypeError`` for anything else."""
    fields = dict(data)
    return _KINDS[fields.pop("kind")](**fields)


def read_files(paths: Sequence[Path], cache_dir: Path) -> dict[Path, FileFacts]:
    """What each of ``paths`` (absolute) holds. Never raises because of a file or of the cache."""
    cache_file = cache_dir / CACHE_FILE
    cache = _load(cache_file)
    facts: dict[Path, FileFacts] = {}
    unread: dict[Path, list[int]] = {}
    for path in paths:
        stamp = _stamp(path)
        if isinstance(stamp, Unusable):
            facts[path] = stamp
        elif (known := _known(cache.get(str(path)), stamp)) is not None:
            facts[path] = known
        else:
            unread[path] = stamp
    for path, found, lasting in _read_in_own_process(list(unread)):
        facts[path] = found
        if lasting:
            cache[str(path)] = {"stamp": unread[path], "facts": to_json(found)}
    if unread:
        _save(cache_file, {path: entry for path, entry in cache.items() if os.path.exists(path)})
    return facts


def remember_as(old: Path, new: Path, cache_dir: Path) -> None:
    """A file that was read as ``old`` has been moved: it need not be read again as ``new``."""
    cache_file = cache_dir / CACHE_FILE
    cache = _load(cache_file)
    if str(old) in cache:
        _save(cache_file, {**cache, str(new): cache[str(old)]})


def _stamp(path: Path) -> list[int] | Unusable:
    """Size and modification time, by which a changed file is recognized."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            return Unusable("It is not a regular file: put the model file itself here, or a link to it.")
        if info.st_size == 0:
            return Unusable(f"The file is empty (0 bytes): {DOWNLOAD_AGAIN}.")
        with path.open("rb") as file:
            start = file.read(24)
    except FileNotFoundError:
        return Unusable("The link leads nowhere: restore the file that it points to, or remove the link.")
    except PermissionError:
        return Unusable("Permission to read the file is denied: make it readable for the user who runs this app.")
    except OSError as error:
        return Unusable(f"The file cannot be read ({error.strerror}): check the disk, or {DOWNLOAD_AGAIN}.")
    if start.startswith(b"version https://git-lfs"):
        return Unusable("It is only a Git LFS pointer to the model: run `git lfs pull` where it was cloned.")
    if not start.startswith(b"GGUF"):
        return Unusable("It is not a GGUF file: download the model in GGUF format, or convert it with llama.cpp.")
    return [info.st_size, info.st_mtime_ns]


def _read_in_own_process(paths: list[Path]) -> Iterator[tuple[Path, FileFacts, bool]]:
    """Each path with its facts, and whether they are worth remembering."""
    while paths:
        answers, ended_by = _run_reader(paths)
        for path, line in zip(paths, answers, strict=False):
            yield path, from_json(json.loads(line)), True
        paths = paths[len(answers) :]
        if paths and ended_by is None:
            reason = "It could not be inspected, as the reader of files does not start: install the requirements again."
            yield from ((path, Unusable(reason), False) for path in paths)
            return
        if paths and ended_by is not None:
            fault = "takes too long" if ended_by == signal.SIGALRM else f"crashes its reader ({ended_by.name})"
            reason = f"Reading the file {fault}: it is probably damaged, so {DOWNLOAD_AGAIN}."
            yield paths[0], Unusable(reason), ended_by in _FILE_IS_TO_BLAME
            paths = paths[1:]


def _run_reader(paths: list[Path]) -> tuple[list[bytes], signal.Signals | None]:
    """Complete lines that a reader process wrote, and the signal that ended it, if any."""
    command = [sys.executable, "-m", "evaluation.models.gguf_file", *map(str, paths)]
    # One thread: the reader computes nothing, and each thread's stack would count against its memory limit.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    try:
        reader = subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return [], None
    ended_by = signal.Signals(-reader.returncode) if reader.returncode < 0 else None
    return reader.stdout.split(b"\n")[:-1], ended_by


def _known(entry: Any, stamp: list[int]) -> FileFacts | None:
    with contextlib.suppress(KeyError, TypeError, ValueError):
        if entry["stamp"] == stamp:
            return from_json(entry["facts"])
    return None


def _load(cache_file: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        cache = json.loads(cache_file.read_bytes())
        if isinstance(cache, dict):
            return cache
    return {}


def _save(cache_file: Path, cache: dict[str, Any]) -> None:
    """Replace the cache as a whole, so that another process never sees half of it."""
    with contextlib.suppress(OSError):
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=cache_file.parent, prefix=cache_file.stem)
        try:
            with open(handle, "w") as file:
                json.dump(cache, file)
            os.replace(temporary, cache_file)
        except OSError:
            os.unlink(temporary)
