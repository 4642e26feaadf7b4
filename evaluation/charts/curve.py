"""What the charts of training runs have in common: a faint point per step, a strong smoothed line, the held-out values.

A chart is made of layers over named tables that are handed over beside it: while a run goes on only the tables change,
so the browser keeps the picture, its zoom and its hidden runs, and replaces the points in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import pyarrow as pa

POINTS, LINE, STEPS, HELD_OUT, DIVERGED, RANGE = "points", "line", "steps", "held_out", "diverged", "range"
"""Tables, each with ``x``; all but ``range`` with ``label`` (that of the run), all but the last two with ``y``.

``points``: what was logged. ``line``: the smoothed line. ``steps``: points that can be pointed at, with their values as
texts. ``held_out``: evaluations, likewise. ``diverged``: where a loss is NaN or infinite. ``range``: the ends of the
horizontal axis."""
ZOOM, SHOWN = "zoom", "shown"
"""Selections: the visible range, as ``x`` and ``y``; and the runs that are not hidden, by ``label``."""
FEW_POINTS, MANY_POINTS = 400, 2000
POINT_AREAS_PX2 = (28, 12, 5)
OPACITIES = (0.38, 0.38, 0.25)
EDGE_PX = 7
"""Where marks at the top edge stand."""
TEXTS = {
    "label": "Run",
    "step": "Step",
    "value": "Value",
    "smooth": "Smoothed",
    "learning_rate": "Learning rate",
    "grad_norm": "Gradient norm",
    "tokens": "Tokens",
    "tok_s": "Tokens/s",
    "elapsed_s": "Time",
    "mean_token_accuracy": "Accuracy",
    "entropy": "Entropy",
}
"""Columns with texts, in the order in which a tooltip has them."""

Spec = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """How a chart looks that does not follow from its tables. Changing any of it makes the browser draw anew."""

    labels: tuple[str, ...]
    """Of the runs, in the order of the legend."""
    colors: tuple[str, ...]
    x_title: str
    y_title: str
    texts: tuple[str, ...]
    """Columns of ``TEXTS`` that a point tells."""
    held_out_texts: tuple[str, ...] = ()
    x_format: str = ",~r"
    y_format: str = "~r"
    log_scale: bool = False
    y_domain: tuple[float, float] | None = None
    """``None``: as high as what is drawn."""
    density: int = 0
    """Of the points, as ``density`` counts them."""
    value_title: str = "Value"
    """What a point tells first."""
    legend: bool = True


def density(points: int) -> int:
    """0: few points, drawn large; 1: more; 2: so many that they are drawn as pixels, not as elements of the page."""
    return 0 if points <= FEW_POINTS else 1 if points <= MANY_POINTS else 2


def curve_layers(look: Look, params: list[alt.Parameter]) -> list[alt.Chart]:
    """Points, line, the point that is pointed at, held-out values. ``params`` belong to the lowest layer."""
    dash = alt.StrokeDash(
        "label:N", scale=alt.Scale(domain=list(look.labels), range=_dashes(look)), legend=_legend(look)
    )
    color = _color(look)
    x, y = _x(look), _y(look)
    area, opacity = POINT_AREAS_PX2[look.density], OPACITIES[look.density]
    points = (
        _over(POINTS).mark_circle(size=area, opacity=opacity, clip=True, tooltip=None).encode(x=x, y=y, color=color)
    )
    line = (
        _over(LINE).mark_line(strokeWidth=2.25, clip=True, tooltip=None).encode(x=x, y=y, color=color, strokeDash=dash)
    )
    pointed_at = alt.selection_point(
        name="pointed_at", fields=["label", "step"], on="pointermove", nearest=True, empty=False, clear="pointerout"
    )
    steps = (
        _over(STEPS)
        .mark_circle(size=70, clip=True, tooltip=_tooltip(look, look.texts))
        .encode(
            x=x,
            y=y,
            color=color,
            opacity=alt.when(pointed_at).then(alt.value(1)).otherwise(alt.value(0)),
        )
        .add_params(pointed_at)
    )
    held_out = _over(HELD_OUT).encode(x=x, y=y, color=color)
    return [
        points.add_params(*params),
        line,
        held_out.mark_line(strokeWidth=1.25, strokeDash=[2, 3], clip=True, tooltip=None),
        steps,
        held_out.mark_point(
            shape="diamond",
            size=80,
            filled=True,
            opacity=1,
            clip=True,
            tooltip=_tooltip(look, look.held_out_texts),
        ),
    ]


def diverged_layer(look: Look) -> alt.Chart:
    """Triangles at the top edge."""
    return (
        _over(DIVERGED)
        .mark_point(
            shape="triangle-down",
            size=60,
            filled=True,
            opacity=1,
            clip=True,
            tooltip=_tooltip(look, ("label", "step", "value")),
        )
        .encode(x=_x(look), y=alt.value(EDGE_PX), color=_color(look))
    )


def range_layer(look: Look) -> alt.Chart:
    """Nothing to see; the horizontal axis reaches as far as this table."""
    return _over(RANGE).mark_point(opacity=0, tooltip=None).encode(x=_x(look))


def finished(chart: alt.LayerChart | alt.FacetChart, look: Look) -> Spec:
    """The chart's specification, drawn by the browser in the way that suits the number of points."""
    many = look.density == 2
    # Checking it against the schema of Vega-Lite takes longer than making it; the tests draw it.
    if many:  # texts for screen readers, point by point, would take most of the time
        chart = chart.configure_mark(aria=False)
    return {**chart.to_dict(validate=False), "usermeta": {"embedOptions": {"renderer": "canvas" if many else "svg"}}}


def with_tables(spec: Spec, tables: Mapping[str, pa.Table]) -> Spec:
    """The specification with its data inside, as a file needs it."""
    return {**spec, "datasets": {name: table.to_pylist() for name, table in tables.items()}}


def _over(table: str) -> alt.Chart:
    """Its numbers come as numbers, so nothing is left to parse."""
    return alt.Chart(alt.NamedData(name=table, format=alt.DataFormat(parse=None)))


def _x(look: Look) -> alt.X:
    return alt.X(
        "x:Q",
        title=look.x_title or None,
        axis=alt.Axis(format=look.x_format, tickCount=6, labelOverlap=True, grid=False),
        scale=alt.Scale(nice=False, zero=False, padding=5),
    )


def _y(look: Look) -> alt.Y:
    scale = alt.Scale(
        type="log" if look.log_scale else "linear", zero=False, nice=look.y_domain is None and not look.log_scale
    )
    if look.y_domain:
        scale.domain = list(look.y_domain)
    return alt.Y(
        "y:Q",
        title=look.y_title or None,
        axis=alt.Axis(format=look.y_format, tickCount=6, labelOverlap=True),
        scale=scale,
    )


def _color(look: Look) -> alt.Color:
    return alt.Color(
        "label:N", scale=alt.Scale(domain=list(look.labels), range=list(look.colors)), legend=_legend(look)
    )


def _legend(look: Look) -> alt.Legend | None:
    if not look.legend:
        return None
    return alt.Legend(
        orient="bottom",
        columns=1,
        title=None,
        labelLimit=0,
        symbolType="stroke",
        symbolStrokeWidth=3,
        symbolSize=400,
        symbolOpacity=1,
    )


def _dashes(look: Look) -> list[list[int]]:
    """Runs that happen to share a color are told apart by their lines."""
    patterns = ([1000, 0], [9, 3], [4, 3], [9, 3, 2, 3])
    earlier = [look.colors[:number].count(color) for number, color in enumerate(look.colors)]
    return [patterns[count % len(patterns)] for count in earlier]


def _tooltip(look: Look, columns: tuple[str, ...]) -> alt.ExprRef:
    """As short as can be: the browser works it out for every point, whenever anything moves."""
    titles = {**TEXTS, "value": look.value_title}
    return alt.ExprRef("{" + ", ".join(f"{titles[column]!r}: datum.{column}" for column in columns) + "}")
