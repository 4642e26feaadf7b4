"""The charts of training runs as files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st

from dashboard.downloads import download_chart
from dashboard.training.curve_axes import along
from dashboard.training.curve_controls import Choice
from dashboard.training.data import ShownRun
from evaluation.charts.curve import Spec, with_tables
from evaluation.runs.curves import smoothed

WHICH = "training_download_chart"


@dataclass(frozen=True, eq=False)
class Picture:
    """A chart as it is shown."""

    metric: str
    spec: Callable[[], Spec]
    """Made when it is needed."""
    tables: Mapping[str, pa.Table]


def draw_downloads(
    pictures: Mapping[str, Picture],
    runs: Sequence[ShownRun],
    choice: Choice,
    x_range: tuple[float, float] | None,
) -> None:
    """One of the charts as it is shown, and every step in it as a table; made at the click."""
    popover = st.popover("Download", icon=":material/download:", key="training_download", on_change="rerun")
    if not popover.open:
        return
    with popover:
        if st.session_state.get(WHICH) not in pictures:
            st.session_state[WHICH] = next(iter(pictures))
        picture = pictures[st.selectbox("Chart", list(pictures), key=WHICH)]
        name = f"{picture.metric.replace('_', '-')}-{runs[0].summary.run.id if len(runs) == 1 else 'runs'}"
        download_chart(
            lambda: with_tables(picture.spec(), picture.tables),
            lambda: every_step(runs, picture.metric, choice, x_range),
            name,
            f"training_{picture.metric}_file",
        )


def every_step(
    runs: Sequence[ShownRun], metric: str, choice: Choice, x_range: tuple[float, float] | None
) -> pd.DataFrame:
    """The visible part, nothing thinned: ``run``, ``kind`` (train or held-out), ``step``, the axis, the metric and its
    smoothed line."""
    parts = []
    for run in runs:
        places = along(run, choice.axis)
        for kind, log, x in zip(("train", "held-out"), (run.log.train, run.log.held_out), places, strict=True):
            y = log[metric].to_numpy(np.float64)
            line = smoothed(y, choice.weight) if kind == "train" else np.full(len(y), np.nan)
            columns = {"run": run.label, "run_id": run.summary.run.id, "kind": kind, "step": log["step"]}
            axis = {} if choice.axis.column == "step" else {choice.axis.label.lower(): x}
            part = pd.DataFrame({**columns, **axis, metric: y, f"{metric}_smoothed": line})
            low, high = x_range or (-np.inf, np.inf)
            parts.append(part[(x >= low) & (x <= high)])
    return pd.concat(parts, ignore_index=True)
