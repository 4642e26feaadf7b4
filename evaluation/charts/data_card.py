"""What a run was trained on: what the filters left, how long the answers are, where the rows come from."""

import altair as alt
import pandas as pd

from evaluation.charts.parts import QUIET_COLOR, value_axis

ROW_PX = 42
BAR_PX = 12
PADDING_PX = 20
"""The page takes so much of a chart's height for its edges: of a single row the name would be cut off."""
WORDS_HEIGHT_PX = 260


def bars_chart(bars: pd.DataFrame) -> alt.LayerChart:
    """A bar per row, its ``name`` and ``text`` above it in full: names of filters and sources are long.

    ``bars``: ``name``, ``rows``, ``text`` and ``color``, from the top.
    """
    frame = bars.assign(
        place=range(len(bars)), label=[f"{n}: {t}" for n, t in zip(bars["name"], bars["text"], strict=True)]
    )
    base = alt.Chart(frame).encode(
        y=alt.Y("place:O", axis=None),
        tooltip=[alt.Tooltip("name", title="Rows"), alt.Tooltip("text", title="Number")],
    )
    bar = base.mark_bar(size=BAR_PX, yOffset=BAR_PX).encode(
        x=alt.X("rows:Q", axis=None, scale=alt.Scale(domainMin=0, nice=False)),
        color=alt.Color("color:N", scale=None, legend=None),
    )
    text = base.mark_text(align="left", baseline="middle", dy=-5, fontSize=13, color=QUIET_COLOR, limit=0).encode(
        x=alt.value(0), text="label"
    )
    return alt.layer(bar, text).properties(height=ROW_PX * max(len(frame), 1) + PADDING_PX).configure_view(stroke=None)


def words_chart(answers: pd.DataFrame, color: str) -> alt.Chart:
    """Histogram of the words per answer: ``low``, ``high`` (words, a bin holds those from low to below high),
    ``range`` (the bin in words) and ``answers`` (count)."""
    return (
        alt.Chart(answers)
        .mark_bar(color=color, binSpacing=1)
        .encode(
            x=alt.X("low:Q", bin="binned", title="Words per answer", axis=value_axis()),
            x2="high",
            y=alt.Y("answers:Q", title="Answers", axis=value_axis()),
            tooltip=[alt.Tooltip("range", title="Words"), alt.Tooltip("answers", title="Answers", format=",")],
        )
        .properties(height=WORDS_HEIGHT_PX)
    )
