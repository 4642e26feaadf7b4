"""What is kept of a download that is not whole, so that another process can go on: a folder with part and record."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evaluation.hub.peft import WEIGHTS
from evaluation.hub.repositories import FileKind
from evaluation.hub.transfer import Wanted
from training.runlog import write_whole

RECORD, PART, PEFT_FOLDER = "download.json", "part", "adapter"


@dataclass(frozen=True)
class Unfinished:
    """What is to be downloaded, what the hub said of it, and what went wrong last."""

    file: Wanted
    kind: FileKind
    license: str | None
    base_model: str | None
    error: str | None = None

    @property
    def is_peft(self) -> bool:
        return self.kind == "peft"

    def same_content(self, other: "Unfinished") -> bool:
        """Whether a part of one is a part of the other."""
        mine, theirs = self.file, other.file
        if mine.sha256 and theirs.sha256:
            return mine.sha256 == theirs.sha256
        return mine.commit == theirs.commit


_UNFINISHED = TypeAdapter(Unfinished)


def part_file(folder: Path, is_peft: bool) -> Path:
    """Where its bytes go; an adapter in PEFT's form under the name that the converter looks for."""
    return folder / PEFT_FOLDER / WEIGHTS if is_peft else folder / PART


def part_bytes(folder: Path, is_peft: bool) -> int:
    """How many there are."""
    with suppress(OSError):
        return part_file(folder, is_peft).stat().st_size
    return 0


def read_unfinished(folder: Path) -> Unfinished | None:
    """``None`` when the folder holds nothing that can be gone on with."""
    with suppress(OSError, ValidationError):
        return _UNFINISHED.validate_json((folder / RECORD).read_bytes())
    return None


def write_unfinished(folder: Path, unfinished: Unfinished) -> None:
    """Raises ``OSError``."""
    write_whole(folder / RECORD, _UNFINISHED.dump_json(unfinished, indent=2) + b"\n")
