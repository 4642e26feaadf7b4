"""What the charts of training runs draw: smoothed on all steps, then thinned to what a browser and an eye can bear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st
from numpy.typing import NDArray

from dashboard.training.curve_axes import LOSS, Axis, along, log_key
from dashboard.training.curve_clip import clipped
from dashboard.training.data import ShownRun
from dashboard.training.step_texts import step_texts
from evaluation.charts.curve import DIVERGED, HELD_OUT, LINE, POINTS, RANGE, STEPS
from evaluation.runs import curves

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MARKS_ACROSS = 400
"""More triangles than that at the top edge of a chart would cover each other."""


@dataclass(frozen=True)
class Budget:
    """Rows of each kind for all runs of a chart together."""

    points: int
    line: int
    steps: int


LOSS_BUDGET = Budget(points=2_000, line=3_000, steps=300)
METRIC_BUDGET = Budget(points=1_200, line=2_000, steps=200)


@dataclass(frozen=True)
class Wish:
    """What is to be drawn of a metric."""

    metric: str
    axis: Axis
    weight: float
    log_scale: bool = False
    clip: bool = False
    x_range: tuple[float, float] | None = None
    """The visible part; ``None``: everything."""
    only_visible: bool = False
    """Leave out the other part, instead of drawing it with few points."""
    noisy: bool = True
    """Whether it is measured; what was set, as the learning rate, is a line without smoothing and points."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """The tables of a chart and what is left to say about them."""

    tables: Mapping[str, pa.Table]
    points: int
    """Drawn, of ``total`` that were logged."""
    total: int
    outside: int = 0
    """Points that clipping leaves out."""
    held_out_outside: int = 0
    """Evaluations that clipping leaves out."""
    not_positive: int = 0
    """Points that a log scale cannot show."""
    y_domain: tuple[float, float] | None = None
    """What clipping leaves; ``None`` when nothing is clipped."""


def drawing(runs: Sequence[ShownRun], wish: Wish, budget: Budget) -> Drawing:
    """The tables of a chart; computed once for the same logs and wishes."""
    return _drawing(f"{wish} {budget} {[(run.label, log_key(run)) for run in runs]}", wish, budget, runs)


@st.cache_resource(show_spinner=False, max_entries=48)
def _drawing(key: str, _wish: Wish, _budget: Budget, _runs: Sequence[ShownRun]) -> Drawing:
    """``key`` stands for all of it: Streamlit is slow with the objects."""
    wish, budget = _wish, _budget
    domain = clipped(_runs, wish.metric, wish.log_scale) if wish.clip else None
    share = Budget(*(max(1, rows // max(1, len(_runs))) for rows in (budget.points, budget.line, budget.steps)))
    asked = f"{wish} {domain} {share}"
    pieces = [_piece(f"{log_key(run)} {asked}", wish, domain, share, run) for run in _runs]
    labels = [run.label for run in _runs]
    tables = {name: _joined([piece.tables[name] for piece in pieces], labels) for name in TABLES}
    ends = wish.x_range or _hull([piece.extent for piece in pieces])
    return Drawing(
        {**tables, RANGE: pa.table({"x": np.array(ends, np.float32)})},
        points=tables[POINTS].num_rows,
        total=sum(piece.total for piece in pieces),
        outside=sum(piece.outside for piece in pieces),
        held_out_outside=sum(piece.held_out_outside for piece in pieces),
        not_positive=sum(piece.not_positive for piece in pieces),
        y_domain=domain,
    )


TABLES = (POINTS, LINE, STEPS, HELD_OUT, DIVERGED)
Columns = Mapping[str, Floats | list[str]]
"""Of a table, beside the run's label."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """A run's share of a drawing."""

    tables: Mapping[str, Columns]
    extent: tuple[float, ...]
    """First and last place on the axis; empty when there is none."""
    total: int
    outside: int
    held_out_outside: int
    not_positive: int


@st.cache_resource(show_spinner=False, max_entries=400)
def _piece(key: str, _wish: Wish, _domain: tuple[float, float] | None, _share: Budget, _run: ShownRun) -> _Piece:
    wish, domain, share, train = _wish, _domain, _share, _run.log.train
    x, x_held_out = along(_run, wish.axis)
    y = train[wish.metric].to_numpy(np.float64)
    smooth = curves.smoothed(y, wish.weight) if wish.weight and wish.noisy else y
    known = np.isfinite(x) & np.isfinite(y)
    positive = y > 0 if wish.log_scale else known
    inside = (y >= domain[0]) & (y <= domain[1]) if domain else known
    points = _chosen(x, y, known & positive & inside, wish, share.points)
    line = _chosen(x, smooth, smooth > 0 if wish.log_scale else None, wish, share.line)
    steps = points[curves.thinned(x[points], y[points], share.steps)]
    tables: dict[str, Columns] = {
        POINTS: {"x": x[points], "y": y[points]} if wish.noisy else {},
        LINE: {"x": x[line], "y": smooth[line]},
        STEPS: {"x": x[steps], "y": y[steps], **step_texts(train.iloc[steps], wish.metric, smooth[steps])},
        HELD_OUT: _held_out(_run.log.held_out, x_held_out, wish, share.steps),
        DIVERGED: _diverged(_run, x) if wish.metric == LOSS else {},
    }
    return _Piece(
        tables,
        _hull([_finite(x), _finite(x_held_out)]),
        total=int(known.sum()),
        outside=int((known & positive & ~inside).sum()),
        held_out_outside=_outside(_run.log.held_out[wish.metric].to_numpy(np.float64), x_held_out, domain),
        not_positive=int((known & ~positive).sum()),
    )


def _chosen(x: Floats, y: Floats, drawn: NDArray[np.bool_] | None, wish: Wish, count: int) -> Indices:
    """Which of the points to draw: most of them in the visible part. ``drawn``: those that may be; ``None``: all."""
    if drawn is not None and not drawn.all():
        y = np.where(drawn, y, np.nan)
    if wish.x_range is None:
        return curves.thinned(x, y, count)
    visible = (x >= wish.x_range[0]) & (x <= wish.x_range[1])
    rest = 0 if wish.only_visible else max(2, count // 4)
    near = curves.thinned(x, np.where(visible, y, np.nan), count - rest)
    return np.union1d(near, curves.thinned(x, np.where(visible, np.nan, y), rest)) if rest else near


def _held_out(held_out: pd.DataFrame, x: Floats, wish: Wish, count: int) -> Columns:
    y = held_out[wish.metric].to_numpy(np.float64)
    rows = _chosen(x, y, y > 0 if wish.log_scale else None, wish, count)
    return {"x": x[rows], "y": y[rows], **step_texts(held_out.iloc[rows], wish.metric)}


def _outside(y: Floats, x: Floats, domain: tuple[float, float] | None) -> int:
    """How many values a clipped axis leaves out."""
    if domain is None:
        return 0
    return int((np.isfinite(x) & np.isfinite(y) & ((y < domain[0]) | (y > domain[1]))).sum())


def _diverged(run: ShownRun, x: Floats) -> Columns:
    """One mark per place where an eye could tell two apart."""
    rows = np.flatnonzero(run.log.train["step"].isin(run.log.diverged_steps).to_numpy() & np.isfinite(x))
    if not len(rows):
        return {}
    width = np.ptp(x[np.isfinite(x)]) or 1.0
    first = np.unique(np.floor(x[rows] / width * MARKS_ACROSS), return_index=True)[1]
    return {"x": x[rows[first]], **step_texts(run.log.train.iloc[rows[first]], LOSS)}


def _finite(values: Floats) -> Floats:
    known = np.isfinite(values)
    return values if known.all() else values[known]


def _hull(parts: Sequence[Sequence[float] | Floats]) -> tuple[float, ...]:
    """Lowest and highest of all; empty when there is nothing."""
    ends = [(float(np.min(part)), float(np.max(part))) for part in parts if len(part)]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else ()


def _joined(parts: Sequence[Columns], labels: Sequence[str]) -> pa.Table:
    """One table, whose runs' labels are stored once each. A screen needs no more than single precision."""
    filled = [(number, part) for number, part in enumerate(parts) if part and len(part["x"])]
    run = np.repeat(np.array([number for number, _ in filled], np.int16), [len(part["x"]) for _, part in filled])
    columns = {"label": pa.DictionaryArray.from_arrays(pa.array(run), pa.array(list(labels), pa.string()))}
    for name in filled[0][1] if filled else ("x", "y"):
        values = [part[name] for _, part in filled]
        if name in ("x", "y"):
            columns[name] = pa.array(np.concatenate(values or [np.array([])]).astype(np.float32))
        else:
            columns[name] = pa.array([text for texts in values for text in texts], pa.string())
    return pa.table(columns)
