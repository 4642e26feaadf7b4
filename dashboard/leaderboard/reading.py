"""Two answers to one prompt side by side, opened by a click on a point of a chart or from the list of prompts."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard.arena.answer_text import as_markdown, as_plain, shortened
from dashboard.leaderboard.data import View
from dashboard.leaderboard.filters import MOST_PROMPTS
from dashboard.leaderboard.words import shortened as one_line
from evaluation.leaderboard.figures import BY_KEY, shown

WANTED = "leaderboard_wanted"
OPENED = "leaderboard_opened"
PROMPT = "leaderboard_read"
FIGURES = ("latency_s", "words", "decode_tok_s", "bits_per_byte")


@dataclass(frozen=True)
class Wanted:
    """What a click asked to read."""

    prompt: str
    """Key."""
    models: tuple[str, ...]
    """Keys; the dialog adds others until there are two."""
    repeat: int = 0


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
            _want(Wanted(points[0]["prompt_key"], models, points[0].get("repeat") or 0))

    return note


def draw_prompts(view: View) -> None:
    """The same without a pointer: a prompt from a list."""
    prompts = view.measured.cells.drop_duplicates("prompt_key").head(MOST_PROMPTS)
    texts = {key: one_line(text) for key, text in zip(prompts["prompt_key"], prompts["prompt"], strict=True)}
    if st.session_state.get(PROMPT) not in texts:
        st.session_state[PROMPT] = None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Read the answers to",
            list(texts),
            index=None,
            key=PROMPT,
            format_func=lambda key: texts.get(key, key),
            placeholder="Choose a prompt",
        )
        st.button(
            "Side by side",
            icon=":material/compare:",
            key="leaderboard_read_open",
            disabled=chosen is None,
            on_click=lambda: _want(Wanted(chosen, ())),
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
    texts = view.answers.texts(view.selection, wanted.prompt, tuple(models))
    repeats = max((len(texts.get(key, [])) for key in models), default=0)
    repeat = min(wanted.repeat, max(repeats - 1, 0))
    if repeats > 1:
        repeat = st.segmented_control(
            "Repeat",
            range(repeats),
            default=repeat,
            format_func=lambda number: str(number + 1),
            required=True,
            key=fresh_key("read_repeat"),
        )
    for place, (column, first) in enumerate(zip(st.columns(len(chosen)), chosen, strict=True)):
        with column:
            key = st.selectbox(
                "Model",
                models,
                index=models.index(first),
                format_func=lambda key: view.labels[key],
                key=fresh_key(f"read_model_{place}"),
                label_visibility="collapsed",
            )
            with st.container(border=True):
                st.markdown(
                    f':color[●]{{foreground="{view.colors[key]}"}} **{as_plain(view.labels[key])}**  \n'
                    f":gray[:small[{as_plain(_figures(cells.loc[key]))}]]"
                )
                st.markdown(_text(texts.get(key, []), repeat), anchors=False)


def _figures(cell: pd.Series) -> str:
    known = ", ".join(shown(BY_KEY[key], cell[key]) for key in FIGURES if pd.notna(cell[key]))
    return f"Medians: {known}" if cell["answers"] > 1 else known


def _text(texts: list[str], repeat: int) -> str:
    if repeat >= len(texts):
        return ":gray[This repeat has no answer that counts.]"
    return as_markdown(texts[repeat]) or ":gray[The text of this answer is not stored.]"
