"""The losses of the chosen runs with everything that steers the picture, and the other metrics below."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from dashboard.training import curve_controls, curve_files, curve_notes
from dashboard.training.curve_axes import LOSS, has_axis, has_metric, is_empty
from dashboard.training.curve_controls import Choice, View
from dashboard.training.curve_data import LOSS_BUDGET, METRIC_BUDGET, Drawing, Wish, drawing
from dashboard.training.curve_files import Picture
from dashboard.training.data import ShownRun
from evaluation.charts import curve
from evaluation.charts.curve import DIVERGED, LINE, POINTS, RANGE, SHOWN, ZOOM, Look, Spec
from evaluation.charts.loss import loss_chart
from evaluation.charts.metrics import metric_chart, titled

METRICS = {
    "learning_rate": "Learning rate",
    "grad_norm": "Gradient norm",
    "mean_token_accuracy": "Token accuracy",
    "entropy": "Entropy, nats",
    "tok_s": "Throughput, tokens/s",
}
"""In the order of the page."""
PER_ROW = 3
TOLD = ("learning_rate", "grad_norm", "tokens", "tok_s", "elapsed_s", "mean_token_accuracy", "entropy")
"""What a point of the loss chart tells beside its loss."""


def draw_curves(runs: list[ShownRun]) -> None:
    """The losses of these runs with everything that steers the picture, and the other metrics below."""
    st.subheader("Loss", anchor=False)
    logged = [run for run in runs if not is_empty(run)]
    if not logged:
        st.info(curve_notes.nothing_yet(runs), icon=":material/hourglass_empty:")
        return
    choice = curve_controls.pick(logged)
    shown = [run for run in logged if has_axis(run, choice.axis)]
    wish = Wish(LOSS, choice.axis, choice.weight, choice.log_scale, choice.clip)
    key = curve_controls.chart_key(shown, choice)
    start, view = curve_controls.views(key, choice, shown, partial(_fit, shown, wish))
    found = drawing(shown, replace(wish, x_range=view.x_range), LOSS_BUDGET)
    look = _look(shown, choice, found)
    _draw_loss(key, shown, look, start, found)
    st.caption(curve_notes.notes(runs, shown, choice, found))
    visible = [run for run in shown if run.summary.run.id not in view.hidden]
    pictures = {"Loss": Picture(LOSS, partial(_spec, shown, look, view), found.tables)}
    pictures |= _draw_metrics(visible, choice, view, look)
    curve_files.draw_downloads(pictures, visible, choice, view.x_range)


def _draw_loss(key: str, runs: Sequence[ShownRun], look: Look, start: View, found: Drawing) -> None:
    tables = {name: table for name, table in found.tables.items() if name != RANGE}
    st.vega_lite_chart(
        spec={**_spec(runs, look, start), "datasets": tables},
        key=key,
        on_select=curve_controls.touched,
        selection_mode=[ZOOM, SHOWN],
        alt=f"Loss of {', '.join(look.labels)}",
    )


def _draw_metrics(visible: Sequence[ShownRun], choice: Choice, view: View, look: Look) -> dict[str, Picture]:
    """Small charts beside each other, of what the runs that are not hidden logged; the same part of the axis."""
    small = replace(
        look,
        x_title="",
        y_title="",
        texts=("label", "step", "value", "smooth"),
        held_out_texts=("label", "step", "value"),
        y_format="~r",
        log_scale=False,
        legend=False,
        value_title="Value",
    )
    pictures: dict[str, Picture] = {}
    left_out: dict[str, str] = {}
    for metric, title in METRICS.items():
        logged = [run for run in visible if has_metric(run, metric)]
        if logged:
            wish = Wish(
                metric,
                choice.axis,
                choice.weight,
                clip=choice.clip,
                x_range=view.x_range,
                only_visible=True,
                noisy=metric != "learning_rate",
            )
            found = drawing(logged, wish, METRIC_BUDGET)
            tables = {name: table for name, table in found.tables.items() if name != DIVERGED}
            look_of_it = replace(small, y_domain=found.y_domain)
            pictures[title] = Picture(metric, partial(_small_spec, look_of_it, title), tables)
            left_out[title] = curve_notes.outside(found)
    for first in range(0, len(pictures), PER_ROW):
        row = list(pictures.items())[first : first + PER_ROW]
        for column, (title, picture) in zip(st.columns(PER_ROW), row, strict=False):
            column.vega_lite_chart(
                spec={**picture.spec(), "datasets": picture.tables}, key=f"training_{picture.metric}", alt=title
            )
            if left_out[title]:
                column.caption(left_out[title])
    return pictures


def _look(runs: Sequence[ShownRun], choice: Choice, found: Drawing) -> Look:
    def logged(column: str) -> bool:
        return any(has_metric(run, column) for run in runs)

    return Look(
        labels=tuple(run.label for run in runs),
        colors=tuple(run.color for run in runs),
        x_title=choice.axis.title,
        y_title="Loss, nats per token",
        texts=("label", "step", "value", "smooth", *filter(logged, TOLD)),
        held_out_texts=("label", "step", "value"),
        x_format=choice.axis.format,
        log_scale=choice.log_scale,
        y_domain=found.y_domain,
        density=curve.density(found.total),
        value_title="Loss",
    )


def _spec(runs: Sequence[ShownRun], look: Look, view: View) -> Spec:
    shown = tuple(run.label for run in runs if run.summary.run.id not in view.hidden)
    return _loss_spec(look, shown, tuple((name, tuple(ends)) for name, ends in view.zoom.items()))


@st.cache_data(show_spinner=False, max_entries=64)
def _loss_spec(look: Look, shown: tuple[str, ...], zoom: tuple[tuple[str, tuple[float, ...]], ...]) -> Spec:
    return loss_chart(look, shown, dict(zoom))


def _small_spec(look: Look, title: str) -> Spec:
    return titled(_metric_spec(look), title)


@st.cache_data(show_spinner=False, max_entries=64)
def _metric_spec(look: Look) -> Spec:
    return metric_chart(look)


def _fit(runs: Sequence[ShownRun], wish: Wish, x_range: tuple[float, float]) -> tuple[float, float]:
    """The lowest and the highest of what is drawn in a part of the chart, with a margin."""
    tables: Mapping[str, pa.Table] = drawing(
        runs, replace(wish, x_range=x_range, only_visible=True), LOSS_BUDGET
    ).tables
    ends = [pc.min_max(tables[name]["y"]).as_py() for name in (POINTS, LINE) if tables[name].num_rows]
    if not ends:
        return (0.5, 2.0)
    low, high = min(end["min"] for end in ends), max(end["max"] for end in ends)
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return (low if wish.log_scale else low - margin, high + margin)
