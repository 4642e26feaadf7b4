"""Training: what did each run do, which was better, what differed between them, and where did the adapter end up?"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.told import told
from dashboard.training import data
from dashboard.training.actions import PUBLIC, START_FORM
from dashboard.training.card import draw_card
from dashboard.training.compare import draw_compare
from dashboard.training.curves import draw_curves
from dashboard.training.data import ShownRun
from dashboard.training.details import draw_details
from dashboard.training.imports import FORM as IMPORT_FORM
from dashboard.training.imports import draw_import, draw_outcomes
from dashboard.training.lineage import draw_lineage
from dashboard.training.live import draw_live
from dashboard.training.runs_table import pick_runs
from dashboard.training.start import draw_start
from dashboard.training.trend import draw_trend
from dashboard.visitors import may_manage
from evaluation.leaderboard.wording import counted
from evaluation.runs.listing import Listing
from training.runlog import RunError

SHOWN_PROBLEMS = 50
OPEN_RUN = "training_open_run"
ANSWERS = "What each run did, which was better, what differed between them, where the adapter ended up."


def draw_section(draw: Callable[..., None], *arguments: Any) -> None:
    """One part of the page; what it cannot read, because it is damaged or was deleted meanwhile, takes no other with
    it."""
    try:
        draw(*arguments)
    except (RunError, OSError) as error:
        st.warning(told(error), icon=":material/warning:")


def draw_head(listing: Listing) -> None:
    """What the page answers, and the two ways to get a run onto it: beside the title while closed, below it where a
    form needs room. For strangers, why there are none."""
    if not may_manage():
        st.title("Training", anchor=False)
        st.markdown(ANSWERS)
        st.info(PUBLIC, icon=":material/lock:")
        return
    with st.container(gap="xsmall"):
        if any(st.session_state.get(key) for key in (START_FORM, IMPORT_FORM)):
            title, answers, start, imports = (st.container() for _ in range(4))
        else:
            title, start, imports = st.columns([2, 1, 1], gap="small", vertical_alignment="bottom")
            answers = st.container()
    title.title("Training", anchor=False)
    answers.markdown(ANSWERS)
    with start:
        draw_section(draw_start, listing)
    with imports:
        draw_section(draw_import)


def draw_empty() -> None:
    """Before the first run."""
    sentences = ["No run is here yet."]
    if may_manage():
        sentences += [
            "**Start a training run** above trains the embedded model for a few steps, as does `make train` in a "
            "terminal. **Import a log** takes what another program logged."
        ]
    st.info(" ".join(sentences), icon=":material/model_training:")


def draw_shown(runs: list[ShownRun], listing: Listing) -> None:
    """Together first, then each by itself."""
    draw_section(draw_curves, runs)
    draw_section(draw_trend, runs)
    if len(runs) > 1:
        draw_section(draw_compare, runs, listing)
    st.subheader("The run" if len(runs) == 1 else "Run by run", anchor=False)
    draw_run(pick_one(runs))


def pick_one(runs: list[ShownRun]) -> ShownRun:
    """Of several one at a time, remembered by its id: a run that is renamed stays open."""
    by_id = {run.summary.run.id: run for run in runs}
    if st.session_state.get(OPEN_RUN) not in by_id:
        st.session_state[OPEN_RUN] = next(iter(by_id))
    if len(runs) == 1:
        return runs[0]
    return by_id[
        st.segmented_control(
            "Run",
            list(by_id),
            key=OPEN_RUN,
            required=True,
            persist_state="session",
            format_func=lambda run: as_plain(by_id[run].label) if run in by_id else run,
            label_visibility="collapsed",
        )
    ]


def draw_run(run: ShownRun) -> None:
    """What is said of one run only."""
    for draw in (draw_details, draw_lineage, draw_card):
        draw_section(draw, run)


def draw_problems(listing: Listing, runs: list[ShownRun]) -> None:
    """What could not be read, with its folder."""
    problems = [(path.name, reason) for path, reason in listing.problems]
    problems += [(run.summary.folder.name, reason) for run in runs for reason in run.log.problems]
    if not problems:
        return
    with st.expander(f"{counted(len(problems), 'problem')} with the files of runs", icon=":material/warning:"):
        for folder, reason in problems[:SHOWN_PROBLEMS]:
            st.markdown(f"**{as_plain(folder)}**  \n{told(reason)}")
        if len(problems) > SHOWN_PROBLEMS:
            st.caption(f"And {len(problems) - SHOWN_PROBLEMS:,} more.")


def main() -> None:
    """Draw the page."""
    listing = data.listing()
    draw_head(listing)
    draw_section(draw_live, listing)
    draw_outcomes()
    if not listing.runs:
        draw_empty()
        draw_problems(listing, [])
        return
    runs = data.shown(pick_runs(listing))
    if runs:
        draw_shown(runs, listing)
    else:
        st.info("Choose a run in the list to see what it did.", icon=":material/checklist:")
    draw_problems(listing, runs)


main()
