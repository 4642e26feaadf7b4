"""What else was logged at each step, as small charts beside each other."""

import altair as alt

from evaluation.charts.curve import Look, Spec, curve_layers, finished, range_layer

HEIGHT_PX = 190


def metric_chart(look: Look) -> Spec:
    """Over the tables that ``curve`` describes, all but ``diverged``. One for all metrics: ``titled`` names each."""
    layers = alt.layer(*curve_layers(look, []), range_layer(look))
    return finished(layers.properties(height=HEIGHT_PX), look)


def titled(spec: Spec, title: str) -> Spec:
    """The chart with a title above its vertical axis."""
    return {**spec, "title": {"text": title, "anchor": "start", "fontSize": 14, "offset": 8}}
