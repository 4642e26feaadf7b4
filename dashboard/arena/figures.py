"""The figures under an answer, and the chart under a round."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from evaluation.charts.latency import latency_chart
from evaluation.endpoints.words import remarks, tokens_meaning
from evaluation.records import Response

UNKNOWN = "–"
CHART_WIDTH_PX = 640

ENDINGS = {
    "stop": "ended by itself",
    "length": "cut at max tokens",
    "context": "context full",
    "cancelled": "stopped by you",
    "error": "failed",
}
"""How an answer ended, in words, by finish reason."""

STYLE = Path(__file__).with_name("arena.css")
"""Drawn once per page, see ``draw_grid``."""


class Figure(NamedTuple):
    """A labelled value and what it means."""

    label: str
    value: str
    meaning: str


def figures(response: Response) -> list[Figure]:
    """What was measured on one answer, unknown values as ``–``."""
    reused = response.cached_tokens
    return [
        Figure(
            "time to first token",
            _number(response.time_to_first_token_s, "s", 2),
            "From sending the message to the first token, waiting"
            + (f" and loading the model ({response.load_s:.1f} s)" if response.load_s is not None else "")
            + " included.",
        ),
        Figure(
            "decode speed",
            _number(response.decode_tok_s, "tok/s", 1),
            "(Tokens of the answer − 1) / busy seconds from the first to the last token.",
        ),
        Figure(
            "tokens",
            UNKNOWN if response.completion_tokens is None else f"{response.completion_tokens:,}",
            tokens_meaning(response),
        ),
        Figure("words", f"{response.words:,}", "Words of the answer, split at white space."),
        Figure(
            "latency",
            _number(response.latency_s, "s", 2),
            "Busy seconds from the prompt to the last token: what the answer takes when the model is alone.",
        ),
        Figure("seconds per word", _number(response.seconds_per_word, "s", 3), "Latency / words."),
        Figure(
            "prompt tokens",
            UNKNOWN if response.prompt_tokens is None else f"{response.prompt_tokens:,}",
            "Tokens of everything the model was asked: system prompt, earlier turns and this message.",
        ),
        Figure(
            "of which reused",
            UNKNOWN if reused is None else f"{reused:,}",
            "Prompt tokens the model still had in memory from an earlier turn, so that it did not read them again.",
        ),
        Figure("ended", ENDINGS[response.finish_reason], "What ended the answer."),
        *(Figure(*remark) for remark in remarks(response)),
    ]


def draw_figures(response: Response) -> None:
    """What was measured on one answer."""
    draw_grid(figures(response))


def draw_grid(shown: Sequence[Figure]) -> None:
    """Figures as one compact grid; each shows its definition when pointed at, focused or tapped."""
    cells = "".join(
        f'<div tabindex="0" data-help="{escape(each.meaning)}"><dt>{escape(each.label)}</dt>'
        f"<dd>{escape(each.value)}</dd></div>"
        for each in shown
    )
    st.html(f'<dl class="answer-figures">{cells}</dl>')


def draw_latency(responses: Mapping[int, Response], colors: dict[str, str], key: str) -> None:
    """The chart of one round, from the answers (pane -> response) whose latency is known; nothing without any."""
    rows = [
        {
            "pane": f"{pane + 1} · {response.model.name}",
            "color": colors[response.model.key],
            "prompt_s": response.prompt_busy_s,
            "decode_s": response.decode_busy_s,
            "words": response.words,
        }
        for pane, response in responses.items()
        if response.latency_s is not None
    ]
    if not rows:
        return
    with st.container(width=CHART_WIDTH_PX):
        st.vega_lite_chart(spec=_latency_spec(rows), key=key, alt="Latency and words of each answer")
        st.caption("Colored: busy seconds, the pale part for the prompt, the full part for decoding. Gray: words.")


@st.cache_data(max_entries=1000, show_spinner=False)
def _latency_spec(rows: list[dict[str, str | float | int]]) -> dict[str, Any]:
    """Every click draws the charts of all rounds again, and building one takes a tenth of a second."""
    spec: dict[str, Any] = latency_chart(pd.DataFrame(rows)).to_dict()
    return spec


def _number(value: float | None, unit: str, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f} {unit}"
