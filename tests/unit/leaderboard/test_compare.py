"""Models against a baseline, pair by pair."""

import pytest

from evaluation.leaderboard.compare import compare, compare_two, per_prompt
from evaluation.statistics import paired_difference
from tests.unit.leaderboard.frames import around, cells

NAN = float("nan")


def test_pairs_by_prompt_and_not_by_place() -> None:
    """The rows of one model may come in another order, and a prompt may be missing."""
    frame = cells({"base": {"words": [10, 20, 30, 40, 50, 60]}, "tuned": {"words": [11, 22, 33, 44, 55, NAN]}})
    shuffled = frame.sample(frac=1, random_state=3)
    (found,) = compare(shuffled, "base", "words")
    assert (found.model_key, found.pairs) == ("tuned", 5)
    assert found.overall == paired_difference([11, 22, 33, 44, 55], [10, 20, 30, 40, 50])
    assert found.overall == compare_two(shuffled, "tuned", "base", "words")
    assert found.overall is not None and found.overall.difference.median == 3
    assert found.overall.ratio is not None and found.overall.ratio.median == pytest.approx(1.1)


def test_values_for_a_chart() -> None:
    frame = cells({"base": {"words": [10, 20]}, "tuned": {"words": [12, 15]}})
    pairs = per_prompt(frame, "base", "words")
    assert pairs.drop(columns=["low", "high"]).to_dict("records") == [
        dict(key, value=value, answers=5, baseline_value=baseline, baseline_answers=5, difference=value - baseline)
        for key, value, baseline in (
            ({"model_key": "tuned", "prompt_key": "p0", "prompt": "Prompt 0"}, 12, 10),
            ({"model_key": "tuned", "prompt_key": "p1", "prompt": "Prompt 1"}, 15, 20),
        )
    ]
    assert pairs["low"].isna().all(), "the spread of the repeats is unknown"


def test_interval_of_one_prompt() -> None:
    """By hand: quartiles 1.349 apart are a deviation of 1, so the median of five repeats has the variance π/2 / 5; of
    two models' difference that is a deviation of 0.793, and 1.96 of these to either side are 1.554."""
    spread = {"words_q1": [9.3255], "words": [10.0], "words_q3": [10.6745]}
    frame = cells({"base": spread, "tuned": spread | {"words": [12.0]}})
    (pair,) = per_prompt(frame, "base", "words").itertuples()
    assert (pair.low, pair.high) == (pytest.approx(0.446, abs=0.001), pytest.approx(3.554, abs=0.001))
    (pair,) = per_prompt(frame.assign(answers=2), "base", "words").itertuples()
    assert pair.low != pair.low, "two repeats tell no spread"


@pytest.mark.parametrize(("baseline", "figure"), [("base", "bits_per_byte"), ("base", "load_s"), ("other", "words")])
def test_nothing_to_pair(baseline: str, figure: str) -> None:
    """A figure that nobody measured, one that is not of prompts, a baseline that is not here: no pair, and no error."""
    frame = cells({"base": {"words": around(10)}, "tuned": {"words": around(20)}})
    found = compare(frame, baseline, figure)
    assert found and all(each.pairs == 0 and each.overall is None for each in found)
    assert per_prompt(frame, baseline, figure).empty
    assert compare_two(frame, "tuned", baseline, figure) is None


def test_every_other_model_once() -> None:
    frame = cells({key: {"words": around(value)} for key, value in {"a": 10, "b": 20, "c": 30}.items()})
    assert [each.model_key for each in compare(frame, "b", "words")] == ["a", "c"]
    assert compare(cells({}), "b", "words") == []
