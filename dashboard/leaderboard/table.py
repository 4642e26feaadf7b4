"""The table: one row per model, each figure a median with its interval, and never a bare number that looks sure."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from dashboard import run_links
from dashboard.downloads import download_table
from dashboard.leaderboard.data import View
from evaluation.leaderboard.board import EXACT, PER_LOAD, Board, Row
from evaluation.leaderboard.figures import BY_KEY, FIGURES, Figure, shown_interval

COLUMNS = "leaderboard_columns"
BEST_MARK = "★"
SWATCH, MODEL, PROMPTS, ANSWERS = "color", "model", "prompts", "answers"
CHARACTER_PX = 7.4
CELL_PADDING_PX = 22


def heading(figure: Figure) -> str:
    """Label and unit, for example ``Latency, s``."""
    return f"{figure.label}, {figure.unit}" if figure.unit and figure.unit != figure.label.lower() else figure.label


def cell_text(row: Row, figure: Figure, best: bool) -> str:
    """``1.84 (1.79–1.90)``; without an interval ``1.84 (n = 3)``; ``–`` when unknown.

    The n also stands where it is not the row's number of prompts, and nowhere for what has no sampling error.
    """
    interval = row.figures.get(figure.key)
    text = shown_interval(replace(figure, unit=""), interval)
    if interval is None or figure.key == EXACT:
        pass
    elif interval.low is None:
        text += f" (n = {interval.n})"
    elif interval.n != row.prompts:
        text += f" n = {interval.n}"
    return f"{BEST_MARK} {text}" if best else text


def known_figures(board: Board) -> list[Figure]:
    """Those that at least one row has."""
    return [figure for figure in FIGURES if any(figure.key in row.figures for row in board.rows)]


def styled(board: Board, labels: dict[str, str], colors: dict[str, str], figures: Sequence[Figure]) -> Styler:
    """The table for Streamlit: cells hold medians, so that sorting is by number, and show what ``cell_text`` says."""
    rows = board.rows
    frame = pd.DataFrame(
        {
            SWATCH: "",
            MODEL: [labels[row.model_key] for row in rows],
            PROMPTS: [row.prompts for row in rows],
            ANSWERS: [row.answers for row in rows],
            **{figure.key: [_median(row, figure) for row in rows] for figure in figures},
        },
        index=range(len(rows)),
    )
    table = frame.style
    for number, row in enumerate(rows):
        table = table.map(
            lambda _, color=colors[row.model_key]: f"background-color: {color}", subset=([number], [SWATCH])
        )
        for figure in figures:
            best = board.best.get(figure.key) == row.model_key
            text = cell_text(row, figure, best)
            table = table.format(lambda _, text=text: text, subset=([number], [figure.key]), na_rep=text)
            if best:
                table = table.map(lambda _: "font-weight: bold", subset=([number], [figure.key]))
    return table


def _median(row: Row, figure: Figure) -> float | None:
    interval = row.figures.get(figure.key)
    return None if interval is None else interval.median * figure.scale


def tidy(view: View) -> pd.DataFrame:
    """For programs: one row per model and figure, in the units that the table shows."""
    return pd.DataFrame(
        [
            {
                "host": view.host.key,
                "model_key": row.model_key,
                "model": view.labels[row.model_key],
                "quantization": row.quantization,
                "adapter_run": row.adapter_run,
                "figure": key,
                "unit": BY_KEY[key].unit,
                "median": interval.median * BY_KEY[key].scale,
                "low": None if interval.low is None else interval.low * BY_KEY[key].scale,
                "high": None if interval.high is None else interval.high * BY_KEY[key].scale,
                "n": interval.n,
                "answers": row.answers,
                "best": view.measured.board.best.get(key) == row.model_key,
            }
            for row in view.measured.board.rows
            for key, interval in row.figures.items()
        ]
    )


def draw_table(view: View) -> None:
    """The table with the choice of its columns, its legend and its downloads."""
    board = view.measured.board
    known = known_figures(board)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Figures", anchor=False, width="content")
        with st.container(horizontal=True, width="content", gap="small"):
            figures = _pick_columns(known)
            with st.popover("Download", icon=":material/download:"):
                download_table(lambda: tidy(view), f"leaderboard-{view.host.key}", "leaderboard_table")
    st.dataframe(
        styled(board, view.labels, view.colors, figures),
        hide_index=True,
        column_config=_columns(view, figures),
        key="leaderboard_table",
        height="content",
        alt="One row per model: medians of its figures with their 95% intervals",
    )
    st.caption(_legend(board, {figure.key for figure in figures}))
    run_links.draw_runs({row.adapter_run: row.name for row in board.rows if row.adapter_run})


def _pick_columns(known: list[Figure]) -> list[Figure]:
    chosen = st.session_state.get(COLUMNS, [figure.key for figure in FIGURES if figure.shown])
    st.session_state[COLUMNS] = chosen
    with st.popover("Columns", icon=":material/view_column:"):
        picked = st.pills(
            "Columns",
            [figure.key for figure in FIGURES],
            selection_mode="multi",
            key=COLUMNS,
            format_func=lambda key: BY_KEY[key].label,
            persist_state="session",
        )
        unknown = [figure.label.lower() for figure in FIGURES if figure.key in picked and figure not in known]
        if unknown:
            st.caption(f"Not known for these answers: {', '.join(unknown)}.")
    return [figure for figure in known if figure.key in picked]


def _columns(view: View, figures: Sequence[Figure]) -> dict[str, object]:
    rows = view.measured.board.rows
    best = view.measured.board.best

    def width(figure: Figure) -> int:
        texts = [cell_text(row, figure, best.get(figure.key) == row.model_key) for row in rows]
        longest = max(len(heading(figure)) + 1, *map(len, texts))
        return round(longest * CHARACTER_PX + CELL_PADDING_PX)

    longest_name = max(len(label) for label in view.labels.values())
    return {
        SWATCH: st.column_config.TextColumn("", width=20, pinned=True),
        MODEL: st.column_config.TextColumn(
            "Model", width=round(longest_name * CHARACTER_PX + CELL_PADDING_PX), pinned=True
        ),
        PROMPTS: st.column_config.NumberColumn(
            "Prompts", help="The n of the intervals, unless another one stands there."
        ),
        ANSWERS: st.column_config.NumberColumn("Answers", help="Answers counted: prompts × repeats."),
        **{
            figure.key: st.column_config.NumberColumn(heading(figure), help=figure.definition, width=width(figure))
            for figure in figures
        },
    }


def _legend(board: Board, keys: set[str]) -> str:
    loads = ", those of load time and memory over loads" if keys.intersection(PER_LOAD) else ""
    means = "; a mean of the share that ended by itself" if "ended" in keys else ""
    parts = [f"Medians over prompts{loads}{means}; in brackets the 95% interval."]
    if any(interval.low is None for row in board.rows for key, interval in row.figures.items() if key != EXACT):
        parts.append("Where an n stands instead, there are too few values for an interval.")
    if board.best:
        parts.append(f"{BEST_MARK} is better than every other model: the intervals do not overlap.")
    elif not board.same_prompts:
        parts.append("No figure is marked as best: the models have not all answered the same prompts.")
    elif len(board.answered) > 1:
        parts.append("No figure is marked as best: the intervals overlap, or there are none.")
    return " ".join(parts)
