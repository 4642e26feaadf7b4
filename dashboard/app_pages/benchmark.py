"""Benchmarks: start one, watch it, stop and resume it, and see what earlier ones left."""

import streamlit as st

from dashboard import services, visitors
from dashboard.benchmark import actions
from dashboard.benchmark.earlier import draw_earlier
from dashboard.benchmark.form import draw_form
from dashboard.benchmark.watch import draw_running
from dashboard.machine import why_taken


def main() -> None:
    """Draw the page."""
    running = services.running_benchmark()
    st.title("Benchmark", anchor=False)
    st.markdown(
        "Asks several models the same prompts, each of them alone on this machine and several times over, so that "
        "their figures can be compared."
    )
    actions.draw_fault()
    if running is not None:
        draw_running(running)
    if not visitors.may_manage():
        st.info(actions.PUBLIC, icon=":material/lock:")
        draw_earlier(running, actions.PUBLIC)
        return
    blocked = why_taken(running)
    draw_form(services.catalog(), blocked)
    draw_earlier(running, blocked)


main()
