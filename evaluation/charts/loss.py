"""The losses of training runs, step by step, as a chart that can be zoomed and whose legend hides runs."""

from collections.abc import Mapping, Sequence

import altair as alt

from evaluation.charts.curve import SHOWN, ZOOM, Look, Spec, curve_layers, diverged_layer, finished

HEIGHT_PX = 440
LEGEND_LINE_PX = 24
WHEEL = "wheel![event.ctrlKey || event.metaKey]"
"""Browsers report a pinch on a touchpad as a wheel with Ctrl."""


def loss_chart(look: Look, shown: Sequence[str] = (), zoom: Mapping[str, Sequence[float]] | None = None) -> Spec:
    """Over the tables that ``curve`` describes, all but ``range``. The wheel zooms with Ctrl or Cmd, so that it scrolls
    the page without, as does a pinch on a touchpad; dragging moves, a double click shows everything again; a click on
    a run in the legend hides it, and the axes fit what is left.

    ``shown``: labels of the runs to begin with, none meaning all; ``zoom``: the range to begin with, ``x`` and ``y``.
    """
    zooming = alt.selection_interval(name=ZOOM, bind="scales", zoom=WHEEL, value=dict(zoom) if zoom else alt.Undefined)
    in_legend = alt.selection_point(
        name=SHOWN,
        fields=["label"],
        bind="legend",
        toggle="true",
        clear=False,
        value=[{"label": label} for label in shown or look.labels],
    )
    layers = [
        layer.transform_filter(in_legend) for layer in (*curve_layers(look, [zooming, in_legend]), diverged_layer(look))
    ]
    height = HEIGHT_PX + LEGEND_LINE_PX * len(look.labels)
    return finished(alt.layer(*layers).properties(height=height), look)
