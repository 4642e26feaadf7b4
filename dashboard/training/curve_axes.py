"""Along what training runs can be drawn, and what they logged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboard.training.data import ShownRun

Floats = NDArray[np.float64]

LOSS = "loss"


@dataclass(frozen=True)
class Axis:
    """What runs from left to right."""

    column: str
    label: str
    title: str
    format: str
    unit: float = 1.0
    """In that of the column."""
    whole: bool = False
    """Whether there is nothing between 1 and 2."""


AXES = {
    axis.label: axis
    for axis in (
        Axis("step", "Steps", "Steps", ",~r", whole=True),
        Axis("epoch", "Epochs", "Epochs", "~r"),
        Axis("tokens", "Tokens", "Tokens trained on", "~s", whole=True),
        Axis("elapsed_s", "Hours", "Hours of training", "~r", 3600.0),
    )
}


def known_axes(runs: Sequence[ShownRun]) -> list[str]:
    """Labels of the axes along which at least one run can be drawn."""
    return [axis.label for axis in AXES.values() if any(has_axis(run, axis) for run in runs)]


def has_axis(run: ShownRun, axis: Axis) -> bool:
    """Whether the run logged it."""
    return axis.column == "step" or any(_any_finite(log[axis.column]) for log in (run.log.train, run.log.held_out))


def along(run: ShownRun, axis: Axis) -> tuple[Floats, Floats]:
    """Where the training steps and the evaluations lie on the axis. An evaluation that does not say it, lies where
    training was at its step; NaN where nothing tells."""
    train, held_out = run.log.train, run.log.held_out
    at_train, at_held_out = (table[axis.column].to_numpy(np.float64) for table in (train, held_out))
    if axis.unit != 1:
        at_train, at_held_out = at_train / axis.unit, at_held_out / axis.unit
    known, missing = np.isfinite(at_train), ~np.isfinite(at_held_out)
    if missing.any() and known.any():
        steps = np.concatenate([[0], train["step"].to_numpy(np.float64)[known]])
        places = np.concatenate([[0.0], at_train[known]])
        at_held_out = np.where(missing, np.interp(held_out["step"].to_numpy(np.float64), steps, places), at_held_out)
    return at_train, at_held_out


def is_empty(run: ShownRun) -> bool:
    """Whether there is nothing of it to draw: no finite loss of a step or an evaluation, and no loss that diverged."""
    logged = any(_any_finite(log[LOSS]) for log in (run.log.train, run.log.held_out))
    return not logged and not len(run.log.diverged_steps)


def has_metric(run: ShownRun, metric: str) -> bool:
    """Whether it was logged at any training step."""
    return _any_finite(run.log.train[metric])


def _any_finite(column: pd.Series) -> bool:
    values = column.to_numpy(np.float64)
    return bool(np.isfinite(values[:100]).any() or np.isfinite(values[100:]).any())


def log_key(run: ShownRun) -> str:
    """Changes with the log: the key of what is computed from it. One text is looked up faster than its parts."""
    return f"{run.summary.folder} {run.log.version}"
