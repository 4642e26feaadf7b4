"""The losses of runs that are compared: at the same point, and step by step where they saw the same batches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.downloads import download_chart
from dashboard.times import duration
from dashboard.training.data import ShownRun
from evaluation.charts.paired import paired_chart
from evaluation.leaderboard.wording import bold
from evaluation.runs.curves import smoothed, starting_weight, thinned
from evaluation.runs.milestones import Milestone, milestones
from evaluation.runs.number_words import number
from evaluation.runs.paired import Paired, paired, sentence, why_not_paired

CACHED = 64
POINTS = 1_600
"""Of all lines together: so many differences and as many points of the smoothed lines are sent to the browser."""
BASELINE = "training_compare_baseline"


def draw_losses(runs: Sequence[ShownRun]) -> None:
    """A small table, then the paired differences to a baseline."""
    versions = tuple(run.version for run in runs)
    reached = _milestones(versions, [run.log for run in runs])
    if reached:
        st.markdown("##### Losses at the same point")
        st.table(_table(reached, runs), border="horizontal", alt="The runs' losses at the same point")
        st.caption(
            "The furthest point that all of them reached. Training losses are smoothed alike; held-out losses are as "
            "measured. Nats per token, less is better: at 0.69 the model gives the right token a chance of one half."
        )
    st.markdown("##### Step by step")
    _draw_paired(runs)


@st.cache_data(max_entries=CACHED, show_spinner=False)
def _milestones(versions: tuple[object, ...], _logs: list[Any]) -> list[Milestone]:
    return milestones(_logs)


def _table(reached: Sequence[Milestone], runs: Sequence[ShownRun]) -> pd.DataFrame:
    rows = {_point(each): [number(loss, 3) for loss in each.losses] for each in reached}
    return pd.DataFrame.from_dict(rows, orient="index", columns=[as_plain(run.label) for run in runs])


def _point(milestone: Milestone) -> str:
    if milestone.held_out:
        return f"Held-out rows, step {milestone.at:,.0f}"
    if milestone.of == "step":
        return f"Step {milestone.at:,.0f}"
    if milestone.of == "tokens":
        return f"{milestone.at:,.0f} tokens"
    return f"{duration(milestone.at)} of training"


def _draw_paired(runs: Sequence[ShownRun]) -> None:
    baseline = _pick_baseline(runs)
    found: list[tuple[ShownRun, Paired]] = []
    said: list[str] = []
    for run in runs:
        if run is baseline:
            continue
        reason, pair = _pair((baseline.version, run.version), baseline, run)
        if pair is not None:
            found.append((run, pair))
            said.append(sentence(pair, baseline.label, run.label))
        else:
            text = reason or "They have no step in common."
            said.append(f"{bold(baseline.label)} and {bold(run.label)}: {text}" if len(runs) > 2 else text)
    st.markdown("\n".join(f"- {each}" for each in said) if len(said) > 1 else said[0])
    if found:
        _draw_chart(baseline, found)


def _pick_baseline(runs: Sequence[ShownRun]) -> ShownRun:
    by_id = {run.summary.run.id: run for run in runs}
    if len(runs) == 2:
        return runs[0]
    if st.session_state.get(BASELINE) not in by_id:
        st.session_state[BASELINE] = runs[0].summary.run.id
    chosen = st.selectbox(
        "Compared with", list(by_id), key=BASELINE, format_func=lambda key: by_id[key].label, persist_state="session"
    )
    return by_id[chosen]


@st.cache_resource(max_entries=CACHED, show_spinner=False)
def _pair(versions: tuple[object, ...], _baseline: ShownRun, _run: ShownRun) -> tuple[str | None, Paired | None]:
    reason = why_not_paired(_baseline.summary, _run.summary, _baseline.log, _run.log)
    return reason, None if reason else paired(_baseline.log, _run.log)


def _draw_chart(baseline: ShownRun, found: Sequence[tuple[ShownRun, Paired]]) -> None:
    drawn = (baseline, *(run for run, _ in found))
    spec = _spec(tuple((run.version, run.label, run.color) for run in drawn), list(found))
    st.vega_lite_chart(spec=spec, key="training_compare_chart", alt="Differences in loss, step by step")
    st.caption(
        f"Below zero: lower than {as_plain(baseline.label)}'s loss on the same batch. Faint: each step; strong: "
        "smoothed. One run each: how far another seed would move them is not in these intervals."
    )
    with st.popover("Download", icon=":material/download:", key="training_paired_download"):
        download_chart(lambda: spec, lambda: _every_step(baseline, found), "paired-differences", "training_paired")


def _every_step(baseline: ShownRun, found: Sequence[tuple[ShownRun, Paired]]) -> pd.DataFrame:
    parts = [pair.steps.assign(run=run.label, compared_with=baseline.label) for run, pair in found]
    return pd.concat(parts, ignore_index=True)


@st.cache_data(max_entries=CACHED, show_spinner=False)
def _spec(drawn: tuple[object, ...], _found: list[tuple[ShownRun, Paired]]) -> dict[str, Any]:
    budget = POINTS // len(_found)
    points, lines = [], []
    for run, pair in _found:
        steps, differences = (pair.steps[name].to_numpy(np.float64) for name in ("step", "difference"))
        line = smoothed(differences, starting_weight(len(differences)))
        for values, into in ((differences, points), (line, lines)):
            kept = thinned(steps, values, budget)
            frame = {"step": steps[kept], "difference": values[kept].round(5), "label": run.label, "color": run.color}
            into.append(pd.DataFrame(frame))
    return paired_chart(pd.concat(points), pd.concat(lines)).to_dict()
