"""Models against a baseline: each prompt a point, all prompts together an interval."""

import altair as alt
import numpy as np
import pandas as pd

from evaluation.charts.parts import QUIET_COLOR, model_axis, span, value_axis

ROW_PX = 64
MARGIN_PX = 60
CLICK = "point"
"""The selection; its fields are ``model_key`` and ``prompt_key``."""
_LANE = alt.Scale(domain=[-1, 1])


def differences_chart(pairs: pd.DataFrame, overall: pd.DataFrame, title: str) -> alt.LayerChart:
    """A row per model: its prompts as points, beside them a diamond at the median, each with its interval; a line at
    zero. Intervals of single prompts end at the edge.

    ``pairs`` has one row per model and prompt: ``model_key``, ``prompt_key``, ``label``, ``color``, ``prompt``,
    ``value``, ``answers`` (count), ``baseline_value``, ``baseline_answers``, ``difference``, ``low``, ``high``;
    ``overall`` one per model: ``label``, ``color``, ``median``, ``low``, ``high``, ``n``. Low and high are NaN without
    an interval. ``title`` names the difference and its unit.
    """
    points = pairs.assign(lane=_lanes(pairs), interval=span(pairs["low"], pairs["high"], 3))
    tops = overall.assign(lane=-0.7, interval=span(overall["low"], overall["high"], 3))
    y = alt.Y("label:N", sort=list(overall["label"]), title=None, axis=model_axis())
    lane = alt.YOffset("lane:Q", scale=_LANE)
    color = alt.Color("color:N", scale=None, legend=None)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=QUIET_COLOR, strokeWidth=1.5).encode(x="zero:Q")
    click = alt.selection_point(name=CLICK, fields=["model_key", "prompt_key"], on="click", empty=False)
    each = (
        alt.Chart(points)
        .mark_circle(size=42, opacity=0.5, cursor="pointer")
        .encode(
            x=alt.X("difference:Q", title=title, axis=value_axis(), scale=_extent(pairs, overall)),
            y=y,
            yOffset=lane,
            color=color,
            tooltip=[
                alt.Tooltip("prompt", title="Prompt"),
                alt.Tooltip("label", title="Model"),
                alt.Tooltip("value", title="Its figure", format=",.3~f"),
                alt.Tooltip("baseline_value", title="The baseline's", format=",.3~f"),
                alt.Tooltip("difference", title="Difference", format="+,.3~f"),
                alt.Tooltip("interval", title="its interval"),
                alt.Tooltip("answers", title="Answers"),
                alt.Tooltip("baseline_answers", title="The baseline's answers"),
            ],
        )
        .add_params(click)
    )
    repeated = points[points["low"].notna()]
    spread = alt.Chart(repeated).mark_rule(strokeWidth=1, opacity=0.2, clip=True)
    spreads = [spread.encode(x="low:Q", x2="high:Q", y=y, yOffset=lane, color=color)] if len(repeated) else []
    base = alt.Chart(tops).encode(
        y=y,
        yOffset=lane,
        color=color,
        tooltip=[
            alt.Tooltip("label", title="Model"),
            alt.Tooltip("median", title="Median difference", format="+,.3~f"),
            alt.Tooltip("interval", title="its interval"),
            alt.Tooltip("n", title="Prompts"),
        ],
    )
    median = base.mark_point(shape="diamond", size=130, filled=True, opacity=1).encode(x="median:Q")
    intervals = [base.mark_rule(strokeWidth=4).encode(x="low:Q", x2="high:Q")] if overall["low"].notna().any() else []
    return alt.layer(zero, *spreads, each, *intervals, median).properties(height=ROW_PX * len(overall) + MARGIN_PX)


def _extent(pairs: pd.DataFrame, overall: pd.DataFrame) -> alt.Scale:
    """As wide as the points and what is said of all of them: one wild prompt's interval would squeeze all the rest."""
    ends = pd.concat([pairs["difference"], overall["low"], overall["high"], pd.Series([0.0])]).dropna()
    margin = (ends.max() - ends.min()) * 0.05 or 1.0
    return alt.Scale(domain=[ends.min() - margin, ends.max() + margin], nice=True)


def _lanes(pairs: pd.DataFrame) -> np.ndarray:
    """Heights that keep points of like differences apart: the same at every drawing, and even over the lane."""
    golden = (np.arange(len(pairs)) * 0.618034) % 1
    return -0.35 + 1.15 * golden
