"""Medians, intervals and sample sizes, against scipy, published tables and examples worked by hand."""

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import (
    FEWEST,
    MOST_PAIRS,
    Interval,
    median_interval,
    paired_difference,
    pairs_needed,
)


def skewed(n: int, seed: int = 1) -> list[float]:
    """Like latencies: positive, with a long tail."""
    return list(np.random.default_rng(seed).lognormal(size=n))


class TestMedianInterval:
    @pytest.mark.parametrize("n", [5, 12, 43])
    def test_agrees_with_scipys_bootstrap(self, n: int) -> None:
        """The same percentile bootstrap, which scipy draws value by value. Both intervals end at data points, or half
        way between two, so that simulation seldom shows."""
        values = skewed(n)
        drawn = stats.bootstrap((values,), np.median, n_resamples=20_000, method="percentile", rng=7)
        found = median_interval(values)
        assert found is not None and found.median == pytest.approx(np.median(values)) and found.n == n
        assert (found.low, found.high) == pytest.approx(tuple(drawn.confidence_interval), rel=0.03)

    def test_ends_are_those_of_the_binomial_distribution(self) -> None:
        """Of 25 values the middle of a resample is the j-th or lower when 13 of 25 draws are; scipy's binomial gives
        the first j for which that has a probability of 2.5%: the 8th, and by symmetry the 18th. The order-statistic
        interval for a median of 25 has the same ranks (binomial tails of 1/2 below 2.5%)."""
        ranks = np.arange(1, 26)
        low = int(ranks[stats.binom.sf(12, 25, ranks / 25) >= 0.025][0])
        tail = int(ranks[stats.binom.cdf(ranks - 1, 25, 0.5) <= 0.025][-1])
        assert low == tail == 8
        found = median_interval(list(range(1, 26)))
        assert found == Interval(13.0, 8.0, 18.0, 25)

    def test_covers_the_true_median(self) -> None:
        """The true median of an exponential distribution (ln 2) lies within 93 to 95 of 100 intervals; the share of 500
        has a standard error of 1 in 100."""
        draws = np.random.default_rng(5).exponential(size=(500, 43))
        intervals = [median_interval(list(draw)) for draw in draws]
        hits = [each.low <= np.log(2) <= each.high for each in intervals if each and each.low and each.high]
        assert len(hits) == 500 and np.mean(hits) == pytest.approx(0.94, abs=0.03)

    def test_same_values_same_interval(self) -> None:
        """Whatever their order, and whoever asks in between."""
        values = skewed(20)
        before = median_interval(values)
        median_interval(skewed(20, seed=2))
        assert median_interval(values[::-1]) == before

    def test_few_values_have_no_interval(self) -> None:
        """Below five the median stands alone; of nothing there is none."""
        assert FEWEST == 5
        assert median_interval([]) is None
        assert median_interval([3.0]) == Interval(3.0, None, None, 1)
        assert median_interval([1.0, 4.0, 2.0, 3.0]) == Interval(2.5, None, None, 4)
        assert median_interval([5.0, 1.0, 4.0, 2.0, 3.0]) == Interval(3.0, 1.0, 5.0, 5)

    def test_ties(self) -> None:
        assert median_interval([2.0] * 10) == Interval(2.0, 2.0, 2.0, 10)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_unknown_values_are_refused(self, value: float) -> None:
        """They would move the median without a trace."""
        with pytest.raises(ValueError, match="finite"):
            median_interval([1.0, value])

    def test_many_values(self) -> None:
        """The work does not grow with values × resamples: a million values fit in memory."""
        found = median_interval(np.linspace(0, 1, 1_000_001))
        assert found is not None and found.low is not None and found.high is not None
        # Standard error of a median of uniforms: 1 / (2 √n)
        assert (found.low, found.high) == pytest.approx((0.5 - 1.96 / 2e3, 0.5 + 1.96 / 2e3), abs=6e-5)


class TestPairedDifference:
    def test_pairs_are_told_apart_where_groups_are_not(self) -> None:
        """Each prompt takes 0.1 s more, and prompts differ by seconds: only the pairing shows it."""
        baseline = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        pair = paired_difference([value + 0.1 for value in baseline], baseline)
        assert pair is not None and pair.told_apart is True
        assert pair.difference.median == pytest.approx(0.1)
        assert pair.ratio is not None and pair.ratio.median == pytest.approx(
            np.median([1.1, 1.05, 3.1 / 3, 1.025, 1.02, 6.1 / 6])
        )

    def test_no_difference(self) -> None:
        """Equal values are not told apart, and no number of pairs is named for it."""
        pair = paired_difference([1.0] * 8, [1.0] * 8)
        assert pair is not None and pair.told_apart is False and pair.pairs_needed is None

    def test_too_few_pairs(self) -> None:
        """Four pairs that all agree: no verdict and no estimate."""
        pair = paired_difference([2.0] * 4, [1.0] * 4)
        assert pair is not None and pair.told_apart is None and pair.pairs_needed is None
        assert paired_difference([], []) is None

    def test_zero_has_no_ratio(self) -> None:
        pair = paired_difference([0.0] * 5, [1.0] * 5)
        assert pair is not None and pair.ratio is None and pair.told_apart is True
        assert pair.pairs_needed == FEWEST

    def test_different_lengths_are_refused(self) -> None:
        with pytest.raises(ValueError, match="2 values cannot be paired with 1"):
            paired_difference([1.0, 2.0], [1.0])

    def test_estimate_keeps_its_word(self) -> None:
        """Differences of 0.5 standard deviations: a t-test needs 34 pairs, a median about π/2 times as many, because it
        learns that much less from normal data. With as many as estimated 8 of 10 trials tell it (400 trials: ±4 in 100,
        and an odd or even number of pairs moves it by 5)."""
        random = np.random.default_rng(3)
        pilot = paired_difference(random.normal(0.5, 1, 4_001), np.zeros(4_001))
        assert pilot is not None and pilot.pairs_needed == pytest.approx(34 * np.pi / 2, rel=0.15)
        trials = (
            paired_difference(random.normal(0.5, 1, pilot.pairs_needed), np.zeros(pilot.pairs_needed))
            for _ in range(400)
        )
        assert np.mean([each is not None and each.told_apart for each in trials]) == pytest.approx(0.8, abs=0.08)


class TestPairsNeeded:
    @pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (-0.5, 34)])
    def test_published_table(self, effect: float, pairs: int) -> None:
        """Cohen's small, medium and large effect, paired t-test, two-sided 5%, power 80%: 199, 34 and 15 pairs."""
        assert pairs_needed(effect) == pairs

    def test_first_number_with_the_power(self) -> None:
        """By scipy's own noncentral t distribution."""
        for effect in (0.3, 1.2, 2.5):
            needed = pairs_needed(effect)
            powers = []
            for n in (needed - 1, needed):
                critical, test = stats.t.ppf(0.975, n - 1), stats.nct(n - 1, effect * np.sqrt(n))
                powers.append(test.sf(critical) + test.cdf(-critical))
            assert powers[0] < 0.8 <= powers[1]

    def test_limits(self) -> None:
        """A huge effect needs two pairs, a tiny one more than anyone asks; none is never found."""
        assert pairs_needed(1e6) == 2
        assert pairs_needed(0.02) == pairs_needed(1e-300) == MOST_PAIRS
        with pytest.raises(ValueError, match="zero"):
            pairs_needed(0)
