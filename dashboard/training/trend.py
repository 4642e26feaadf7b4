"""Per run, whether it learned and whether it is over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.training.data import ShownRun
from evaluation.runs.statement import statement
from evaluation.runs.trend import Part, Trend, starting_threshold
from evaluation.runs.trend_words import QUARTERS

FEW_RUNS = 3
"""Of more, only the headline of each is shown until asked for the rest."""
THRESHOLD, THRESHOLD_START = "training_threshold", "training_threshold_start"
THRESHOLD_CHOSEN = "training_threshold_chosen"
ICONS = {"falls": ":material/trending_down:", "rises": ":material/trending_up:", "unclear": ":material/trending_flat:"}
METHOD = (
    "The intervals allow for losses that depend on the ones before, as smoothed or slowly drifting ones do: of runs "
    "that learn nothing, about 7 in 100 seem to fall or rise, in the last half or as a whole (from 30 logged steps on, "
    "autocorrelation up to 0.6). Shorter runs, smoothed logs and slow drifts deceive it more often: up to 20 in 100."
)


@dataclass(frozen=True)
class _Statement:
    """What is shown of a run; Markdown."""

    icon: str
    headline: str
    sentences: Sequence[str]
    quarters: tuple[Part, ...]


def draw_trend(runs: list[ShownRun]) -> None:
    """Per run, whether it learned and whether it is over."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.subheader("Is it learning?", anchor=False, help=METHOD, width="content")
        threshold = _pick_threshold(runs[0])
    draw = _draw if len(runs) <= FEW_RUNS else _draw_folded
    for run in runs:
        draw(run, _statement(run.version, threshold, run), threshold)


def _pick_threshold(first: ShownRun) -> float:
    """One for all runs, so that their counts compare; until it is moved, it stands where the first run's losses lie."""
    if not st.session_state.get(THRESHOLD_CHOSEN):
        start = _starting_threshold(first.version, first)
        st.session_state[THRESHOLD] = st.session_state[THRESHOLD_START] = start
    start = st.session_state[THRESHOLD_START]
    step = 10.0 ** (math.floor(math.log10(abs(start))) - 1) if start else 0.1
    return st.number_input(
        "Count steps above",
        step=step,
        format=f"%.{max(1, -math.floor(math.log10(step)))}f",
        key=THRESHOLD,
        on_change=_chosen_threshold,
        persist_state="session",
        width=180,
        help="A training loss in nats per token. Of each quarter of a run, the steps above it are counted.",
    )


def _chosen_threshold() -> None:
    st.session_state[THRESHOLD_CHOSEN] = True


def _draw(run: ShownRun, said: _Statement, threshold: float) -> None:
    with st.container(border=True, gap="xsmall"):
        st.markdown(_head(run, said))
        st.markdown(_listed(said.sentences))
        if said.quarters:
            with st.expander("The four quarters"):
                st.markdown(_table(said.quarters, threshold))


def _draw_folded(run: ShownRun, said: _Statement, threshold: float) -> None:
    row = st.expander(_head(run, said), key=f"training_trend_{run.summary.run.id}", on_change="rerun")
    if row.open:
        row.markdown(_listed(said.sentences))
        if said.quarters:
            row.markdown(_table(said.quarters, threshold))


def _head(run: ShownRun, said: _Statement) -> str:
    dot = f':color[●]{{foreground="{run.color}"}}'
    return f"{dot} **{as_plain(run.label)}** \u2003{said.icon} **{said.headline}**"


def _listed(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _table(quarters: tuple[Part, ...], threshold: float) -> str:
    lines = [f"| Quarter | Steps | Mean loss | Above {threshold:g} |", "| --- | --- | --: | --: |"]
    for name, part in zip(QUARTERS, quarters, strict=False):
        share = f"{part.above:,} of {part.steps:,} ({part.above / part.steps:.0%})"
        lines.append(f"| {name} | {part.first_step:,}–{part.last_step:,} | {part.mean:.3f} | {share} |")
    return "\n".join(lines)


@st.cache_data(show_spinner=False, max_entries=100)
def _starting_threshold(version: tuple[object, ...], _run: ShownRun) -> float:
    return starting_threshold(_run.log.train["loss"].to_numpy())


@st.cache_data(show_spinner=False, max_entries=200)
def _statement(version: tuple[object, ...], threshold: float, _run: ShownRun) -> _Statement:
    """``version`` stands for all that the log holds."""
    said = statement(_run.summary.run, _run.log, threshold)
    found = said.trend
    return _Statement(
        icon=":material/error:" if said.diverged else _icon(found),
        headline=said.headline,
        sentences=said.sentences,
        quarters=found.quarters if found and len(found.quarters) == len(QUARTERS) else (),
    )


def _icon(found: Trend | None) -> str:
    if found is None or found.change is None or found.change.low is None:
        return ":material/hourglass_empty:"
    return ICONS[found.direction]
