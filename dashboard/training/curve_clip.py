"""Which values are drawn when outliers are clipped."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from dashboard.training.curve_axes import log_key
from dashboard.training.data import ShownRun
from evaluation.runs import curves


def clipped(runs: Sequence[ShownRun], metric: str, log_scale: bool) -> tuple[float, float] | None:
    """What is left when outliers are clipped, rounded outward: a growing log must not move it at every step."""
    ends = [ends for run in runs for ends in _without_outliers(log_key(run), metric, run)]
    if not any(clipped for clipped, _, _ in ends):
        return None
    low, high = min(low for _, low, _ in ends), max(high for _, _, high in ends)
    if log_scale and low <= 0:
        low = min(_lowest_positive(run, metric) for run in runs)
    return rounded_outward(low, high, log_scale)


@st.cache_data(show_spinner=False, max_entries=400)
def _without_outliers(key: str, metric: str, _run: ShownRun) -> list[tuple[bool, float, float]]:
    """Of the training steps and of the evaluations that have a value: whether any is an outlier, and the ends."""
    found = []
    for table in (_run.log.train, _run.log.held_out):
        values = table[metric].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            ends = curves.without_outliers(values)
            found.append((ends is not None, *(ends or (float(values.min()), float(values.max())))))
    return found


def _lowest_positive(run: ShownRun, metric: str) -> float:
    values = run.log.train[metric].to_numpy(np.float64)
    return float(np.min(values[np.isfinite(values) & (values > 0)], initial=1.0))


def rounded_outward(low: float, high: float, log_scale: bool) -> tuple[float, float]:
    """To two digits of their distance; positive ends stay so on a log scale."""
    step = 10.0 ** (np.floor(np.log10(high - low)) - 1) if high > low else 0.1
    rounded = float(np.floor(low / step) * step)
    return (low if log_scale and rounded <= 0 else rounded), float(np.ceil(high / step) * step)
