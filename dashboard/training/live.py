"""What is being trained now: how far it is, when it will end, and how to stop it or go on."""

import time
from pathlib import Path

import streamlit as st

from dashboard import collector, visitors
from dashboard.arena.answer_text import as_plain
from dashboard.times import about, local_clock
from dashboard.told import told
from dashboard.training import actions, data
from dashboard.training.data import ShownRun
from dashboard.training.ended import draw_ended, draw_resume_button, draw_show_button
from dashboard.training.runs_frame import moment
from evaluation.runs.listing import Listing, RunSummary
from evaluation.runs.logs import RunLog
from evaluation.runs.pace import seconds_left
from training.checkpoints import why_not_resumed
from training.launch import Launch, is_trained
from training.run_lock import is_held
from training.runlog import LOG_FILE, RUN_FILE

LOOK_EVERY_S = 2.0
DOT = """
<style>
.training-live { display: block; width: .8rem; height: .8rem; border-radius: 50%; background: #14b8a6;
                 animation: training-live 1s steps(4) infinite alternate; }
@keyframes training-live { to { opacity: .25; } }
@media (prefers-reduced-motion: reduce) { .training-live { animation: none; } }
</style>
<span class="training-live" role="img" aria-label="is being trained"></span>
"""

Seen = tuple[object, ...]
"""What is looked at to tell whether the page must be drawn anew."""


def draw_live(listing: Listing) -> None:
    """What is being trained now, kept up to date: progress, time left, interrupt. Then what has just ended."""
    with st.container():  # one element, whatever is in it, so that what is below keeps its place and its zoom
        _draw(listing)


def _draw(listing: Listing) -> None:
    actions.draw_fault()
    launch = actions.last_launch()
    actions.show_awaited(launch)
    live = [each for each in listing.runs if each.run.status == "running" and each.run.origin == "trained"]
    seen = _seen([each.folder for each in live], alive=True)
    logs = data.logs().read([each.folder for each in live])
    for each in live:
        _draw_run(each, logs[each.folder])
    if launch is not None and launch.alive and launch.run not in {each.run.id for each in live}:
        _draw_launch(launch, next((each for each in listing.runs if each.run.id == launch.run), None))
    draw_ended(listing, live, launch)
    if live or (launch is not None and launch.alive):
        collector.spare()
        _watch(tuple(each.folder for each in live), (seen, _of_launch(launch)))


@st.fragment(run_every=LOOK_EVERY_S)
def _watch(folders: tuple[Path, ...], drawn: Seen) -> None:
    """The whole page is drawn anew when something has changed. Looking costs next to nothing, drawing does not; once
    nothing is trained, nobody looks any more."""
    if (_seen(folders), _of_launch(actions.last_launch())) != drawn:
        st.rerun()


def _seen(folders: list[Path] | tuple[Path, ...], alive: bool | None = None) -> Seen:
    """``alive``: take it for the truth, because the page says so."""
    return tuple(
        (is_held(folder) if alive is None else alive, *(_changed(folder / name) for name in (LOG_FILE, RUN_FILE)))
        for folder in folders
    )


def _changed(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _of_launch(launch: Launch | None) -> Seen:
    if launch is None:
        return ()
    return (launch.alive, launch.started_at, launch.run, launch.last_words if launch.run is None else None)


def _draw_run(summary: RunSummary, log: RunLog) -> None:
    run, done = summary.run, summary.steps_done or 0
    with st.container(border=True, gap="small"):
        with _head(run.name):
            draw_show_button(run.id, "live")
            _draw_interrupt(summary)
        share = done / run.steps if run.steps else 0.0
        st.progress(min(max(share, 0.0), 1.0), text=_phase(summary, log))
        known = [
            f"loss now **{summary.final_loss:.3f}**" if summary.final_loss is not None else None,
            f"{summary.tok_s:,.0f} tokens/s" if summary.tok_s is not None else None,
            _time_left(seconds_left(run.steps, log)),
        ]
        st.markdown(" · ".join(part for part in known if part) or "Time left not known yet")
        _caption()


def _time_left(seconds: float | None) -> str | None:
    """``None`` also where the calendar ends before the run does."""
    end = moment(time.time() + seconds) if seconds is not None else None
    return f"{about(seconds)} left, until {local_clock(end)}" if seconds is not None and end is not None else None


def _draw_launch(launch: Launch, summary: RunSummary | None) -> None:
    """Before its run begins to train, and after it has been trained."""
    with st.container(border=True, gap="small"):
        with _head(launch.what):
            if summary is None and visitors.may_manage():
                st.button("Stop", icon=":material/stop_circle:", key="training_stop", on_click=actions.stop)
        if summary is None:
            st.progress(0.0, text="Starting · loading the training packages")
            if launch.last_words:
                st.caption(told(launch.last_words))
        elif summary.run.status == "finished":
            st.progress(1.0, text="Trained · making the adapter ready for the arena")
        else:
            st.progress(0.0, text="Stopping")
        _caption()


def _caption() -> None:
    st.caption("It goes on when this page is closed. Whatever else computes on this machine slows it down.")


def _head(name: str) -> st.delta_generator.DeltaGenerator:
    """Name and pulsing dot; returns where the actions go."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
            st.html(DOT, width="content")
            st.markdown(f"##### {as_plain(name)}", width="content")
        return st.container(horizontal=True, vertical_alignment="center", gap="small", width="content")


def _draw_interrupt(summary: RunSummary) -> None:
    if not visitors.may_manage():
        return
    run, stopping = summary.run.id, actions.is_stopping(summary.run)
    if stopping:
        st.button(
            "Stop at once",
            icon=":material/cancel:",
            key=f"training_at_once_{run}",
            type="tertiary",
            on_click=actions.interrupt,
            args=(summary,),
            help="Does not wait for the step. What came after the last checkpoint is then trained again.",
        )
    known = is_trained(summary.folder)
    st.button(
        "Stopping after this step…" if stopping else "Interrupt",
        icon=":material/stop_circle:",
        key=f"training_interrupt_{run}",
        disabled=stopping or not known,
        on_click=actions.interrupt,
        args=(summary,),
        help="Ends it after the step in progress. It can be resumed from there."
        if known
        else "It is not a process of this machine that trains it: interrupt it where it was started.",
    )


def _phase(summary: RunSummary, log: RunLog) -> str:
    """What it is doing, as far as the run tells."""
    run, done = summary.run, summary.steps_done or 0
    if run.data is None:
        return "Preparing the data and loading the model"
    if log.train.empty:
        waits = run.data.held_out_rows and log.held_out.empty
        return f"Measuring the loss on {run.data.held_out_rows:,} held-out rows" if waits else "Taking the first step"
    step = f"Step {done:,} of {run.steps:,}" if run.steps else f"Step {done:,}"
    if run.resumed_at and _log_changed_at(summary.folder) < run.resumed_at[-1]:
        return f"{step} · loading the model to go on"
    measured = log.held_out["step"].max() if len(log.held_out) else 0
    if run.data.held_out_rows and measured < done and _evaluates_after(summary, done):
        return f"{step} · measuring the loss on the held-out rows"
    return f"{step} · saving the adapter" if run.steps and done >= run.steps else step


def _evaluates_after(summary: RunSummary, step: int) -> bool:
    every = summary.setting("evaluation", "every")
    return step == summary.run.steps or (isinstance(every, int) and every > 0 and step % every == 0)


def _log_changed_at(folder: Path) -> float:
    """UTC s."""
    try:
        return (folder / LOG_FILE).stat().st_mtime
    except OSError:
        return 0.0


def draw_resume(run: ShownRun) -> None:
    """Resume a stopped run, where it can be."""
    summary = run.summary
    if summary.read_only or why_not_resumed(summary.run) is not None:
        return
    draw_resume_button(summary.run.id, "details")
