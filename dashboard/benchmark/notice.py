"""What the arena says while a benchmark has the machine to itself."""

import time

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from dashboard.times import about, local_clock
from evaluation.benchmark.folder import Benchmark, Progress

PAGE = "dashboard/app_pages/benchmark.py"
QUICKEST_REDRAW_S, SLOWEST_REDRAW_S = 2.0, 10.0
TOO_OFTEN = 1.5


def time_left(progress: Progress) -> str:
    """``about 12 minutes left, until 14:05``; says so when it is not known yet."""
    if progress.seconds_left is None or progress.updated_at is None:
        return "time left not known yet"
    finish_at = progress.updated_at + progress.seconds_left
    return f"{about(max(0.0, finish_at - time.time()))} left, until {local_clock(max(finish_at, time.time()))}"


def redraw_s(progress: Progress) -> float:
    """Seconds between two redraws. Each takes about a fifth of a second of a core, for the server and for a browser on
    the same machine: every 2 s that would nearly make the answers count as disturbed."""
    return min(max((progress.seconds_left or 0.0) / 60, QUICKEST_REDRAW_S), SLOWEST_REDRAW_S)


def redraws_too_often(progress: Progress, every_s: float) -> bool:
    """Whether a part that is redrawn every so many seconds should slow down, which only drawing the page anew can do:
    at the start of a benchmark nobody knows how long it takes."""
    return redraw_s(progress) > TOO_OFTEN * every_s


def refusal(running: Benchmark) -> str:
    """Why nobody can be asked now."""
    return f"Nobody was asked: a benchmark has this machine to itself ({time_left(running.progress)})."


def draw_notice() -> None:
    """Shown, and kept up to date, only while a benchmark runs."""
    if running := services.running_benchmark():
        every_s = redraw_s(running.progress)
        st.fragment(_notice, run_every=every_s)(every_s)


def _notice(every_s: float) -> None:
    running = services.running_benchmark()
    if running is None or redraws_too_often(running.progress, every_s):
        st.rerun()  # the whole page: without a benchmark nothing asks again then
    st.info(
        f"The benchmark **{as_plain(running.plan.name)}** has this machine to itself, so that its figures hold. "
        f"The arena answers again when it has ended ({time_left(running.progress)}).",
        icon=":material/speed:",
    )
    st.page_link(PAGE, label="See the benchmark", icon=":material/arrow_forward:")
