"""Checkpoints of an unfinished run, in its folder: what training needs to go on after a stop."""

import os
from pathlib import Path

from training.runlog import Run

FOLDER = "checkpoints"
_COMPLETE = "complete"


def why_not_resumed(run: Run) -> str | None:
    """Why nothing can go on with a run, as a sentence; ``None`` when it can be tried."""
    if run.status == "running":
        return f"{run.id} is still being trained. Wait for it, or stop it first."
    if run.origin != "trained":
        return f"{run.id} was imported: it cannot be resumed here."
    if run.status == "finished":
        return f"{run.id} is finished; there is nothing to resume. Start a new run from its recipe."
    return None


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
