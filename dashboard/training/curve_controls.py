"""What steers the charts of training runs: the axis, the smoothing, the scale, the visible part, the hidden runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

import streamlit as st

from dashboard.training.curve_axes import AXES, Axis, known_axes
from dashboard.training.data import ShownRun
from evaluation.charts.curve import SHOWN, ZOOM
from evaluation.runs.curves import starting_weight

AXIS, WEIGHT, LOG, CLIP = "training_axis", "training_weight", "training_log_scale", "training_clip"
WEIGHT_CHOSEN = "training_weight_chosen"
FROM, TO = "training_from", "training_to"
START, REMEMBERED, ROUND = "training_chart_start", "training_chart_view", "training_chart_round"
WEIGHTS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)

Zoom = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Choice:
    """The settings above the charts."""

    axis: Axis
    weight: float
    log_scale: bool
    clip: bool


@dataclass(frozen=True)
class View:
    """What the visitor made of the loss chart with the mouse."""

    zoom: Zoom = field(default_factory=dict)
    """``x`` and ``y``, lowest and highest each; empty: everything."""
    hidden: frozenset[str] = frozenset()
    """Ids of runs."""

    @property
    def x_range(self) -> tuple[float, float] | None:
        return (float(min(self.zoom["x"])), float(max(self.zoom["x"]))) if self.zoom.get("x") else None


def pick(runs: Sequence[ShownRun]) -> Choice:
    """A row of controls; they keep their values for the visit."""
    axes = known_axes(runs)
    if st.session_state.get(AXIS) not in axes:
        st.session_state[AXIS] = axes[0]
    weights = _weights(runs)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="training_curve_controls"):
        axis = st.segmented_control(
            "Horizontal axis", axes, key=AXIS, required=True, persist_state="session", width="content"
        )
        weight = st.select_slider(
            "Smoothing",
            weights,
            key=WEIGHT,
            on_change=_chosen_weight,
            persist_state="session",
            width=240,
            help="Weight of what came before in the line: 0.9 averages over about 10 steps, 0.99 over about 100; "
            "0 joins the points. Every step counts, also those that are not drawn.",
        )
        log_scale = st.toggle("Log scale", key=LOG, persist_state="session")
        clip = st.toggle(
            "Clip outliers",
            key=CLIP,
            persist_state="session",
            help="Leaves out values further from the middle half of a run's values than three times its width.",
        )
        choice = Choice(AXES[axis or axes[0]], weight, log_scale, clip)
        _draw_part(choice)
    return choice


def _weights(runs: Sequence[ShownRun]) -> list[float]:
    """What the slider offers; until it is moved, it stands where the longest run is smoothed well."""
    longest = max((max(run.summary.run.steps or 0, len(run.log.train)) for run in runs), default=0)
    start = starting_weight(longest)
    if not st.session_state.get(WEIGHT_CHOSEN):
        st.session_state[WEIGHT] = start
    return sorted({*WEIGHTS, start, st.session_state.get(WEIGHT, start)})


def _chosen_weight() -> None:
    st.session_state[WEIGHT_CHOSEN] = True


def _draw_part(choice: Choice) -> None:
    """The visible part without a mouse."""
    with st.popover("Range", icon=":material/zoom_in:"):
        st.caption(
            "In the chart of the losses Ctrl (or Cmd) and the wheel, or a pinch on a touchpad, zooms; dragging moves; "
            "a double click shows everything again."
        )
        unit = choice.axis.label.lower()
        for name, key in (("From", FROM), ("To", TO)):
            st.number_input(
                f"{name}, {unit}",
                key=f"{key}_{choice.axis.column}",
                value=None,
                step=1 if choice.axis.whole else 0.01,
                persist_state="session",
            )
        st.button("Show this part", key="training_show_part", on_click=_show_part, args=(choice,), width="stretch")
        st.button(
            "Show everything",
            icon=":material/zoom_out_map:",
            key="training_show_all",
            on_click=_begin_anew,
            args=(choice, {}),
            width="stretch",
        )


def _show_part(choice: Choice) -> None:
    low, high = (st.session_state.get(f"{key}_{choice.axis.column}") for key in (FROM, TO))
    if low is not None and high is not None and low < high:
        _begin_anew(choice, {"x": (low, high)})
    else:
        st.toast("Give a first and a last value, the first one smaller.", icon=":material/info:")


def _begin_anew(choice: Choice, zoom: Zoom) -> None:
    """The chart is drawn as a new one, which begins with this part of it."""
    hidden = _remembered()[2]
    st.session_state[REMEMBERED] = (_scale(choice), zoom, hidden)
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1


def chart_key(runs: Sequence[ShownRun], choice: Choice) -> str:
    """Names the loss chart: another key is another chart, whose zoom would mean something else."""
    shown = crc32("/".join(sorted(run.summary.run.id for run in runs)).encode())
    return f"training_loss_{'_'.join(map(str, _scale(choice)))}_{shown:x}_{st.session_state.get(ROUND, 0)}"


@dataclass(frozen=True)
class _Start:
    """What a chart began with. Fixed as long as the browser shows it: another beginning would make it draw anew."""

    key: str
    view: View
    touched: bool = False
    """Whether the visitor has zoomed or hidden anything since."""


Fit = Callable[[tuple[float, float]], tuple[float, float]]
"""From a part of the horizontal axis to the lowest and highest of what lies in it."""


def views(key: str, choice: Choice, runs: Sequence[ShownRun], fit: Fit) -> tuple[View, View]:
    """What the chart of this key began with, and what the visitor sees of it at this moment, which is remembered for
    the rest of the visit."""
    begun = st.session_state.get(START)
    if begun is None or begun.key != key or key not in st.session_state:
        begun = st.session_state[START] = _Start(key, _beginning(choice, runs, fit))
    reported = st.session_state[key]["selection"] if begun.touched and key in st.session_state else {}
    zoom = reported.get(ZOOM, begun.view.zoom)
    hidden = _hidden(reported[SHOWN], runs) if SHOWN in reported else begun.view.hidden
    st.session_state[REMEMBERED] = (_scale(choice), zoom, hidden)
    return begun.view, View(zoom, hidden)


def touched() -> None:
    """Callback of the chart: from now on an empty selection means that the visitor emptied it."""
    st.session_state[START] = replace(st.session_state[START], touched=True)


def _beginning(choice: Choice, runs: Sequence[ShownRun], fit: Fit) -> View:
    """What is remembered of the chart before, as far as it has a meaning in this one."""
    scale, zoom, hidden = _remembered()
    hidden &= {run.summary.run.id for run in runs}
    hidden = frozenset() if len(hidden) == len(runs) else hidden
    if scale is None or scale[0] != choice.axis.column or "x" not in zoom:
        return View({}, hidden)
    if scale == _scale(choice) and "y" in zoom:
        return View(zoom, hidden)
    low, high = min(zoom["x"]), max(zoom["x"])
    return View({"x": (low, high), "y": fit((low, high))}, hidden)


def _hidden(shown: Any, runs: Sequence[ShownRun]) -> frozenset[str]:
    """``shown``: what the legend reports; a click beside all marks, as at the end of a drag, stands in it without a
    label."""
    labels = {each["label"] for each in shown if "label" in each} or {run.label for run in runs}
    return frozenset(run.summary.run.id for run in runs if run.label not in labels)


def _remembered() -> tuple[tuple[str, str] | None, Zoom, frozenset[str]]:
    return st.session_state.get(REMEMBERED, (None, {}, frozenset()))


def _scale(choice: Choice) -> tuple[str, str]:
    return choice.axis.column, "log" if choice.log_scale else "linear"
