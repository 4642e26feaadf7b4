"""How the status of a run looks and is called."""

from typing import Literal, NamedTuple

from training.runlog import Status


class Look(NamedTuple):
    """One status."""

    icon: str
    color: Literal["blue", "green", "orange", "red"]
    listed: str
    """In the list, which has no icons."""
    ended: str
    """In a sentence that begins with the run's name."""


LOOKS: dict[Status, Look] = {
    "running": Look(":material/play_circle:", "blue", "● running", "is being trained"),
    "finished": Look(":material/check_circle:", "green", "finished", "is trained"),
    "interrupted": Look(":material/stop_circle:", "orange", "interrupted", "was interrupted"),
    "failed": Look(":material/error:", "red", "failed", "failed"),
}
