"""What a training log says in short."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.runs.curves import Floats, smoothed, starting_weight, window
from evaluation.runs.log_entries import Entries, LogEntries


@dataclass(frozen=True)
class LogFigures:
    """Unknown is ``None``. ``evaluation.runs.listing.RunSummary`` defines what has the same name there."""

    steps_done: int | None
    final_loss: float | None
    best_loss: float | None
    held_out_loss: float | None
    held_out_before: float | None
    elapsed_s: float | None
    """Seconds of training at the last line."""
    tok_s: float | None


def log_figures(log: LogEntries) -> LogFigures:
    """Of one log."""
    train, held_out = log.train, log.held_out
    final_loss, best_loss = _losses(train)
    evaluated = held_out.metric("loss")
    speeds = train.metric("tok_s")
    speeds = speeds[np.isfinite(speeds)]
    return LogFigures(
        steps_done=max((int(each.steps[-1]) for each in (train, held_out) if len(each.steps)), default=None),
        final_loss=final_loss,
        best_loss=best_loss,
        held_out_loss=_last_finite(evaluated[-1:]),
        held_out_before=_last_finite(evaluated[before_training(held_out.steps)][-1:]),
        elapsed_s=max(
            (s for each in (train, held_out) if (s := _last_finite(each.metric("elapsed_s"))) is not None), default=None
        ),
        tok_s=float(np.median(speeds)) if len(speeds) else None,
    )


def before_training(steps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which evaluations measured the model as it was before its first optimizer step."""
    return steps <= 0


def _losses(train: Entries) -> tuple[float | None, float | None]:
    """The smoothed line's last and lowest value. It goes on over steps that diverged, so where the last one did, its
    last value is of before."""
    finite = np.isfinite(train.metric("loss"))
    if not finite.any():
        return None, None
    weight = starting_weight(len(finite))
    line = smoothed(train.metric("loss"), weight)
    # At first the line is a single step or two, whose luck would make them the best.
    settled = min(int(np.ceil(window(weight))) - 1, len(line) - 1)
    known = np.where(np.isnan(line), np.inf, line)
    diverged = bool(train.has_loss[-1]) and not finite[-1]
    return None if diverged else float(line[-1]), float(known[settled:].min())


def _last_finite(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else None
