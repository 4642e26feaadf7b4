"""The benchmark that runs now, kept up to date."""

import time

import streamlit as st

from dashboard import services, visitors
from dashboard.arena.answer_text import as_plain
from dashboard.benchmark import actions
from dashboard.benchmark.notice import redraw_s, redraws_too_often, time_left
from dashboard.benchmark.words import counts, meaning
from dashboard.told import told
from evaluation.benchmark.folder import Benchmark

STOP_PATIENCE_S, POLL_S = 5.0, 0.1
"""So long the page waits for a benchmark that was cancelled, before it goes on as usual."""


def draw_running(running: Benchmark) -> None:
    """Draw it, again and again until it has ended: then the whole page is drawn, and nothing asks any more.

    What is shown comes from the disk, so it is the same in every tab and for a benchmark of the command line.
    """
    every_s = redraw_s(running.progress)
    st.fragment(_follow, run_every=every_s)(every_s)


def _follow(every_s: float) -> None:
    running = services.running_benchmark()
    if running is not None:
        if redraws_too_often(running.progress, every_s):
            st.rerun()
        with st.container(border=True):
            _draw(running)
        if not actions.is_stopping(running) or not _ends_soon():
            return
    actions.forget_stopping()
    st.rerun()


def _ends_soon() -> bool:
    give_up_at = time.monotonic() + STOP_PATIENCE_S
    while time.monotonic() < give_up_at:
        if services.running_benchmark() is None:
            return True
        time.sleep(POLL_S)
    return False


def _draw(running: Benchmark) -> None:
    progress = running.progress
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"##### :material/play_circle: {as_plain(running.plan.name)}", width="content")
        if visitors.may_manage():
            st.button(
                "Stopping…" if actions.is_stopping(running) else "Cancel",
                icon=":material/stop_circle:",
                key="benchmark_cancel",
                disabled=actions.is_stopping(running),
                on_click=actions.cancel,
                args=(running,),
                help="Ends it now. Every finished answer is kept, only the one being written is thrown away, and it "
                "can be resumed where it was.",
            )
    share = progress.done / progress.total if progress.total else 0.0
    st.progress(min(share, 1.0), text=f"{share:.0%} · {told(progress.now or 'Starting')}")
    st.markdown(f"**{counts(progress)}** · {time_left(progress)}", help=meaning(progress))
    st.caption(
        "It goes on when this page is closed; a browser on the same machine takes some of it. The arena answers again "
        "when it has ended."
    )
