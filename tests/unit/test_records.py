"""The figures derived from a response."""

from dataclasses import replace
from typing import Any

import pytest

from evaluation.records import Response
from tests.responses import PLAIN

ANSWER = replace(
    PLAIN,
    text="one two\nthree  four",
    submitted_at=100.0,
    started_at=103.0,
    first_token_at=104.0,
    ended_at=110.0,
    prompt_busy_s=0.5,
    decode_busy_s=2.0,
    prompt_tokens=120,
    cached_tokens=100,
    completion_tokens=11,
)


def test_figures_of_a_worked_example() -> None:
    """A prompt of 120 tokens, 100 of them reused, read in 0.5 s; 11 tokens, the ten after the first in 2 s."""
    assert ANSWER.time_to_first_token_s == 4.0
    assert ANSWER.latency_s == 2.5
    assert ANSWER.waiting_s == 7.5
    assert ANSWER.decode_tok_s == 5.0
    assert ANSWER.prompt_tok_s == 40.0
    assert ANSWER.words == 4
    assert ANSWER.seconds_per_word == 0.625


@pytest.mark.parametrize(
    ("unknown", "figure"),
    [
        ("first_token_at", "time_to_first_token_s"),
        ("prompt_busy_s", "latency_s"),
        ("decode_busy_s", "latency_s"),
        ("decode_busy_s", "waiting_s"),
        ("decode_busy_s", "decode_tok_s"),
        ("prompt_busy_s", "prompt_tok_s"),
        ("cached_tokens", "prompt_tok_s"),
        ("prompt_busy_s", "seconds_per_word"),
    ],
)
def test_figure_of_something_unknown_is_unknown(unknown: str, figure: str) -> None:
    """A figure that needs an unknown time or count is ``None``, never zero and never an error."""
    without: dict[str, Any] = {unknown: None}
    assert getattr(replace(ANSWER, **without), figure) is None


@pytest.mark.parametrize(
    ("answer", "figure"),
    [
        (replace(ANSWER, completion_tokens=1), "decode_tok_s"),
        (replace(ANSWER, completion_tokens=0, text=""), "seconds_per_word"),
        (replace(ANSWER, decode_busy_s=0.0), "decode_tok_s"),
        (replace(ANSWER, prompt_busy_s=0.0), "prompt_tok_s"),
    ],
)
def test_no_speed_without_something_to_time(answer: Response, figure: str) -> None:
    """One token has no decode speed, an empty answer no seconds per word, and nothing is divided by zero."""
    assert getattr(answer, figure) is None


def test_waiting_is_never_negative() -> None:
    """Clocks that disagree by a little do not make a negative wait."""
    assert replace(ANSWER, ended_at=102.0).waiting_s == 0.0


def test_cold_means_that_the_model_was_loaded_for_this_answer() -> None:
    """Loading took time, even an immeasurably short one: cold. No loading: warm."""
    assert replace(ANSWER, load_s=0.0).cold
    assert not ANSWER.cold
