"""Whether a run learned, and what is only noise: a hand-worked example, the published run, simulation."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from evaluation.runs.trend import Part, Trend, starting_threshold, trend
from evaluation.runs.trend_words import headline, sentences
from evaluation.settings import PUBLISHED_DIR
from tests.unit.runs.simulated import autocorrelated, moving_average
from training.runlog import read_log

Floats = NDArray[np.float64]


def of(losses: Floats | list[float], threshold: float = 1.0) -> Trend:
    found = trend(np.arange(1, len(losses) + 1), np.asarray(losses, dtype=float), threshold)
    assert found
    return found


def said(found: Trend) -> str:
    return "\n".join((headline(found), *sentences(found)))


def share(direction: str, curves: Floats) -> float:
    return float(np.mean([of(2 + each).direction == direction for each in curves]))


def test_hand_worked_example() -> None:
    """A loss of 2 - 0.01 × step over 40 steps. Quarters of ten: their means are those of the steps 5.5, 15.5, 25.5 and
    35.5. The first 9 losses are above 1.905. From the first quarter to the last it falls by 30 × 0.01, and 1% of
    1.645 is what 1.645 steps take off."""
    found = of(2 - 0.01 * np.arange(1, 41), threshold=1.905)
    assert [(each.first_step, each.last_step, each.above, each.steps) for each in found.quarters] == [
        (1, 10, 9, 10),
        (11, 20, 0, 10),
        (21, 30, 0, 10),
        (31, 40, 0, 10),
    ]
    assert [each.mean for each in found.quarters] == pytest.approx([1.945, 1.845, 1.745, 1.645])
    assert found.slope and found.recent_slope and found.change and found.steps_for_one_percent
    assert (found.slope.median, found.slope.low, found.slope.high) == pytest.approx((-0.01,) * 3)
    assert found.recent_slope.median == pytest.approx(-0.01) and found.change.median == pytest.approx(-0.3)
    assert found.steps_for_one_percent.median == pytest.approx(1.645)
    assert (found.direction, found.recent_direction, found.pulled_in) == ("falls", "falls", 0)
    assert "Steps above 1.905 in each quarter of 10: 9, 0, 0 and 0; 9 of 40 in all." in said(found)


def test_published_run_declined_a_little_and_late() -> None:
    """120 losses of the study: mean 0.9358; Theil-Sen, -0.00095 per step, is within the interval, which unlike that of
    independent losses does not leave out 0; above 1.0 per thirty: 13, 11, 11, 4. From the first quarter to the last the
    loss did fall, and the fall is in the last one."""
    log = read_log(PUBLISHED_DIR / "runs" / "llama-3.2-1b-instruct-r32-120steps")
    losses = np.array([entry.loss for entry in log.entries], dtype=float)
    found = of(losses)
    assert found.slope and found.slope.low and found.slope.high and found.change and found.change.high
    assert np.mean([each.mean for each in found.quarters]) == pytest.approx(0.9358, abs=5e-5)
    theil_sen = stats.theilslopes(losses, np.arange(120)).slope
    assert theil_sen == pytest.approx(-0.00095, abs=5e-6)
    assert found.slope.low < theil_sen < found.slope.high and found.slope.high > 0
    assert found.change.high < 0 and found.steps_for_one_percent is None
    words = said(found)
    for part in (
        "A small decline",
        "0.976 in the first quarter to 0.858 in the last, −0.12 (95%: −0.22 to −0.02) nats per token, most of it in "
        "the last quarter",
        "which may be none at all",
        "Steps above 1 in each quarter of 30: 13, 11, 11 and 4; 39 of 120 in all.",
        "it cannot be said how many further steps",
    ):
        assert part in words


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(autocorrelated(300, 120, 0.0), id="white"),
        pytest.param(autocorrelated(300, 120, 0.6), id="AR(1) 0.6"),
        pytest.param(autocorrelated(200, 30, 0.6), id="AR(1) 0.6, 30 steps"),
        pytest.param(moving_average(100, 120, 10), id="smoothed over 10 steps"),
    ],
)
def test_noise_is_seldom_taken_for_a_trend(noise: Floats) -> None:
    """In at most 7 of 100 runs that learn nothing the headline says anything else, of the last half alone too; the
    docstring of ``trend`` states more figures."""
    alarms = float(np.mean([headline(of(2 + each)) != "Nothing can be seen" for each in noise]))
    print(f"false alarms: {alarms:.1%}")
    assert alarms <= 0.07


@pytest.mark.parametrize(("phi", "least"), [(0.0, 0.80), (0.3, 0.50), (0.6, 0.22)])
def test_a_decline_by_the_noises_deviation_is_often_seen(phi: float, least: float) -> None:
    """Over 120 steps; the docstring of ``trend`` states how often."""
    seen = share("falls", autocorrelated(100, 120, phi) - np.linspace(0, 1, 120))
    print(f"power at autocorrelation {phi}: {seen:.0%}")
    assert seen >= least


def test_of_noise_it_says_that_nothing_can_be_seen() -> None:
    """And how much could hide in it."""
    words = said(of(2 + 0.3 * autocorrelated(1, 120, 0.6)[0]))
    assert words.startswith("Nothing can be seen") and "noise alone can make such a change" in words
    assert "could hide in the noise" in words and "In the last half (steps 61–120) nothing can be told" in words
    assert "falls" not in words and "rises" not in words


@pytest.mark.parametrize("steps", [120, 500, 20_000])
def test_a_steep_start_and_a_flat_end(steps: int) -> None:
    """It learned, and later nothing more can be seen; also when the fall is in the first hundredth of the run."""
    curve = 1 + 1.5 * np.exp(-np.arange(steps) / 10) + 0.05 * autocorrelated(1, steps, 0.3, seed=2)[0]
    found = of(curve)
    assert found.direction == "falls" and found.recent_direction == "unclear" and found.start
    assert headline(found) == "The loss fell at the start; in the last half nothing more can be seen"
    assert isinstance(found.start[0], Part) and found.start[0].mean - found.start[1].mean > 0.5
    assert found.start[1].last_step <= 125


def test_what_still_falls_says_how_long_one_percent_takes() -> None:
    """0.002 per step at a loss of about 1.6: 8 steps."""
    found = of(2 - 0.002 * np.arange(240) + 0.05 * autocorrelated(1, 240, 0.3)[0])
    needed = found.steps_for_one_percent
    assert needed and needed.low and needed.high and needed.low < 7.9 < needed.high < 20
    assert "still falls" in said(found) and "further steps" in said(found)


def test_a_loss_that_comes_back_up_is_not_called_flat() -> None:
    """Over the whole run there is no slope, but in its last half there is."""
    place = np.arange(120)
    found = of(1 + np.abs(place - 60) / 60 + 0.1 * autocorrelated(1, 120, 0.3)[0])
    assert found.recent_direction == "rises" and "rises in the last half" in headline(found)
    assert headline(of(1 + place / 100 + 0.1 * autocorrelated(1, 120, 0.3)[0])) == "The loss rises"


def test_spikes_make_no_trend() -> None:
    """Two batches gone wrong are pulled in, and it says so."""
    calm = 2 + 0.1 * autocorrelated(1, 120, 0.0)[0]
    wild = calm.copy()
    wild[[1, 2]] = 50, 400
    before, after = of(calm), of(wild)
    assert after.pulled_in == 2 and "2 steps lie far from those around them" in said(after)
    assert before.direction == after.direction == "unclear"
    assert before.slope and after.slope and abs(before.slope.median - after.slope.median) < 0.001


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0], "Too few steps"),
        ([2.0, 1.0], "Too few steps"),
        (list(np.linspace(3, 1, 11)), "Too few steps"),
        ([1.1] * 40, "Nothing can be seen"),
        ([0.0] * 40, "Nothing can be seen"),
        (list(-1 - 0.01 * np.arange(40)), "it is not above 0"),
        (list(np.where(np.arange(60) % 5 == 0, np.nan, 3 - 0.01 * np.arange(60))), "The loss falls"),
        ([math.inf, *np.linspace(3, 1, 20)], "The loss falls"),
        (list(1e300 * autocorrelated(1, 60, 0.0)[0]), "Nothing can be seen"),
        (list(3 - 1e-7 * np.arange(60)), "The loss falls"),
    ],
)
def test_odd_losses_give_sense(losses: list[float], expected: str) -> None:
    """No failure, no NaN in the words, none of the endless figures."""
    words = said(of(losses))
    assert expected in words and "nan" not in words and "inf" not in words
    assert max(len(sentence) for sentence in words.split("\n")) < 400


def test_without_a_finite_loss_there_is_no_trend() -> None:
    assert trend(np.arange(3), np.array([np.nan, np.inf, np.nan]), 1.0) is None
    assert trend(np.array([], dtype=int), np.array([]), 1.0) is None


def test_only_a_constant_loss_stays_where_it_is() -> None:
    """Not one that is noise in its first half and constant in the second."""
    assert "The loss stays at 1.100." in said(of([1.1] * 40))
    settled = np.concatenate([2 + 0.2 * autocorrelated(1, 60, 0.0)[0], np.full(60, 2.0)])
    found = of(settled)
    assert not found.scatter and found.direction == "unclear" and "stays at" not in said(found)


def test_lines_of_the_log_are_not_called_steps() -> None:
    """Every tenth step is logged: what counts lines says so, what counts steps does not; a few losses that are no
    numbers do not make it a sparse log."""
    losses = 3 - 0.01 * np.arange(40) + 0.05 * autocorrelated(1, 40, 0.0)[0]
    losses[7] = 50
    found = trend(10 * np.arange(1, 41), losses, 2.8)
    assert found
    words = said(found)
    for part in (
        "A straight line through all 40 logged steps",
        "Logged steps above 2.8 in each quarter of 10: ",
        "1 logged step lies far from the logged steps around it",
        "in the last half (steps 210–400)",
        "further steps (",
    ):
        assert part in words
    few = trend(10 * np.arange(1, 6), losses[:5], 1.0)
    assert few and "A loss is known of 5 logged steps" in said(few)
    losses[[3, 5]] = math.nan
    assert "logged step" not in said(of(losses))


def test_a_fall_of_the_held_out_loss_is_said_where_the_training_loss_shows_nothing() -> None:
    """And only there; of a constant one nothing is noisy."""
    noise = of(2 + 0.3 * autocorrelated(1, 120, 0.6)[0])
    assert headline(noise, held_out_fell=True) == ("The training loss is too noisy to tell, but the held-out loss fell")
    assert headline(of([2.0, 1.0]), held_out_fell=True) == "Too few steps to tell, but the held-out loss fell"
    assert headline(of([2.0] * 40), held_out_fell=True) == "Nothing can be seen"
    assert headline(of(3 - 0.01 * np.arange(40)), held_out_fell=True).startswith("The loss falls")
    assert headline(noise, diverged=True, held_out_fell=True) == "The run diverged"


def test_threshold_starts_where_the_losses_are() -> None:
    """At 1 when they lie around it, as the study has it."""
    assert starting_threshold(np.array([0.8, 0.9, 1.1, 1.2, np.nan])) == 1
    assert starting_threshold(np.array([2.34, 2.36, 2.38])) == 2.4
    assert starting_threshold(np.array([0.0123])) == 0.012 and starting_threshold(np.array([])) == 1
