"""How long an answer takes against how long it is."""

import altair as alt
import pandas as pd

from evaluation.charts.parts import LEGEND_LINE_PX, model_color, value_axis

PLOT_HEIGHT_PX = 340
CLICK = "point"
"""The selection; its fields are ``model_key``, ``prompt_key`` and ``id``, that of the answer."""


def length_chart(answers: pd.DataFrame, models: pd.DataFrame) -> alt.Chart:
    """A point per answer: ``words`` across, ``latency_s`` up, in its model's color.

    ``answers`` also has ``label``, ``model_key``, ``prompt_key``, ``id`` and ``prompt``; ``models`` has ``label``
    and ``color`` in the order of the legend. Answers of one speed lie on one line through the corner: further out is
    longer, steeper is slower.
    """
    click = alt.selection_point(name=CLICK, fields=["model_key", "prompt_key", "id"], on="click", empty=False)
    return (
        alt.Chart(answers)
        .mark_circle(size=40, opacity=0.55, cursor="pointer")
        .encode(
            x=alt.X("words:Q", title="Words", axis=value_axis()),
            y=alt.Y("latency_s:Q", title="Latency, s", axis=value_axis()),
            color=model_color(models),
            tooltip=[
                alt.Tooltip("prompt", title="Prompt"),
                alt.Tooltip("label", title="Model"),
                alt.Tooltip("words", title="Words", format=",.0f"),
                alt.Tooltip("latency_s", title="Latency, s", format=",.2f"),
            ],
        )
        .add_params(click)
        .properties(height=PLOT_HEIGHT_PX + LEGEND_LINE_PX * len(models))
    )
