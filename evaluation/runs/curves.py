"""What is drawn of a loss curve: the smoothed line, the points that stay when there are too many, and outliers."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tsdownsample import MinMaxLTTBDownsampler

Floats = NDArray[np.float64]

MOST_WEIGHT = 0.999
SMOOTHED_SHARE = 0.1
"""The line averages over this part of the steps, unless told otherwise."""
MOST_STEPS = 10_000
"""Of more the line averages over no more steps than of these, as ``MOST_WEIGHT`` says."""
FEWEST_POINTS = 5
"""First, last, lowest and highest, and one between them."""
FAR_OUT_IQR = 3.0
"""Tukey's outer fences: values further from the quartiles than so many interquartile ranges are far out."""


_DOWNSAMPLER: Any = MinMaxLTTBDownsampler()  # type: ignore[no-untyped-call]


def window(weight: float) -> float:
    """Steps that a line with this weight averages over: the mean age of what it has in memory."""
    return 1 / (1 - weight)


def starting_weight(steps: int) -> float:
    """A good weight to begin with for so many steps, 0 to 0.999: smooth enough to see a trend, short enough to see a
    bend. The average runs over a tenth of the steps, at most a thousand."""
    steps = min(steps, MOST_STEPS)
    return 0.0 if steps * SMOOTHED_SHARE <= 1 else min(MOST_WEIGHT, round(1 - 1 / (steps * SMOOTHED_SHARE), 3))


def smoothed(values: Floats, weight: float) -> Floats:
    """The debiased exponential average: ``pandas.Series.ewm(alpha=1 - weight, adjust=True).mean()``.

    ``values``: shape (steps,). Values that are not finite count as missing and the line goes on over them.
    """
    known = np.isfinite(values)
    steps = pd.Series(values if known.all() else np.where(known, values, np.nan), copy=False)
    line: Floats = steps.ewm(alpha=1 - weight, adjust=True).mean().to_numpy()
    return line


def thinned(x: Floats, y: Floats, points: int) -> NDArray[np.int64]:
    """Indices, ascending, of at most ``points`` points (5 at least) that keep the shape, peaks and troughs included
    (MinMaxLTTB of tsdownsample): the first, the last, the lowest and the highest are always among them. All of them
    when there are no more; points that are not finite are left out."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    finite = np.flatnonzero(known)
    points = max(points, FEWEST_POINTS)
    if len(finite) <= points:
        return finite
    if len(finite) < len(known):  # copies of long logs cost more than all the rest
        x, y = x[finite], y[finite]
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    extremes = (int(y.argmin()), int(y.argmax()))
    # Equal stretches of x, where x goes forward; else of the order in which the points come.
    axes = (x, y) if x[-1] > x[0] and (x[1:] >= x[:-1]).all() else (y,)
    chosen = _DOWNSAMPLER.downsample(*axes, n_out=points - len(extremes)).astype(np.int64)
    kept: NDArray[np.int64] = finite[np.union1d(chosen, extremes)]
    return kept


def without_outliers(values: Floats) -> tuple[float, float] | None:
    """The lowest and the highest value to draw when outliers are clipped; ``None`` when nothing would be clipped.

    Outliers lie more than three interquartile ranges below the lower or above the upper quartile (J. W. Tukey,
    Exploratory Data Analysis, 1977: "far out"). Values that are not finite count for nothing.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    lower, upper = np.quantile(finite, [0.25, 0.75])
    reach = FAR_OUT_IQR * (upper - lower)
    inside = finite[(finite >= lower - reach) & (finite <= upper + reach)]
    low, high = float(inside.min()), float(inside.max())
    return (low, high) if len(inside) < len(finite) and low < high else None
