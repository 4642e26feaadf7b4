"""The leaderboard's charts, with what is said beside them; each as it stands without a question asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import altair as alt
from markupsafe import Markup

from evaluation.charts.differences import differences_chart
from evaluation.charts.latency import latency_chart
from evaluation.charts.length import length_chart
from evaluation.charts.pareto import pareto_chart
from evaluation.leaderboard import chart_data, chart_words
from evaluation.leaderboard.figures import BY_KEY
from evaluation.leaderboard.private_prompts import without_private_prompts
from evaluation.leaderboard.table import heading
from evaluation.leaderboard.view import View
from evaluation.report.texts import sentence

POINT_COLUMNS = ["label", "prompt", "words", "latency_s"]


@dataclass(frozen=True)
class Chart:
    """A picture with its text."""

    id: str
    """Anchor, unique in the page."""
    title: str
    caption: Markup
    spec: dict[str, Any] | None
    """Vega-Lite with its data inside; ``None`` where there is nothing to draw."""
    said: tuple[Markup, ...] = ()
    """Sentences below it."""


def leaderboard_charts(view: View) -> list[Chart]:
    """Those that can be drawn of a view, the others with the reason; none where nothing counts."""
    return [] if view.measured.cells.empty else list(_charts(view))


def _charts(view: View) -> Iterator[Chart]:
    rows = chart_data.latency_rows(view)
    if not rows.empty:
        yield _chart("latency", "Long or slow?", chart_words.LATENCY, latency_chart(rows, "Model"))
    yield _quality(view)
    if len(view.measured.board.answered) > 1:
        yield from _differences(view)
    yield from _every_answer(view)


def _quality(view: View) -> Chart:
    title, known = "Quality and latency", chart_data.costs(view)
    if not known:
        why = "No quality is known here: it is measured by a benchmark whose prompts have reference answers."
        return Chart("quality", title, Markup(why), None)
    rows = chart_data.pareto_rows(view, known[0])
    drawing = pareto_chart(rows, heading(BY_KEY[known[0]]), BY_KEY[chart_data.QUALITY].label)
    return _chart("quality", title, chart_words.quality(view.measured.board), drawing)


def _differences(view: View) -> Iterator[Chart]:
    rows = view.measured.board.answered
    baseline = next((row for row in rows if row.adapter_run is None), rows[0])
    figure = BY_KEY[chart_data.comparable_figures(view)[0]]
    pairs, overall, found = chart_data.differences(view, baseline.model_key, figure.key)
    if pairs.empty:
        return
    shown = chart_data.sample(without_private_prompts(pairs, view.answers.choices(view.host.key)))
    caption = chart_words.differences(shown, len(pairs))
    title = f"{figure.label}: difference to {view.labels[baseline.model_key]}"
    drawing = differences_chart(
        shown.drop(columns=["model_key", "prompt_key"]), overall, f"{heading(figure)}: difference"
    )
    said = tuple(sentence(chart_words.compared(view, each, figure)) for each in found)
    yield _chart("differences", title, caption, drawing, said)


def _every_answer(view: View) -> Iterator[Chart]:
    points, models, drawn = chart_data.length_rows(view)
    if points.empty:
        return
    shown = without_private_prompts(points, view.answers.choices(view.host.key))[POINT_COLUMNS]
    caption = chart_words.length(view, len(points), drawn)
    yield _chart("answers", "Every answer", caption, length_chart(shown, models))


def _chart(id: str, title: str, caption: str, drawing: alt.TopLevelMixin, said: tuple[Markup, ...] = ()) -> Chart:
    spec = drawing.to_dict()
    # A click opens an answer where there is a server behind the page.
    spec["params"] = [each for each in spec.get("params", []) if each["name"] != "point"]
    return Chart(id, title, sentence(caption), as_wide_as_the_page(spec), said)


def as_wide_as_the_page(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification for a page that it shares with others."""
    fitted = {**spec, "width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
    fitted.pop("usermeta", None)
    return fitted
