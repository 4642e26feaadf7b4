"""What is drawn of a loss curve."""

import numpy as np
import pandas as pd
import pytest

from evaluation.runs.curves import smoothed, starting_weight, thinned, without_outliers


class TestSmoothed:
    def test_worked_example(self) -> None:
        """With weight 0.5: 2, (4 + 0.5·2)/1.5, a gap that the line goes on over, (1 + 0.25·4 + 0.125·2)/1.375."""
        line = smoothed(np.array([2.0, 4.0, np.nan, 1.0]), 0.5)
        np.testing.assert_allclose(line, [2, 10 / 3, 10 / 3, 2.25 / 1.375])

    @pytest.mark.parametrize("weight", [0.0, 0.6, 0.917, 0.999])
    def test_agrees_with_pandas_and_the_formula(self, weight: float) -> None:
        """Golden test: pandas' ewm(adjust=True), and the weighted mean written out; some losses unknown or infinite."""
        rng = np.random.default_rng(3407)
        losses = rng.normal(2, 0.5, 400)
        losses[rng.integers(0, 400, 40)] = np.nan
        line = smoothed(np.where(np.arange(400) == 200, np.inf, losses), weight)
        losses[200] = np.nan
        np.testing.assert_array_equal(line, pd.Series(losses).ewm(alpha=1 - weight, adjust=True).mean())
        for last in (0, 17, 399):
            known = [step for step in range(last + 1) if not np.isnan(losses[step])]
            powers = np.array([weight ** (known[-1] - step) for step in known])
            assert line[last] == pytest.approx(powers @ losses[known] / powers.sum())

    def test_nothing_known(self) -> None:
        """Stays unknown until the first finite value, and of none at all."""
        assert np.isnan(smoothed(np.array([np.nan, np.inf, 1.0]), 0.5)).tolist() == [True, True, False]
        assert smoothed(np.empty(0), 0.5).shape == (0,)

    def test_starting_weight(self) -> None:
        """Ten steps are drawn as they are; more are averaged over a tenth of them, at most over a thousand."""
        assert [starting_weight(steps) for steps in (0, 1, 10)] == [0, 0, 0]
        assert [starting_weight(steps) for steps in (20, 60, 120, 1000)] == [0.5, 0.833, 0.917, 0.99]
        assert starting_weight(100_000) == starting_weight(10**400) == 0.999


class TestThinned:
    @pytest.mark.parametrize("points", [5, 100, 1000])
    def test_keeps_the_ends_and_the_extremes(self, points: int) -> None:
        """Also a single spike of a hundred thousand steps, wherever it is; also where x says nothing about order."""
        rng = np.random.default_rng(points)
        steps = np.arange(100_000)
        axes = [steps, np.sort(rng.random(100_000) ** 5), np.zeros(100_000), rng.random(100_000), steps % 30_000]
        for x in axes:
            losses = rng.normal(2, 0.1, 100_000)
            spike, dip = rng.choice(np.arange(1, 99_999), 2, replace=False)
            losses[spike], losses[dip] = 9, -9
            kept = thinned(x.astype(float), losses, points)
            assert {0, 99_999, spike, dip} <= set(kept) and 4 <= len(kept) <= points
            assert (np.diff(kept) > 0).all()

    def test_looks_like_the_whole_curve(self) -> None:
        """Over every hundredth of the run, the lowest and the highest drawn value are near the real ones."""
        rng = np.random.default_rng(1)
        x = np.arange(100_000.0)
        losses = 1 + 2 * np.exp(-x / 20_000) + rng.normal(0, 0.2, 100_000)
        kept = thinned(x, losses, 1_000)
        drawn = pd.Series(losses[kept]).groupby(kept // 1_000).agg(["min", "max"])
        real = pd.Series(losses).groupby(np.arange(100_000) // 1_000).agg(["min", "max"])
        assert len(drawn) == 100 and (drawn - real).abs().max().max() < 0.35

    def test_leaves_out_what_cannot_be_drawn(self) -> None:
        """Points without x or without a finite y, before they are counted."""
        x = np.array([0, 1, np.nan, 3, 4, 5, 6, 7])
        y = np.array([1, np.nan, 2, np.inf, 3, -np.inf, 4, 5])
        assert thinned(x, y, 6).tolist() == [0, 4, 6, 7]
        assert thinned(x, np.full(8, np.nan), 6).tolist() == [] == thinned(np.empty(0), np.empty(0), 6).tolist()


class TestOutliers:
    def test_far_out_values_are_clipped(self) -> None:
        """Quartiles 2 and 4, so 10 is the outer fence (worked by hand); infinite values count for nothing."""
        assert without_outliers(np.array([1, 2, 3, 4, 10.5, np.inf, np.nan])) == (1, 4)
        assert without_outliers(np.array([1.0, 2, 3, 4, 10])) is None

    def test_nothing_to_clip(self) -> None:
        """A usual curve, none, and one that does not move but for a spike: there would be no height to draw in."""
        assert without_outliers(np.linspace(3, 1, 100)) is None
        assert without_outliers(np.array([np.nan])) is None
        assert without_outliers(np.array([1.0] * 50 + [9.0])) is None
