"""What is said in words, and that it is never more than the intervals allow."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from evaluation.leaderboard.board import make_board
from evaluation.leaderboard.repeats import noise_share
from evaluation.leaderboard.verdict import verdict
from tests.unit.leaderboard.frames import around, cells, models

Figures = Mapping[str, Mapping[str, Sequence[float]]]


def said(figures: Figures, names: Mapping[str, str], repeats: int = 1, **of_all: Any) -> str:
    frame = cells(figures, repeats)
    return "\n".join(verdict(make_board(frame, models(names, **of_all)), frame))


def model(wait: float, quality: float, words: float = 100, n: int = 20) -> dict[str, list[float]]:
    """Within 1% of these figures on every prompt."""
    latency = [at_150 / 150 * length for at_150, length in zip(around(wait, n=n), around(words, n=n), strict=True)]
    waits, lengths, bits = around(wait, n=n), around(words, n=n), around(quality, n=n)
    return {"latency_150_s": waits, "words": lengths, "latency_s": latency, "bits_per_byte": bits}


NAMES = {"a": "Alpha", "b": "Beta", "c": "Gamma"}


def test_what_separates_is_said_plainly() -> None:
    """Alpha is fastest, Beta best, Gamma slower and worse than either, all far beyond their intervals."""
    text = said({"a": model(2, 0.90), "b": model(3, 0.80), "c": model(4, 0.95)}, NAMES)
    assert (
        "With **Alpha** a user waits least when all write as much: 150 words take 2.00 s (1.99–2.01; 20 prompts)."
        in text
    )
    assert "The same of the others: **Beta** 3.00 s (2.99–3.01; 20 prompts) and **Gamma** 4.00 s" in text
    assert "nothing beats **Alpha** and **Beta** in both latency at 150 words and bits per byte" in text
    assert "beaten in both, by the intervals too: **Gamma** (by **Alpha**)" in text
    assert "**Alpha**, costs 0.100 bits/byte (0.100–0.100; 20 prompts) against the best, **Beta**" in text
    assert "so far" not in text and "can't be told apart" not in text


def test_what_overlaps_is_hedged() -> None:
    """One median is a little lower, but half of the prompts say the opposite: no "least" without a "so far", and the
    prompts that would tell are counted."""
    swing = [0.3 if i % 2 else -0.28 for i in range(20)]
    near = {"latency_150_s": [2 + each for each in swing], "bits_per_byte": [0.8 + each / 10 for each in swing]}
    text = said({"a": {**model(2, 0.8)}, "b": {**model(2, 0.8), **near}}, NAMES)
    assert "a user waits least when all write as much so far, though not told apart from **" in text
    assert "can't be told apart in latency at 150 words yet: the difference (second − first) is" in text
    assert "can't be told apart in bits per byte yet" in text and "Repeats would not help" in text
    assert text.count("prompts would be needed") == 2
    assert "by the intervals too" not in text and "costs 0" not in text


def test_no_difference_at_all_asks_for_no_number() -> None:
    text = said({"a": model(2, 0.8), "b": model(2, 0.8)}, NAMES)
    assert text.count("No difference was seen at all") == 2 and "would be needed" not in text


def test_long_is_told_from_slow() -> None:
    """The fine-tune is as fast as its base and writes 2.1 times the words; the other is as long and takes 1.5 times as
    long for it."""
    figures = {"base": model(2, 0.8), "base+1": model(2, 0.8, words=210), "other": model(3, 0.8)}
    text = said(figures, {"base": "Base", "base+1": "Wordy", "other": "Slow"})
    assert (
        "an answer of **Wordy** takes 2.1 times as long as one of its base (2.1–2.1): it writes 2.1 times the words"
        in text
    )
    assert "at one length no difference can be told" in text
    assert (
        "an answer of **Slow** takes 1.50 times as long as one of **Base** (1.50–1.50): 150 words take it 1.50" in text
    )
    assert "in words no difference can be told" in text


def test_few_prompts_give_no_verdict() -> None:
    """Three prompts, however far apart: only the points."""
    text = said({"a": model(1, 0.1, n=3), "b": model(9, 0.9, n=3)}, {"a": "Alpha", "b": "Beta"})
    assert text == (
        "The models have answered 3 prompts at most, once each: no verdict, only the points. With 5 prompts that every "
        "model has answered there are intervals."
    )


def test_different_prompts_are_only_compared_in_pairs() -> None:
    """Beta has half of the prompts: no ranking by medians, the pairs are those of both; Gamma shares too few."""
    figures = {"a": model(2, 0.9), "b": model(3, 0.9, n=10), "c": model(4, 0.9, n=2)}
    text = said(figures, NAMES)
    assert "have not all answered the same prompts" in text and "waits least" not in text and "beats" not in text
    assert "Over 10 prompts an answer of **Beta** takes" in text
    assert "**Beta** and **Gamma** share 2 prompts with a known latency at 150 words: too few" in text


def test_published_times_without_quality_or_speed() -> None:
    """Latency stands in for latency at 150 words, and what is unknown is called unknown."""
    text = said({"a": {"latency_s": around(32)}, "b": {"latency_s": around(106)}}, NAMES)
    assert "With **Alpha** a user waits least: an answer takes 32.00 s" in text
    assert "bits per byte are not known here" in text


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, "No answer here counts yet"),
        (
            {"a": model(2, 0.9)},
            "With **Alpha** 150 words take 2.00 s (1.99–2.01; 20 prompts).\n**Alpha** is the only model",
        ),
        ({"a": model(2, 0.9, n=2)}, "With **Alpha** 150 words take 2.00 s (2 prompts).\nFewer than 5 prompts"),
    ],
)
def test_nothing_to_compare(figures: Figures, expected: str) -> None:
    assert said(figures, {key: NAMES[key] for key in figures}).startswith(expected)


def test_caveats_of_the_answers() -> None:
    """Settings that differ, failures, and a model none of whose answers counts."""
    settings = ({(0.0, 256)}, {(0.7, 512), (0.0, 256)}, set())
    figures = {"a": model(2, 0.9), "b": model(3, 0.9)}
    text = said(figures, NAMES, settings=settings, failed=(0, 1, 9), left_out=({}, {}, {"cold": 3}))
    assert "Settings differ: **Alpha** with temperature 0, at most 256 tokens; **Beta** with" in text
    assert "**Beta** failed 1 time; no figure shows that." in text
    assert "**Gamma** has no answer that counts; cold: 3." in text


def test_names_are_text_and_tell_models_apart() -> None:
    """A file may be called anything, and two quantizations of one model share a name."""
    names = {"a": "x_1 [y](http://z) $k$ <b>", "b": "Same", "c": "Same"}
    text = said(
        {"a": model(2, 0.9), "b": model(3, 0.9), "c": model(4, 0.9)}, names, quantization=("F16", "F16", "Q4_0")
    )
    assert r"**x\_1 \[y\](http\://z) \$k\$ \<b\>**" in text
    assert r"**Same (F16, b)**" in text and r"**Same (Q4\_0, c)**" in text


class TestRepeats:
    """Whether the spread of the differences lies between the prompts or between the repeats of one."""

    @staticmethod
    def figures(between_repeats: float) -> Figures:
        """Differences with quartiles of about ±0.1 s, and quartiles over the repeats so far apart."""
        base, other = [2.0] * 21, [2.0 + 0.02 * (i - 10) for i in range(21)]
        return {
            key: {
                "latency_s": times,
                "latency_150_s": times,
                "latency_150_s_q1": [each - between_repeats / 2 for each in times],
                "latency_150_s_q3": [each + between_repeats / 2 for each in times],
            }
            for key, times in (("a", base), ("b", other))
        }

    def test_by_hand(self) -> None:
        """Quartiles of the differences 0.2 s apart, those of the repeats 0.1 s, five repeats: two models × π/2 × 0.1² /
        5 ÷ 0.2² = 0.157 of the variance."""
        frame = cells(self.figures(0.1), repeats=5)
        assert noise_share(frame, "latency_150_s", "b", "a") == pytest.approx(0.157, abs=0.001)

    @pytest.mark.parametrize(
        ("between_repeats", "repeats", "expected"),
        [
            (0.02, 5, "would not tell: the prompts differ more than their repeats"),
            (0.3, 5, "would help, too"),
            (0.3, 2, None),
        ],
    )
    def test_said(self, between_repeats: float, repeats: int, expected: str | None) -> None:
        """With two repeats the noise is unknown, and nothing is said of repeats."""
        text = said(self.figures(between_repeats), NAMES, repeats)
        assert expected in text if expected else "epeats" not in text
