"""Rows with intervals, what is best among them, and which of them nothing beats."""

import math

import numpy as np
import pytest

from evaluation.leaderboard.board import make_board, pareto_front
from evaluation.leaderboard.figures import BY_KEY, shown, shown_interval
from evaluation.statistics import Interval, median_interval
from tests.unit.leaderboard.frames import around, cells, models

NAN = float("nan")


class TestRows:
    def test_each_figure_over_its_prompts(self) -> None:
        """The interval is that of the prompts' values; n counts them, and an unknown one is no value."""
        values = around(2.0)
        frame = cells({"a": {"latency_s": values, "words": [NAN, *around(50)[1:]]}})
        (row,) = make_board(frame, models({"a": "A"})).rows
        assert row.figures["latency_s"] == median_interval(values)
        assert row.figures["words"].n == 19 and row.prompts == 20
        assert "bits_per_byte" not in row.figures, "unknown is absent, not zero"

    def test_loads_are_counted_by_load(self) -> None:
        """Load time and memory have one value per load of the model, whatever it answered; a file has one size."""
        frame = cells({"a": {"latency_s": around(2.0)}})
        loads = models({"a": "A"}, load_s=([0.5, 0.7, 0.6, NAN],), peak_memory_bytes=([1e8, 2e8, 3e8, 4e8, 5e8],))
        (row,) = make_board(frame, loads).rows
        assert row.figures["load_s"] == Interval(0.6, None, None, 3)
        assert row.figures["peak_memory_bytes"] == Interval(3e8, 1e8, 5e8, 5)
        assert row.figures["size_bytes"] == Interval(100e6, None, None, 1)

    def test_fastest_first_and_unknown_last(self) -> None:
        """By latency at 150 words; where that is unknown by latency; a model without answers keeps a row."""
        frame = cells(
            {
                "slow": {"latency_150_s": around(3.0), "latency_s": around(1.0)},
                "fast": {"latency_150_s": around(2.0), "latency_s": around(9.0)},
                "published": {"latency_s": around(0.5)},
            }
        )
        names = {"gone": "Gone", "published": "P", "slow": "S", "fast": "F"}
        board = make_board(frame, models(names, failed=(40, 0, 0, 0), size_bytes=NAN))
        assert [row.model_key for row in board.rows] == ["fast", "slow", "published", "gone"]
        assert (board.rows[-1].prompts, board.rows[-1].failed, board.rows[-1].figures) == (0, 40, {})
        assert len(board.answered) == 3 and board.same_prompts

    def test_nothing_at_all(self) -> None:
        board = make_board(cells({}), models({}))
        assert (board.rows, board.best, board.same_prompts) == ((), {}, True)


class TestBest:
    def test_only_where_intervals_separate(self) -> None:
        """2.0 s from 3.0 s, both within 1%; bits per byte overlap; of a speed more is better; words are no race."""
        frame = cells(
            {
                "a": {"latency_s": around(2.0), "bits_per_byte": around(0.80, 0.5), "decode_tok_s": around(60)},
                "b": {"latency_s": around(3.0), "bits_per_byte": around(0.82, 0.5), "decode_tok_s": around(90)},
            }
        )
        frame["words"] = frame["latency_s"] * 10
        board = make_board(frame, models({"a": "A", "b": "B"}, size_bytes=(90e6, 100e6)))
        assert board.best == {"latency_s": "a", "decode_tok_s": "b", "size_bytes": "a"}

    def test_not_between_equal_sizes_or_few_loads(self) -> None:
        """Two loads each have no interval; a size shared with another is not the smallest."""
        frame = cells({key: {"latency_s": around(2.0)} for key in "ab"})
        board = make_board(frame, models({"a": "A", "b": "B"}, load_s=([0.1, 0.1], [9.0, 9.0])))
        assert board.best == {}

    def test_not_over_different_prompts(self) -> None:
        """The one with half the prompts may have had the easy half."""
        frame = cells({"a": {"latency_s": around(2.0)}, "b": {"latency_s": around(3.0, n=10)}})
        board = make_board(frame, models({"a": "A", "b": "B"}))
        assert not board.same_prompts and board.best == {}

    def test_not_over_prompts_of_which_one_is_unknown(self) -> None:
        """Losses of ten prompts each, not the same ten: no common prompt, no best."""
        half = [NAN] * 10
        frame = cells(
            {"a": {"bits_per_byte": around(0.5, n=10) + half}, "b": {"bits_per_byte": half + around(0.9, n=10)}}
        )
        board = make_board(frame, models({"a": "A", "b": "B"}))
        assert board.same_prompts and board.best == {}

    def test_a_model_without_the_figure_leaves_it_open(self) -> None:
        """It may be the best of all."""
        frame = cells({"a": {"latency_s": around(2.0)}, "b": {"latency_s": around(3.0)}, "c": {"words": around(50)}})
        assert make_board(frame, models({"a": "A", "b": "B", "c": "C"})).best == {}

    def test_alone_nothing_is_best(self) -> None:
        assert make_board(cells({"a": {"latency_s": around(2.0)}}), models({"a": "A"})).best == {}


class TestParetoFront:
    def test_by_hand(self) -> None:
        """a is fastest, c has the best quality, b lies between; d is slower than b and worse; e ties with b and stays;
        f is unknown in quality."""
        points = {"d": (2.5, 0.9), "c": (4, 0.7), "b": (2, 0.8), "a": (1, 1.0), "e": (2, 0.8)}
        figures = {key: {"latency_150_s": [x] * 5, "bits_per_byte": [y] * 5} for key, (x, y) in points.items()}
        figures["f"] = {"latency_150_s": [0.1] * 5}
        board = make_board(cells(figures), models({key: key.upper() for key in figures}))
        assert pareto_front(board) == ("a", "b", "e", "c")

    def test_more_is_better_for_a_speed(self) -> None:
        figures = {"a": {"decode_tok_s": [10] * 5, "words": [9] * 5}, "b": {"decode_tok_s": [20] * 5, "words": [8] * 5}}
        board = make_board(cells(figures), models({"a": "A", "b": "B"}))
        assert pareto_front(board, cost="decode_tok_s", quality="words") == ("b",)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("latency_s", 1.844, "1.84 s"),
        ("latency_s", -0.05, "−0.05 s"),
        ("latency_s", -0.001, "0.00 s"),
        ("latency_s", None, "–"),
        ("latency_s", math.nan, "–"),
        ("words", np.float64(1.0), "1 word"),
        ("words", 1234.4, "1,234 words"),
        ("ended", 0.975, "98%"),
        ("peak_memory_bytes", 171_400_000, "171 MB"),
        ("sentences", 3.0, "3"),
    ],
)
def test_shown(key: str, value: float | None, text: str) -> None:
    assert shown(BY_KEY[key], value) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(1.84, 1.79, 1.9, 43), "1.84 s (1.79–1.90)"),
        (Interval(0.01, -0.05, 0.07, 43), "0.01 s (−0.05 to 0.07)"),
        (Interval(1.84, None, None, 3), "1.84 s"),
        (None, "–"),
    ],
)
def test_shown_interval(interval: Interval | None, text: str) -> None:
    assert shown_interval(BY_KEY["latency_s"], interval) == text
