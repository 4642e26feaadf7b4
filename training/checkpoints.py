"""Checkpoints of an unfinished run, in its folder: what training needs to go on after a stop."""

import os
from pathlib import Path

FOLDER = "checkpoints"
_COMPLETE = "complete"


def mark_complete(checkpoint: Path) -> None:
    """Call it when every file of a checkpoint is written: only a marked one is resumed from."""
    os.sync()  # a machine that stops now must not leave the mark without the files
    (checkpoint / _COMPLETE).touch()


def latest(run: Path) -> Path | None:
    """The last complete checkpoint of a run's folder."""
    complete = [mark.parent for mark in (run / FOLDER).glob(f"checkpoint-*/{_COMPLETE}")]
    return max(complete, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which it was made."""
    return int(checkpoint.name.rpartition("-")[2])
