"""Where a downloaded file came from, kept beside it as ``<file>.origin.json``."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from training.runlog import write_whole


@dataclass(frozen=True)
class Origin:
    """Of a file from the hub."""

    repo_id: str
    file: str
    commit: str
    sha256: str | None
    """Of the file on the hub; that of an adapter in PEFT's form is not the one of the GGUF file made from it."""
    license: str | None
    downloaded_at: float
    """UTC s since 1970."""
    base_model: str | None = None


_ORIGIN = TypeAdapter(Origin)


def origin_file(path: Path) -> Path:
    """Where the origin of a model's or adapter's file is kept."""
    return path.with_name(f"{path.name}.origin.json")


def read_origin(path: Path) -> Origin | None:
    """Of a model's or adapter's file; ``None`` when nothing readable is kept about it."""
    with suppress(OSError, ValidationError):
        return _ORIGIN.validate_json(origin_file(path).read_bytes())
    return None


def write_origin(path: Path, origin: Origin) -> None:
    """Keep it. Raises ``OSError``."""
    write_whole(origin_file(path), _ORIGIN.dump_json(origin, indent=2) + b"\n")
