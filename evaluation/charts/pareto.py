"""Quality against what it costs, and which models no other one beats in both."""

import altair as alt
import pandas as pd

from evaluation.charts.parts import LEGEND_LINE_PX, QUIET_COLOR, model_color, span, value_axis

PLOT_HEIGHT_PX = 320
LARGEST_PX2 = 500
"""Area of the point with most memory; the others are in proportion."""


def pareto_chart(models: pd.DataFrame, cost: str, quality: str) -> alt.LayerChart:
    """A point per model, better to the left and below, with its intervals; a line along the Pareto front.

    ``models`` has one row per model: ``label``, ``color``, ``cost``, ``cost_low``, ``cost_high``, ``quality``,
    ``quality_low``, ``quality_high`` (bounds NaN without an interval), ``memory_mb`` (NaN when unknown: a ring instead
    of a disk) and ``front`` (whether no other model beats it). ``cost`` and ``quality`` are the titles of the axes.
    """
    rows = models.assign(
        label=[_with_memory(label, mb) for label, mb in zip(models["label"], models["memory_mb"], strict=True)],
        cost_span=span(models["cost_low"], models["cost_high"], 2),
        quality_span=span(models["quality_low"], models["quality_high"], 3),
    )
    x = alt.X("cost:Q", title=cost, axis=value_axis(), scale=alt.Scale(zero=False, padding=28))
    y = alt.Y("quality:Q", title=quality, axis=value_axis(), scale=alt.Scale(zero=False, padding=24))
    base = alt.Chart(rows).encode(
        x=x,
        y=y,
        color=model_color(rows),
        tooltip=[
            alt.Tooltip("label", title="Model"),
            alt.Tooltip("cost", title=cost, format=",.2f"),
            alt.Tooltip("cost_span", title="its interval"),
            alt.Tooltip("quality", title=quality, format=".3f"),
            alt.Tooltip("quality_span", title="its interval"),
            alt.Tooltip("memory_mb", title="Peak memory, MB", format=",.0f"),
        ],
    )
    layers = []
    if rows["front"].any():
        front = alt.Chart(rows[rows["front"]]).encode(x=x, y=y, order="cost:Q")
        line = {"color": QUIET_COLOR, "strokeDash": [5, 4], "strokeWidth": 1.5}
        layers.append(front.mark_line(interpolate="step-after", **line))
    if rows["cost_low"].notna().any():
        layers.append(base.mark_rule().encode(x="cost_low:Q", x2="cost_high:Q"))
    if rows["quality_low"].notna().any():
        layers.append(base.mark_rule().encode(y="quality_low:Q", y2="quality_high:Q"))
    known = rows["memory_mb"].notna()
    if known.any():
        layers.append(
            base.transform_filter("isValid(datum.memory_mb)").mark_circle(opacity=0.75).encode(size=_area(rows))
        )
    if not known.all():
        layers.append(
            base.transform_filter("!isValid(datum.memory_mb)").mark_point(size=LARGEST_PX2 / 3, strokeWidth=2.5)
        )
    return alt.layer(*layers).properties(height=PLOT_HEIGHT_PX + LEGEND_LINE_PX * len(rows))


def _with_memory(label: str, memory_mb: float) -> str:
    return label if pd.isna(memory_mb) else f"{label} · {memory_mb:,.0f} MB"


def _area(rows: pd.DataFrame) -> alt.Size:
    scale = alt.Scale(domain=[0, rows["memory_mb"].max()], range=[0, LARGEST_PX2])
    return alt.Size("memory_mb:Q", scale=scale, legend=None)
