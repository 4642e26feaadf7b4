"""Two answers to one prompt side by side, opened by a click on a point of a chart or from the list of prompts."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard import run_links
from dashboard.arena.answer_text import as_markdown, as_plain, shortened
from dashboard.leaderboard import data
from dashboard.leaderboard.filters import MOST_PROMPTS
from evaluation.leaderboard.answers import AnswerText
from evaluation.leaderboard.figures import BY_KEY, shown
from evaluation.leaderboard.private_prompts import PRIVATE
from evaluation.leaderboard.view import View
from evaluation.leaderboard.words import prompt_labels

WANTED = "leaderboard_wanted"
OPENED = "leaderboard_opened"
PROMPT = "leaderboard_read"
FIGURES = ("latency_s", "words", "decode_tok_s", "bits_per_byte")
SIDES = ("left", "right")


@dataclass(frozen=True)
class Wanted:
    """What a click asked to read."""

    prompt: str
    """Key."""
    models: tuple[str, ...] = ()
    """Keys; the dialog adds others until there are two."""
    answer: str | None = None
    """Id of the answer that was clicked, one of the first model's."""


def fresh_key(name: str) -> str:
    """A widget's key that changes with every click on a point: the chart then has no point selected, so that the same
    one can be clicked again, and the dialog begins with what was clicked."""
    return f"leaderboard_{name}_{st.session_state.get(OPENED, 0)}"


def _want(wanted: Wanted) -> None:
    st.session_state[WANTED] = wanted
    st.session_state[OPENED] = st.session_state.get(OPENED, 0) + 1


def on_click(baseline: str | None) -> Callable[[str], None]:
    """Callback of a chart: notes which point was clicked."""

    def note(key: str) -> None:
        points = st.session_state[key]["selection"].get("point")
        if points:
            models = (points[0]["model_key"], *([baseline] if baseline else []))
            _want(Wanted(points[0]["prompt_key"], models, points[0].get("id")))

    return note


def draw_prompts(view: View) -> None:
    """The same without a pointer: a prompt from a list."""
    cells = view.measured.cells
    prompts = cells[cells["prompt"] != PRIVATE].drop_duplicates("prompt_key").head(MOST_PROMPTS)
    labels = prompt_labels(dict(zip(prompts["prompt_key"], prompts["prompt"], strict=True)))
    if st.session_state.get(PROMPT) not in labels:
        st.session_state[PROMPT] = None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Read the answers to",
            list(labels),
            index=None,
            key=PROMPT,
            format_func=lambda key: labels.get(key, key),
            placeholder="Choose a prompt",
        )
        st.button(
            "Side by side",
            icon=":material/compare:",
            key="leaderboard_read_open",
            disabled=chosen is None,
            on_click=lambda: _want(Wanted(chosen)),
        )


def draw_wanted(view: View) -> None:
    """Open what was asked for since the last drawing."""
    wanted = st.session_state.pop(WANTED, None)
    if wanted is not None and wanted.prompt in set(view.measured.cells["prompt_key"]):
        _read(view, wanted)


@st.dialog("Side by side", width="large", icon=":material/compare:")
def _read(view: View, wanted: Wanted) -> None:
    cells = view.measured.cells
    cells = cells[cells["prompt_key"] == wanted.prompt].set_index("model_key")
    models = [key for key in view.labels if key in cells.index]
    chosen = [*dict.fromkeys(key for key in (*wanted.models, *models) if key in models)][:2]
    st.text(shortened(str(cells["prompt"].iloc[0])))
    texts = data.texts(view.answers, view.version, view.selection, wanted.prompt, tuple(models))
    clicked = next((each for found in texts.values() for each in found if each.id == wanted.answer), None)
    if wanted.answer and clicked is None and texts.get(wanted.models[0]):
        st.caption("The answer that was clicked is not among the newest, which alone can be read here.")
    repeat = _pick_repeat([each for found in texts.values() for each in found], clicked)
    for side, column, first in zip(SIDES, st.columns(len(chosen)), chosen, strict=False):
        with column:
            key = st.selectbox(
                f"Model on the {side}",
                models,
                index=models.index(first),
                format_func=lambda key: view.labels[key],
                key=fresh_key(f"read_model_{side}"),
                label_visibility="collapsed",
            )
            with st.container(border=True):
                answer = _answer(texts.get(key, []), repeat, clicked)
                st.markdown(
                    f':color[●]{{foreground="{view.colors[key]}"}} {_name(view, key)}  \n'
                    f":gray[:small[{as_plain(_figures(cells.loc[key]))}]]"
                )
                if answer and repeat is not None and answer.repeat != repeat:
                    st.caption(f"No repeat {repeat + 1} of it counts. This is {_which(answer)}.")
                st.markdown(_text(answer, view.host.published), anchors=False)


def _name(view: View, key: str) -> str:
    run = next(row.adapter_run for row in view.measured.board.rows if row.model_key == key)
    return run_links.in_text(run, f"**{as_plain(view.labels[key])}**")


def _pick_repeat(answers: list[AnswerText], clicked: AnswerText | None) -> int | None:
    """One of those that there are, at first that of the clicked answer; ``None`` stands for the newest answers."""
    repeats = sorted({each.repeat for each in answers if each.repeat is not None})
    first = clicked.repeat if clicked else next(iter(repeats), None)
    if len(repeats) < 2:
        return first
    return st.segmented_control(
        "Repeat",
        repeats,
        default=first,
        format_func=lambda repeat: str(repeat + 1),
        required=True,
        key=fresh_key("read_repeat"),
    )


def _answer(answers: list[AnswerText], repeat: int | None, clicked: AnswerText | None) -> AnswerText | None:
    """The clicked one where it is among these and of this repeat, else the newest of this repeat, else the newest."""
    of_repeat = [each for each in answers if each.repeat == repeat]
    return clicked if clicked in of_repeat else next(reversed(of_repeat or answers), None)


def _which(answer: AnswerText) -> str:
    return "its newest answer" if answer.repeat is None else f"repeat {answer.repeat + 1}"


def _figures(cell: pd.Series) -> str:
    known = ", ".join(shown(BY_KEY[key], cell[key]) for key in FIGURES if pd.notna(cell[key]))
    return f"Medians: {known}" if cell["answers"] > 1 else known


def _text(answer: AnswerText | None, published: bool) -> str:
    if answer is None:
        return f":gray[The text of {'a published' if published else 'this'} answer is not at hand.]"
    return as_markdown(answer.text) or ":gray[No text.]"
