"""Means and slopes among noise that hangs together, against scipy and simulation."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from evaluation.runs.noise import FEWEST, autocorrelated_mean_interval, slope_interval
from evaluation.statistics import Interval
from tests.unit.runs.simulated import autocorrelated

STEPS = np.arange(1.0, 121.0)


def leaves_out(interval: Interval | None, value: float) -> bool:
    assert interval and interval.low is not None and interval.high is not None
    return not interval.low <= value <= interval.high


def width(interval: Interval | None) -> float:
    assert interval and interval.low is not None and interval.high is not None
    return interval.high - interval.low


def test_mean_and_slope_are_those_of_least_squares() -> None:
    """Also where steps are missing, and in whatever units; values that are not known are left out."""
    losses = autocorrelated(1, 120, 0.6)[0]
    steps = np.delete(STEPS, [3, 50, 51])
    some = np.delete(losses, [3, 50, 51])
    found = slope_interval(steps, some)
    assert found and found.median == pytest.approx(stats.linregress(steps, some).slope)
    scaled = slope_interval(steps * 10, some * 100 + 7)
    assert scaled and scaled.median == pytest.approx(10 * found.median)
    assert width(scaled) == pytest.approx(10 * width(found), rel=1e-6)
    assert slope_interval(STEPS, np.where(np.isin(STEPS, steps), losses, np.nan)) == found
    mean = autocorrelated_mean_interval(np.append(losses, np.inf))
    assert mean and mean.median == pytest.approx(losses.mean()) and mean.n == 120


def test_white_noise_costs_little_more_than_a_plain_regression() -> None:
    """Student's t of 12 degrees of freedom in place of 118 alone makes the interval 10% wider; scipy's is the plain
    one. Noise of autocorrelation 0.6 has an interval twice as wide ((1 + 0.6) / (1 - 0.6) = 2 squared)."""
    white = autocorrelated(60, 120, 0.0)
    plain = [stats.t.ppf(0.975, 118) * stats.linregress(STEPS, each).stderr * 2 for each in white]
    ours = [width(slope_interval(STEPS, each)) for each in white]
    assert 1.05 < np.mean(ours) / np.mean(plain) < 1.2
    bound = [width(slope_interval(STEPS, each)) for each in autocorrelated(60, 120, 0.6)]
    assert 1.8 < np.mean(bound) / np.mean(ours) < 2.4


@pytest.mark.parametrize(("n", "phi"), [(30, 0.6), (120, 0.6), (500, 0.8)])
def test_intervals_hold_the_truth(n: int, phi: float) -> None:
    """In 95 of 100 cases, give or take 1.5 among 200, whatever the true mean (2) and slope (1 from end to end) are."""
    x = np.linspace(0, 1, n)
    curves = 1.5 + x + autocorrelated(200, n, phi)
    assert np.mean([leaves_out(autocorrelated_mean_interval(each), 2.0) for each in curves]) <= 0.08
    assert np.mean([leaves_out(slope_interval(x, each), 1.0) for each in curves]) <= 0.08


@pytest.mark.parametrize("values", [np.full(50, 1.1), np.zeros(50), np.full(1000, -3.3)])
def test_what_never_changes_has_no_slope(values: NDArray[np.float64]) -> None:
    """Rounding is not taken for a trend."""
    assert not leaves_out(slope_interval(np.arange(len(values)) * 0.1, values), 0.0)
    mean = autocorrelated_mean_interval(values)
    assert mean and mean.median == pytest.approx(values[0]) and width(mean) < 1e-9


def test_few_values_have_no_interval() -> None:
    assert autocorrelated_mean_interval(np.array([])) is None and slope_interval(np.array([]), np.array([])) is None
    assert slope_interval(np.array([1.0]), np.array([2.0])) is None
    few = slope_interval(np.arange(FEWEST - 1.0), np.arange(FEWEST - 1.0))
    assert few and few.median == pytest.approx(1) and (few.low, few.high) == (None, None)
