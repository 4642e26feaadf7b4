"""Benchmarks in words: their state and their counts."""

from typing import NamedTuple

from evaluation.benchmark.folder import Progress, Status
from evaluation.leaderboard.wording import counted


class Look(NamedTuple):
    """A state in words, with its icon and color."""

    words: str
    icon: str
    color: str


LOOKS: dict[Status, Look] = {
    "running": Look("running", ":material/play_circle:", "blue"),
    "finished": Look("finished", ":material/check_circle:", "green"),
    "cancelled": Look("cancelled", ":material/stop_circle:", "gray"),
    "interrupted": Look("interrupted", ":material/power_off:", "orange"),
    "failed": Look("failed", ":material/error:", "red"),
}

RESUMABLE: tuple[Status, ...] = ("cancelled", "interrupted", "failed")


def is_flawed(progress: Progress) -> bool:
    """Whether something that was measured should be measured once more: answers, or answer losses, which the reason
    tells of."""
    finished_but = progress.status == "finished" and progress.reason is not None
    return bool(progress.failed or progress.disturbed or finished_but)


def counts(progress: Progress) -> str:
    """How far it is and what went wrong, for example ``860 of 860 answers · 2 failed · 14 disturbed``."""
    parts = [f"{progress.done:,} of {counted(progress.total, 'answer')}"]
    parts += [f"{progress.failed:,} failed"] if progress.failed else []
    parts += [f"{progress.disturbed:,} disturbed"] if progress.disturbed else []
    return " · ".join(parts)


def meaning(progress: Progress) -> str | None:
    """What the counts mean, where there is something to explain."""
    if not progress.failed and not progress.disturbed:
        return None
    return (
        "Failed: there is no complete answer. Disturbed: other programs took cores that the model needed while it "
        "answered, so its times are too long."
    )
