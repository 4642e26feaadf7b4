"""Noise that hangs together, for the tests of trends."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]


def autocorrelated(series: int, n: int, phi: float, seed: int = 1) -> Floats:
    """AR(1) of standard deviation 1; shape (series, n)."""
    white = np.random.default_rng(seed).standard_normal((series, n))
    white[:, 1:] *= np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], white, axis=1))


def moving_average(series: int, n: int, over: int, seed: int = 1) -> Floats:
    """White noise smoothed over some steps, of standard deviation 1; shape (series, n)."""
    white = np.random.default_rng(seed).standard_normal((series, n + over - 1))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(white, over, axis=1).sum(axis=2) / np.sqrt(over))
