"""What is wrong with a training log, in sentences: foreign lines, and steps that go back."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from evaluation.runs.log_lines import Lines
from training.runlog import LOG_FILE, entry_in, left_out

MOST_LOOKED_AT = 1_000
"""So many doubtful lines are looked at one by one; of the others it is enough whether they are entries."""
MOST_NAMED = 3


def entries_among(lines: Lines, file: Iterable[bytes]) -> tuple[NDArray[np.bool_], list[str]]:
    """Which of the lines are entries indeed, and what there is to say about the others.

    ``file`` gives the lines themselves, blank ones too. ``lines`` cannot tell a loss that is missing, which is
    allowed, from one that is no number: such lines are checked as ``training.runlog`` does, others are not.
    """
    is_entry = np.ones(len(lines.line), np.bool_)
    if not lines.count:
        return is_entry, [f"{LOG_FILE} is empty: no step was logged yet."]
    if not len(is_entry):
        return is_entry, [
            f"{LOG_FILE} is a log of another format: none of its lines is an entry. Import it on the Training page, "
            "which knows the formats of several programs."
        ]
    named: list[str] = []
    for place, number, line in _doubtful(lines, file):
        if place is not None and entry_in(line):
            continue
        if place is not None:
            is_entry[place] = False
        if len(named) < MOST_NAMED:
            named.append(left_out(number, line))
    if further := lines.count - int(is_entry.sum()) - len(named):
        named.append(f"{further:,} further line{'' if further == 1 else 's'} of {LOG_FILE} had to be left out, too.")
    return is_entry, named


def about_steps(steps: NDArray[np.int64]) -> str | None:
    """What the order of the training steps tells, as a sentence; ``None`` when they only go forward."""
    back = np.flatnonzero(np.diff(steps) <= 0)
    if not len(back):
        return None
    if _interleaved(steps, back):
        return (
            f"Two processes seem to have written {LOG_FILE} at the same time: its steps go back {_times(len(back))}. "
            "The last entry of each step counts, so the curves mix two trainings."
        )
    before, after = int(steps[back[0]]), int(steps[back[0] + 1])
    if len(back) == 1 and before == after:
        return f"Step {before} was logged twice: the last entry counts."
    return (
        f"The steps go back {_times(len(back))}{',' if len(back) == 1 else ', at first'} from {before} to {after}, as "
        "after a resume: the last entry of each step counts."
    )


def _interleaved(steps: NDArray[np.int64], back: NDArray[np.int64]) -> bool:
    """After a resume the steps go on from where they went back to. With a second writer they leap forward again, to
    the first one's next step; or, when both are equally far, they go back at every other line."""
    highest = np.maximum.accumulate(steps)
    forward = np.diff(steps)
    stride = np.median(forward[forward > 0]) if (forward > 0).any() else 1
    behind = steps[:-1] < highest[:-1]
    leaps = behind & (steps[1:] > highest[:-1]) & (highest[:-1] - steps[:-1] > stride)
    return bool(leaps.sum() >= 2 or (len(back) >= 3 and len(steps) < 3 * len(back)))


def _doubtful(lines: Lines, file: Iterable[bytes]) -> Iterator[tuple[int | None, int, bytes]]:
    """The first lines that are no entries, or have no loss: place among the entries, if it has one, number from 1,
    content."""
    is_other = np.ones(lines.count, np.bool_)
    is_other[lines.line] = False
    wanted: dict[int, int | None] = dict.fromkeys(np.flatnonzero(is_other)[:MOST_LOOKED_AT].tolist())
    for place in np.flatnonzero(~lines.has_loss)[:MOST_LOOKED_AT].tolist():
        wanted[int(lines.line[place])] = place
    index = -1
    for number, line in enumerate(file, start=1):
        if not wanted:
            return
        if not line.isspace():
            index += 1
            if index in wanted:
                yield wanted.pop(index), number, line


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")
