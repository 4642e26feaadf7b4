"""The charts of the page, each with what it says, what can be chosen in it, and its downloads."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.downloads import download_chart
from dashboard.leaderboard import reading
from evaluation.charts.differences import differences_chart
from evaluation.charts.latency import latency_chart
from evaluation.charts.length import length_chart
from evaluation.charts.pareto import pareto_chart
from evaluation.leaderboard import chart_data, chart_words
from evaluation.leaderboard.figures import BY_KEY, Figure
from evaluation.leaderboard.table import heading
from evaluation.leaderboard.view import View

TAB = "leaderboard_tab"
BASELINE = "leaderboard_baseline"
FIGURE = "leaderboard_figure"
COST = "leaderboard_cost"


def draw_charts(view: View) -> None:
    """Four tabs; only the open one is computed."""
    st.subheader("Charts", anchor=False)
    drawings: dict[str, Callable[[View], None]] = {
        ":material/timer: Long or slow": draw_latency,
        ":material/balance: Quality and latency": draw_pareto,
        ":material/difference: Differences": draw_differences,
        ":material/scatter_plot: Every answer": draw_length,
    }
    for tab, draw in zip(st.tabs(list(drawings), key=TAB, on_change="rerun"), drawings.values(), strict=True):
        if tab.open:
            with tab:
                draw(view)


def draw_latency(view: View) -> None:
    """Latency split at the first token, beside the words."""
    rows = chart_data.latency_rows(view)
    if rows.empty:
        st.info("No latency is known for these answers.", icon=":material/info:")
        return
    st.caption(chart_words.LATENCY)
    spec = latency_chart(rows, "Model").to_dict()
    _show(spec, "latency", "Latency and words of each model")
    _downloads(spec, rows.drop(columns="color").rename(columns={"pane": "model"}), "latency", view)


def draw_pareto(view: View) -> None:
    """Quality against latency."""
    known = chart_data.costs(view)
    if not known:
        st.info(
            "No quality is known here: it is measured by a benchmark whose prompts have reference answers.",
            icon=":material/info:",
        )
        return
    if st.session_state.get(COST) not in known:
        st.session_state[COST] = known[0]
    cost = known[0]
    if len(known) > 1:
        cost = st.segmented_control(
            "Latency",
            known,
            key=COST,
            format_func=lambda key: BY_KEY[key].label,
            required=True,
            persist_state="session",
        )
    rows = chart_data.pareto_rows(view, cost)
    st.caption(chart_words.quality(view.measured.board))
    spec = pareto_chart(rows, heading(BY_KEY[cost]), BY_KEY[chart_data.QUALITY].label).to_dict()
    _show(spec, "pareto", "Bits per byte against latency, a point per model")
    _downloads(spec, rows, "quality", view)


def draw_differences(view: View) -> None:
    """Every model against a baseline, prompt by prompt."""
    models = [row.model_key for row in view.measured.board.answered]
    if len(models) < 2:
        st.info("With a second model there is something to compare.", icon=":material/info:")
        return
    figures = chart_data.comparable_figures(view)
    baseline, figure = _pick_comparison(view, models, figures)
    pairs, overall, found = chart_data.differences(view, baseline, figure.key)
    if pairs.empty:
        st.info(
            f"No prompt has a known {figure.label.lower()} of {as_plain(view.labels[baseline])} and another model.",
            icon=":material/info:",
        )
        return
    shown = chart_data.sample(pairs)
    st.caption(f"{chart_words.differences(shown, len(pairs))} A click on a point opens the two answers.")
    spec = differences_chart(shown, overall, f"{heading(figure)}: difference").to_dict()
    _show(spec, "differences", f"{figure.label}: differences to {view.labels[baseline]}", reading.on_click(baseline))
    st.markdown("\n".join(f"- {chart_words.compared(view, each, figure)}" for each in found))
    _downloads(spec, pairs.drop(columns="color").assign(figure=figure.key), f"differences-{figure.key}", view)


def _pick_comparison(view: View, models: list[str], figures: list[str]) -> tuple[str, Figure]:
    bases = [row.model_key for row in view.measured.board.answered if row.adapter_run is None]
    if st.session_state.get(BASELINE) not in models:
        st.session_state[BASELINE] = (bases or models)[0]
    if st.session_state.get(FIGURE) not in figures:
        st.session_state[FIGURE] = figures[0]
    left, right = st.columns(2)
    baseline = left.selectbox(
        "Baseline", models, key=BASELINE, format_func=lambda key: view.labels.get(key, key), persist_state="session"
    )
    figure = right.selectbox(
        "Figure", figures, key=FIGURE, format_func=lambda key: BY_KEY[key].label, persist_state="session"
    )
    return baseline, BY_KEY[figure]


def draw_length(view: View) -> None:
    """Latency against words, answer by answer."""
    rows, models, drawn = chart_data.length_rows(view)
    if rows.empty:
        st.info("No answer here has both its words and its latency known.", icon=":material/info:")
        return
    st.caption(
        f"{chart_words.length(view, len(rows), drawn)} A click on a point opens the answer beside the baseline's."
    )
    spec = length_chart(rows, models).to_dict()
    _show(spec, "length", "Latency against words, a point per answer", reading.on_click(st.session_state.get(BASELINE)))
    _downloads(spec, rows, "answers", view)


def _show(spec: dict[str, Any], name: str, alt: str, on_click: Callable[[str], None] | None = None) -> None:
    if on_click is None:
        st.vega_lite_chart(spec=spec, key=f"leaderboard_{name}", alt=alt)
        return
    key = reading.fresh_key(name)
    st.vega_lite_chart(spec=spec, key=key, alt=alt, on_select=lambda: on_click(key))


def _downloads(spec: dict[str, Any], table: pd.DataFrame, name: str, view: View) -> None:
    with st.popover("Download", icon=":material/download:", key=f"leaderboard_download_{name}"):
        download_chart(lambda: spec, lambda: table, f"{name}-{view.host.key}", f"leaderboard_{name}")
