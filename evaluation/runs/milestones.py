"""Runs of different length compared where it is fair: at the same step, after as many tokens, after as long a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.runs.curves import Floats, starting_weight
from evaluation.runs.logs import RunLog

FORGOTTEN = 1e-16
"""What counts for less than this in a smoothed line is not looked at: of long logs, nearly all."""

Reached = Literal["step", "tokens", "elapsed_s"]


@dataclass(frozen=True)
class Milestone:
    """The furthest point that all of some runs reached, and their losses there, nats per token."""

    of: Reached
    at: float
    """Step, tokens or seconds of training."""
    losses: tuple[float, ...]
    """One per run: the smoothed training loss at the last logged step up to there, or the loss of the held-out rows."""
    held_out: bool = False


def milestones(logs: Sequence[RunLog]) -> list[Milestone]:
    """By step, tokens and time as far as all runs log them, and the last evaluation that all made at the same step.

    All lines are smoothed alike, as is good for the shortest run, so that no curve lags behind another by its length.
    """
    found = [each for of in ("step", "tokens", "elapsed_s") if (each := _milestone(logs, of))]
    held_out = _held_out(logs)
    return [*found, held_out] if held_out else found


def _milestone(logs: Sequence[RunLog], of: Reached) -> Milestone | None:
    trained = [_trained(log, of) for log in logs]
    if not all(len(places) for places, _ in trained):
        return None
    at = min(float(places.max()) for places, _ in trained)
    weight = starting_weight(min(len(places) for places, _ in trained))
    memory = 1 + math.ceil(math.log(FORGOTTEN) / math.log(weight)) if weight else 1
    counts = weight ** np.arange(memory - 1, -1, -1)
    found = []
    for places, losses in trained:
        reached = int(np.searchsorted(places, at, side="right"))
        if not reached:  # its first line came later than all of a shorter run
            return None
        last = losses[max(0, reached - memory) : reached]  # the end of ``curves.smoothed``, without all before it
        found.append(float((counts[-len(last) :] * last).sum() / counts[-len(last) :].sum()))
    return Milestone(of, at, tuple(found))


def _trained(log: RunLog, of: Reached) -> tuple[Floats, Floats]:
    """How far training was at each loss that is known, and that loss."""
    places, losses = (log.train[column].to_numpy(np.float64) for column in (of, "loss"))
    known = np.isfinite(places) & np.isfinite(losses)
    return (places, losses) if known.all() else (places[known], losses[known])


def _held_out(logs: Sequence[RunLog]) -> Milestone | None:
    losses = [log.held_out[np.isfinite(log.held_out["loss"])].set_index("step")["loss"] for log in logs]
    steps = set.intersection(*({int(step) for step in each.index} for each in losses)) - {0}
    if not steps:
        return None
    return Milestone("step", max(steps), tuple(float(each[max(steps)]) for each in losses), held_out=True)
