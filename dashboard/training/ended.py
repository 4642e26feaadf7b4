"""What was being trained when this tab looked, and is not any more: how it ended, and where to go from there."""

import time
from collections.abc import Sequence

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from dashboard.told import told
from dashboard.training import actions
from dashboard.training.choice import choose
from dashboard.training.lineage import draw_comparisons
from dashboard.training.looks import LOOKS
from dashboard.visitors import may_manage
from evaluation.runs.lineage import in_arena
from evaluation.runs.listing import Listing, RunSummary
from training.checkpoints import why_not_resumed
from training.launch import Launch

FOLLOWED, ENDED = "training_followed", "training_ended"
BEGINNING = ""
"""Stands for a launch whose run has no id yet."""
STILL_NEWS_S = 24 * 3600


def draw_ended(listing: Listing, live: Sequence[RunSummary], launch: Launch | None) -> None:
    """A notice for each that has ended, until the visitor closes it or it goes on."""
    runs = {each.run.id: each for each in listing.runs}
    for run in _ended({each.run.id for each in live}, launch):
        if run in runs:
            _draw_end(runs[run], launch if launch and launch.run == run else None)
        elif run == BEGINNING and launch is not None:
            _draw_failed_start(launch)


def _ended(live: set[str], launch: Launch | None) -> list[str]:
    now = live | ({launch.run or BEGINNING} if launch and launch.alive else set())
    followed: set[str] = st.session_state.get(FOLLOWED, {BEGINNING} if _failed_lately(launch) else set())
    begun = (launch.run if launch else None) or BEGINNING
    gone = {begun if run == BEGINNING else run for run in followed - now} - now
    if gone:
        services.catalog.clear()  # there may be a new model
    before = [run for run in st.session_state.get(ENDED, []) if run not in now | gone]
    st.session_state[FOLLOWED], st.session_state[ENDED] = now, [*before, *sorted(gone)]
    return [*before, *sorted(gone)]


def _failed_lately(launch: Launch | None) -> bool:
    """A start that failed leaves no run behind, so whoever comes back must be told of it."""
    if launch is None or launch.alive or launch.run is not None or not launch.last_words:
        return False
    return time.time() - launch.started_at < STILL_NEWS_S


def _draw_end(summary: RunSummary, launch: Launch | None) -> None:
    """``launch``: the one that trained it, if it was started from the page."""
    run = summary.run
    if run.status == "running":
        return
    look = LOOKS[run.status]
    with _notice(f":{look.color}[{look.icon}] **{as_plain(run.name)}** {look.ended}: {_summed_up(summary)}"):
        if run.status == "finished":
            draw_comparisons(in_arena(run, services.catalog()))
        elif not summary.read_only and why_not_resumed(run) is None:
            draw_resume_button(run.id, "ended")
        draw_show_button(run.id, "ended")
        _draw_close(run.id)
    if run.status == "finished" and launch is not None and not run.exports:
        reason = told(launch.last_words)
        st.warning(f"Its adapter could not be made ready for the arena. {reason}", icon=":material/warning:")


def _draw_failed_start(launch: Launch) -> None:
    reason = told(launch.last_words) or "It was stopped before its run began\\."
    with _notice(f":red[:material/error:] **{as_plain(launch.what)}** was not trained: {reason}"):
        _draw_close(BEGINNING)


def _notice(words: str) -> st.delta_generator.DeltaGenerator:
    """Returns where the links go."""
    with st.container(border=True, gap="small"):
        st.markdown(words)
        return st.container(horizontal=True, vertical_alignment="center", gap="small")


def _draw_close(run: str) -> None:
    st.button(
        "Close", icon=":material/close:", key=f"training_close_{run}", type="tertiary", on_click=_close, args=(run,)
    )


def _close(run: str) -> None:
    st.session_state[ENDED] = [each for each in st.session_state.get(ENDED, []) if each != run]


def _summed_up(summary: RunSummary) -> str:
    """Markdown."""
    if summary.run.status != "finished":
        return told(summary.run.reason or "nobody knows why.")
    parts = [f"{summary.steps_done:,} steps"] if summary.steps_done else []
    if summary.held_out_before is not None and summary.held_out_loss is not None:
        parts.append(f"loss on the held-out rows {summary.held_out_before:.3f} → {summary.held_out_loss:.3f}")
    return " · ".join(parts) or "nothing is known of it"


def draw_show_button(run: str, place: str) -> None:
    """``place``: tells the buttons of one run apart."""
    st.button(
        "Show",
        icon=":material/show_chart:",
        key=f"training_show_{place}_{run}",
        type="tertiary",
        on_click=choose,
        args=([run],),
        help="Only this run, below.",
    )


def draw_resume_button(run: str, place: str) -> None:
    """``place``: tells the buttons of one run apart. Nothing for strangers."""
    if not may_manage():
        return
    blocked = actions.why_not()
    st.button(
        "Resume",
        icon=":material/play_arrow:",
        key=f"training_resume_{place}_{run}",
        disabled=blocked is not None,
        help=blocked or "Goes on from its last checkpoint, with the settings it began with.",
        on_click=actions.resume,
        args=(run,),
    )
