"""How much lower or higher one run's loss is than another's on the same batches, step by step."""

import altair as alt
import pandas as pd

from evaluation.charts.parts import LEGEND_LINE_PX, QUIET_COLOR, model_color, value_axis

HEIGHT_PX = 320


def paired_chart(points: pd.DataFrame, lines: pd.DataFrame) -> alt.LayerChart:
    """Each step's difference faint, the smoothed line strong, a line at zero.

    ``points`` and ``lines`` have the columns ``step``, ``difference`` (nats per token; of ``lines`` smoothed),
    ``label`` and ``color``; a run may have thousands of steps of which only some stand in the tables.
    """
    runs = lines.drop_duplicates("label")
    legend_px = LEGEND_LINE_PX * len(runs) if len(runs) > 1 else 0
    color = model_color(runs) if len(runs) > 1 else alt.value(runs["color"].iloc[0])
    x = alt.X(
        "step:Q",
        title="Step",
        axis=alt.Axis(tickCount=8, tickMinStep=1, labelOverlap=True),
        scale=alt.Scale(nice=False),
    )
    y = alt.Y("difference:Q", title="Difference, nats per token", axis=value_axis())
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=QUIET_COLOR, strokeWidth=1.5).encode(y="zero:Q")
    each = (
        alt.Chart(points.drop(columns="color"))
        .mark_circle(size=26, opacity=0.35)
        .encode(
            x=x,
            y=y,
            color=color,
            tooltip=[
                alt.Tooltip("label", title="Run"),
                alt.Tooltip("step", title="Step", format=","),
                alt.Tooltip("difference", title="Difference", format="+.4f"),
            ],
        )
    )
    smooth = (
        alt.Chart(lines.drop(columns="color"))
        .mark_line(strokeWidth=2.5, interpolate="monotone")
        .encode(x=x, y=y, color=color)
    )
    return alt.layer(zero, each, smooth).properties(height=HEIGHT_PX + legend_px)
