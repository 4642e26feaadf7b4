"""Is it learning, and is it over? What a loss curve says, and what is only noise. ``trend_words`` says it."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.runs.noise import FEWEST, ROUNDING, contrast_interval, slope_interval
from evaluation.statistics import CONFIDENCE, Interval

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]

Direction = Literal["falls", "rises", "unclear"]

DIRECTIONS: dict[int, Direction] = {-1: "falls", 0: "unclear", 1: "rises"}
USUAL_THRESHOLD = 1.0
STRICT_CONFIDENCE = 0.998
"""Whoever looks at many parts of noise finds one that falls: a part that is not asked about counts when it is so sure
that all of them together raise hardly any false alarm."""
FAR = 8.0
"""In standard deviations."""


@dataclass(frozen=True)
class Part:
    """A stretch of the run."""

    first_step: int
    last_step: int
    mean: float
    """Nats per token; losses far from their neighbors are pulled in."""
    above: int
    """Steps with a loss above the threshold."""
    steps: int


@dataclass(frozen=True)
class Trend:
    """What can be said about a run's training loss. Nats per token."""

    steps: int
    """Logged steps with a finite loss."""
    slope: Interval | None
    """Per step, over the whole run."""
    recent_slope: Interval | None
    """Per step, over the last half: whether it is over."""
    direction: Direction
    """Whether the interval of the slope or that of the change leaves out 0, or there is a ``start``; ``unclear`` also
    when there are too few steps."""
    recent_direction: Direction
    """Of the last half; where nothing is seen over the whole run, by ``STRICT_CONFIDENCE``."""
    change: Interval | None
    """Mean of the last quarter − mean of the first quarter."""
    start: tuple[Part, Part] | None
    """The first and the last quarter of a short beginning in which the loss falls for sure, and by more than from the
    first quarter of the run to the last."""
    quarters: tuple[Part, ...]
    """Fewer than four when there are fewer steps."""
    threshold: float
    sparse: bool
    """There are fewer lines in the log than steps: steps are counted by what was logged."""
    constant: bool
    """All losses are the same."""
    scatter: float | None
    """Standard deviation of single steps around the line through the last half; ``None`` below ``FEWEST`` steps."""
    pulled_in: int
    """Steps so far from their neighbors that they count as less far."""
    steps_for_one_percent: Interval | None
    """Further steps at the recent rate that would lower the loss by 1% of the mean of the last quarter; ``None`` when
    it does not fall for sure, or is not above 0."""


def starting_threshold(losses: Floats) -> float:
    """A threshold to begin with: 1, which the study spoke of, where the losses lie around it, else one of two
    digits near their median."""
    finite = losses[np.isfinite(losses)]
    if not len(finite) or 0.05 <= float((finite > USUAL_THRESHOLD).mean()) <= 0.95:
        return USUAL_THRESHOLD
    return float(f"{np.median(finite):.1e}")


def trend(steps: Steps, losses: Floats, threshold: float) -> Trend | None:
    """``steps`` (ascending) and ``losses`` of shape (steps,); losses that are not finite are left out. ``None`` without
    any.

    How often it is wrong and right, from 2,000 and 1,000 simulated runs each (the tests repeat a part):

    - Of runs that learn nothing, 5 to 7 in 100 are said to fall or rise, from 30 to 1,000 steps of white noise or an
      AR(1) of 0.3 or 0.6; 2 to 7 from 12 to 20 steps. Of an AR(1) of 0.8: 12 at 12 steps, 8 at 30, 5 to 7 from 60 on;
      of moving averages over 10: 19 at 12 steps, 10 at 30, 2 to 6 from 60 on. Slow waves that hide under white noise,
      a fifth of the variance an AR(1) of 0.9, deceive it most: 13 at 30 steps, 20 at 120, 11 at 500, 8 at 1,000.
      Of the last half alone something is said of up to 1 more in 100, of 4 more after moving averages at 30 steps.
    - A steady decline by the noise's standard deviation from end to end is seen in 83, 58 and 29 of 100 runs of 120
      steps, at autocorrelations of 0, 0.3 and 0.6; in 51, 32 and 15 of 60 steps, in 100, 99 and 87 of 500.
    """
    finite = np.isfinite(losses)
    steps, losses = steps[finite], losses[finite]
    n = len(losses)
    if not n:
        return None
    calm, pulled_in = _pulled_in(losses)
    quarters = _parts(steps, calm, losses > threshold)
    slope, change = slope_interval(steps.astype(float), calm), _quarter_change(calm)
    start = _start(steps, calm, change)
    whole = _sign(slope) or _sign(change) or (-1 if start else 0)
    half = steps[n // 2 :].astype(float), calm[n // 2 :]
    recent = slope_interval(*half)
    recently = _sign(recent if whole else slope_interval(*half, STRICT_CONFIDENCE))
    return Trend(
        steps=n,
        slope=slope,
        recent_slope=recent,
        direction=DIRECTIONS[whole],
        recent_direction=DIRECTIONS[recently],
        change=change,
        start=start,
        quarters=quarters,
        threshold=threshold,
        sparse=bool(n > 1 and np.median(np.diff(steps)) > 1),  # not because of losses that are no numbers
        constant=bool(np.ptp(calm) <= ROUNDING * np.abs(calm).max()),
        scatter=_scatter(calm[n // 2 :]) if n >= FEWEST else None,
        pulled_in=pulled_in,
        steps_for_one_percent=_one_percent(recent, quarters[-1].mean) if recently < 0 else None,
    )


def _pulled_in(losses: Floats) -> tuple[Floats, int]:
    """The losses without spikes of up to three steps, and how many steps that were: what is ``FAR`` from its neighbors
    counts as just so far, so that no single batch makes a trend."""
    middle = _middle_of_nine(losses)
    distance = losses - middle
    reach = FAR * 1.4826 * float(np.median(np.abs(distance)))  # of a normal distribution the standard deviation
    if not reach:
        return losses, 0
    return middle + np.clip(distance, -reach, reach), int((np.abs(distance) > reach).sum())


def _middle_of_nine(losses: Floats) -> Floats:
    """Median of the medians of three times three neighbors, nearly the median of nine (Tukey's ninther)."""
    around = np.pad(losses, 4, mode="edge")
    threes = _median_of_three(around[:-2], around[1:-1], around[2:])
    return _median_of_three(threes[:-6], threes[3:-3], threes[6:])


def _median_of_three(first: Floats, second: Floats, third: Floats) -> Floats:
    low, high = np.minimum(first, second), np.maximum(first, second)
    return np.maximum(low, np.minimum(high, third))


def _parts(steps: Steps, losses: Floats, above: NDArray[np.bool_]) -> tuple[Part, ...]:
    """Four quarters, as far as there are steps for them."""
    n = len(steps)
    edges = sorted({n * part // 4 for part in range(5)})
    return tuple(
        Part(
            int(steps[low]),
            int(steps[high - 1]),
            float(losses[low:high].mean()),
            int(above[low:high].sum()),
            high - low,
        )
        for low, high in pairwise(edges)
    )


def _quarter_change(losses: Floats, confidence: float = CONFIDENCE) -> Interval | None:
    n = len(losses)
    first, last = n // 4, n - n * 3 // 4
    if not first:
        return None
    weights = np.zeros(n)
    weights[:first], weights[-last:] = -1 / first, 1 / last
    return contrast_interval(losses, weights, confidence)


def _start(steps: Steps, losses: Floats, change: Interval | None) -> tuple[Part, Part] | None:
    """The beginning, among a quarter of the run, a quarter of that and so on, with the largest sure fall."""
    most, found = -change.median if change else 0.0, None
    n = len(losses) // 4
    while n >= FEWEST:
        fall = _quarter_change(losses[:n], STRICT_CONFIDENCE)
        if _sign(fall) < 0 and fall and -fall.median > most:
            parts = _parts(steps[:n], losses[:n], np.zeros(n, dtype=np.bool_))
            most, found = -fall.median, (parts[0], parts[-1])
        n //= 4
    return found


def _scatter(losses: Floats) -> float:
    unit = float(np.abs(losses).max()) or 1.0
    place = np.arange(len(losses)) - (len(losses) - 1) / 2
    rest = losses / unit - float(np.mean(losses / unit))
    rest = rest - place * float((place * rest).sum() / (place * place).sum())
    found = float(np.std(rest))
    return found * unit if found > ROUNDING else 0.0


def _one_percent(recent: Interval | None, level: float) -> Interval | None:
    if recent is None or recent.low is None or recent.high is None or level <= 0:
        return None
    aim = -0.01 * level
    return Interval(aim / recent.median, aim / recent.low, aim / recent.high, recent.n)


def _sign(interval: Interval | None) -> Literal[-1, 0, 1]:
    """Of what the interval leaves no doubt about."""
    if interval is None or interval.low is None or interval.high is None:
        return 0
    return 1 if interval.low > 0 else -1 if interval.high < 0 else 0
