"""The table of figures with the choice of its columns, its legend and its downloads."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from dashboard import run_links
from dashboard.downloads import download_table
from evaluation.leaderboard.board import Board
from evaluation.leaderboard.figures import BY_KEY, FIGURES, Figure
from evaluation.leaderboard.table import cell_text, heading, known_figures, legend, median, tidy
from evaluation.leaderboard.view import View

COLUMNS = "leaderboard_columns"
SWATCH, MODEL, PROMPTS, ANSWERS = "color", "model", "prompts", "answers"
CHARACTER_PX = 7.4
CELL_PADDING_PX = 22


def styled(board: Board, labels: dict[str, str], colors: dict[str, str], figures: Sequence[Figure]) -> Styler:
    """The table for Streamlit: cells hold medians, so that sorting is by number, and show what ``cell_text`` says."""
    rows = board.rows
    frame = pd.DataFrame(
        {
            SWATCH: "",
            MODEL: [labels[row.model_key] for row in rows],
            PROMPTS: [row.prompts for row in rows],
            ANSWERS: [row.answers for row in rows],
            **{figure.key: [median(row, figure) for row in rows] for figure in figures},
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
    st.caption(legend(board, {figure.key for figure in figures}))
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
