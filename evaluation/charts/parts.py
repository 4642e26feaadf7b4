"""What several charts have in common: how a model is named on an axis and in a legend, and the quiet color."""

import altair as alt
import pandas as pd

QUIET_COLOR = "#8b909a"
"""Of everything that is not a model; can be read on a white and on a dark page."""
LEGEND_LINE_PX = 20
"""What a line of a legend under a chart adds to its height."""


def model_axis(width_px: int = 170) -> alt.Axis:
    """Names in two lines: a fine-tune differs from its base at the end, which must not be the part cut off."""
    return alt.Axis(
        labelExpr="split(replace(datum.label, ' + ', '|+ '), '|')", labelLimit=width_px, ticks=False, domain=False
    )


def value_axis() -> alt.Axis:
    """Few enough values to be read on a phone."""
    return alt.Axis(tickCount=6, labelOverlap=True)


def model_color(models: pd.DataFrame) -> alt.Color:
    """The column ``label`` in the colors of the column ``color``, one row per model, with a legend under the chart in
    which each model has its line."""
    return alt.Color(
        "label:N",
        scale=alt.Scale(domain=list(models["label"]), range=list(models["color"])),
        legend=alt.Legend(orient="bottom", columns=1, title=None, labelLimit=0, symbolOpacity=1),
    )


def span(low: pd.Series, high: pd.Series, digits: int) -> list[str]:
    """``1.70–1.99`` per row, ``−0.05 to 0.03`` with a sign in it, ``–`` where it is unknown."""

    def one(start: float, end: float) -> str:
        if pd.isna(start) or pd.isna(end):
            return "–"
        return f"{start:,.{digits}f}{' to ' if start < 0 else '–'}{end:,.{digits}f}".replace("-", "−")

    return [one(start, end) for start, end in zip(low, high, strict=True)]
