"""The entries of one training log, each step once, and how new lines are added to them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.runs.log_faults import about_steps, entries_among
from evaluation.runs.log_lines import METRICS, Lines

Version = tuple[int, int]
"""Size and time of change of a log file: another one means that it must be read again. ``(0, 0)``: no file."""
UNREADABLE: Version = (-1, 0)
"""Of a log that could not be read: none of its file, which may become readable without being changed."""


@dataclass(frozen=True, eq=False)
class Entries:
    """Those of one kind, by ascending step."""

    steps: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    metrics: NDArray[np.float64] = field(default_factory=lambda: np.empty((len(METRICS), 0)))
    """Shape (len(METRICS), entries); NaN where unknown."""
    has_loss: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def metric(self, name: str) -> NDArray[np.float64]:
        """One of ``METRICS``, shape (entries,)."""
        values: NDArray[np.float64] = self.metrics[METRICS.index(name)]
        return values

    def diverged_steps(self) -> NDArray[np.int64]:
        """Those whose loss is NaN or infinite, not just unknown."""
        return self.steps[self.has_loss & ~np.isfinite(self.metric("loss"))]

    def followed_by(self, later: "Entries") -> "Entries":
        """Both."""
        if not len(later.steps):
            return self
        return Entries(
            np.concatenate((self.steps, later.steps)),
            np.concatenate((self.metrics, later.metrics), axis=1),
            np.concatenate((self.has_loss, later.has_loss)),
        )

    @property
    def size_bytes(self) -> int:
        return self.steps.nbytes + self.metrics.nbytes + self.has_loss.nbytes


@dataclass(frozen=True, eq=False)
class LogEntries:
    """What a log holds."""

    version: Version = (0, 0)
    train: Entries = field(default_factory=Entries)
    held_out: Entries = field(default_factory=Entries)
    problems: tuple[str, ...] = ()


def from_lines(lines: Lines, file: Iterable[bytes], version: Version) -> LogEntries:
    """What is in a log. ``file`` gives its lines as they are, and is read only where something is off."""
    is_entry, problems = entries_among(lines, file)
    train = _of(lines, is_entry & ~lines.is_eval)
    if sentence := about_steps(train.steps):
        problems.append(sentence)
    held_out = _of(lines, is_entry & lines.is_eval)
    return LogEntries(version, _each_once(train), _each_once(held_out), tuple(problems))


def extended(known: LogEntries, lines: Lines, version: Version) -> LogEntries | None:
    """With lines that were added; ``None`` when they are not simply the next steps."""
    if known.problems or len(lines.line) < lines.count or not lines.has_loss.all():
        return None
    train, held_out = _of(lines, ~lines.is_eval), _of(lines, lines.is_eval)
    for before, later in ((known.train, train), (known.held_out, held_out)):
        if not _ascending(np.concatenate((before.steps[-1:], later.steps))):
            return None
    return LogEntries(version, known.train.followed_by(train), known.held_out.followed_by(held_out))


def _of(lines: Lines, chosen: NDArray[np.bool_]) -> Entries:
    return Entries(lines.step[chosen], lines.metrics[:, chosen], lines.has_loss[chosen])


def _each_once(entries: Entries) -> Entries:
    """By ascending step; of a step that occurs again, the last entry."""
    if _ascending(entries.steps):
        return entries
    _, places = np.unique(entries.steps[::-1], return_index=True)
    last = len(entries.steps) - 1 - places
    return Entries(entries.steps[last], entries.metrics[:, last], entries.has_loss[last])


def _ascending(steps: NDArray[np.int64]) -> bool:
    return bool((np.diff(steps) > 0).all())
