"""What a tooltip says about a step of a training run."""

from collections.abc import Callable
from math import isfinite, isnan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboard.times import duration
from evaluation.charts.curve import TEXTS

Floats = NDArray[np.float64]
UNKNOWN = "–"


def step_texts(rows: pd.DataFrame, metric: str, smooth: Floats | None = None) -> dict[str, list[str]]:
    """Columns of ``TEXTS`` for rows of a log: the step, the value of ``metric`` and its smoothed line, if there is one
    here. With the loss come all other metrics."""
    texts = {"step": [f"{step:,}" for step in rows["step"].to_numpy()], "value": _said(metric, rows[metric].to_numpy())}
    if smooth is not None:
        texts["smooth"] = _said(metric, smooth)
        if metric == "loss":
            texts |= {column: _said(column, rows[column].to_numpy()) for column in TEXTS if column in SAID}
    return texts


def _said(column: str, values: Floats) -> list[str]:
    say = SAID[column]
    return [say(value) if isfinite(value) else _not_finite(column, value) for value in values.tolist()]


def _not_finite(column: str, value: float) -> str:
    if isnan(value):
        return "NaN" if column == "loss" else UNKNOWN
    return "infinite"


SAID: dict[str, Callable[[float], str]] = {
    "loss": lambda value: f"{value:.4f}",
    "learning_rate": lambda value: f"{value:.3g}",
    "grad_norm": lambda value: f"{value:.4g}",
    "tokens": lambda value: f"{value:,.0f}",
    "tok_s": lambda value: f"{value:,.0f}",
    "elapsed_s": duration,
    "mean_token_accuracy": lambda value: f"{value:.1%}",
    "entropy": lambda value: f"{value:.3f}",
}
"""How a value of a column reads."""
