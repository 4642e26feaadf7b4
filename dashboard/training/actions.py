"""What the buttons of the page do to trainings. A refusal is kept as a sentence and shown at the next drawing."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from dashboard import services
from dashboard.machine import Taken, take, why_taken
from dashboard.told import told
from dashboard.training.choice import choose
from dashboard.visitors import owners_only
from evaluation.runs.listing import RunSummary
from training import launch
from training.launch import NOT_INSTALLED, Launch, LaunchError
from training.runlog import Run

START_FORM = "training_start_form"
FAULT = "training_fault"
AWAITED = "training_awaited"
STOPPING = "training_stopping"
PUBLIC = (
    "On a public page only its owners train. On a machine of your own, `make app` opens this page with all it can do."
)


def last_launch() -> Launch | None:
    """What was started last from a page, by anybody."""
    return launch.last_launch(services.settings().results_dir)


def why_not() -> str | None:
    """Why nothing can be trained now, as Markdown; ``None`` when it can."""
    if not launch.installed():
        return NOT_INSTALLED
    return why_taken(services.running_benchmark())


@owners_only(FAULT, PUBLIC, LaunchError, Taken)
def start(recipe: Path, overrides: Sequence[str]) -> None:
    """Train by a recipe; its run is shown as soon as there is one."""
    take()
    launch.start(services.settings().results_dir, recipe, overrides)
    begun = last_launch()
    st.session_state[START_FORM] = False
    st.session_state[AWAITED] = begun.started_at if begun else None


@owners_only(FAULT, PUBLIC, LaunchError, Taken)
def resume(run: str) -> None:
    """Go on with a stopped run. Nothing when it is that which is being trained: a second click comes before the button
    is gone."""
    last = last_launch()
    if last is not None and last.alive and last.run == run:
        return
    take()
    launch.resume(services.settings().results_dir, run)
    choose([run])


@owners_only(FAULT, PUBLIC)
def interrupt(summary: RunSummary) -> None:
    """Ask a run to stop after the step in progress; asked again, it stops at once."""
    launch.interrupt(summary.folder)
    st.session_state.setdefault(STOPPING, set()).add(_stretch(summary.run))


@owners_only(FAULT, PUBLIC)
def stop() -> None:
    """End what is starting."""
    launch.stop(services.settings().results_dir)


def show_awaited(begun: Launch | None) -> None:
    """Show the run that this tab started, once, when it has begun."""
    if begun is not None and begun.run is not None and st.session_state.get(AWAITED) == begun.started_at:
        del st.session_state[AWAITED]
        choose([begun.run])


def is_stopping(run: Run) -> bool:
    """Whether this tab has asked it to stop."""
    return _stretch(run) in st.session_state.get(STOPPING, set())


def _stretch(run: Run) -> tuple[str, int]:
    """The run as long as it is not resumed, which may be done from anywhere."""
    return run.id, len(run.resumed_at)


def draw_fault() -> None:
    """Why the last click did nothing, once."""
    if fault := st.session_state.pop(FAULT, None):
        st.error("  \n".join(map(told, fault.splitlines())), icon=":material/error:")
