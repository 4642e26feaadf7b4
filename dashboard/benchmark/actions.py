"""What the buttons of the page do. A refusal is kept as a sentence and shown at the next drawing."""

import streamlit as st

from dashboard import services
from dashboard.machine import Taken, take
from dashboard.told import told
from dashboard.visitors import owners_only
from evaluation.benchmark import folder
from evaluation.benchmark.folder import Benchmark, BenchmarkError
from evaluation.benchmark.plan import Plan

FAULT = "benchmark_fault"
STOPPING = "benchmark_stopping"
PUBLIC = (
    "On a public page only its owners benchmark. On a machine of your own, `make app` opens this page with all it can "
    "do."
)


@owners_only(FAULT, PUBLIC, BenchmarkError, Taken)
def start(plan: Plan) -> None:
    """Write the plan down and begin."""
    _take_machine()
    results_dir = services.settings().results_dir
    folder.start(results_dir, folder.create(results_dir, plan).name)


@owners_only(FAULT, PUBLIC, BenchmarkError, Taken)
def resume(benchmark: str, again: bool) -> None:
    """Go on with what is not done; ``again``: also with what failed or was disturbed. Nothing when it runs already: a
    second click comes before the button is gone."""
    running = services.running_benchmark()
    if running is not None and running.plan.id == benchmark:
        return
    _take_machine()
    folder.start(services.settings().results_dir, benchmark, again)


@owners_only(FAULT, PUBLIC)
def cancel(running: Benchmark) -> None:
    """Ask it to stop; that takes it a moment."""
    folder.cancel(running.folder)
    st.session_state[STOPPING] = running.plan.id


def is_stopping(running: Benchmark) -> bool:
    """Whether this tab has asked it to stop."""
    return bool(st.session_state.get(STOPPING) == running.plan.id)


def forget_stopping() -> None:
    """It has ended; resumed, it can be asked again."""
    st.session_state.pop(STOPPING, None)


def draw_fault() -> None:
    """Why the last click did nothing, once."""
    if fault := st.session_state.pop(FAULT, None):
        st.error(told(fault), icon=":material/error:")


def _take_machine() -> None:
    take()
    forget_stopping()
