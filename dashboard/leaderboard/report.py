"""What the page shows as a file to share: a report that is opened without this app, made at the click."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from dashboard import services
from dashboard.downloads import download_file
from dashboard.times import local_time
from dashboard.training.data import listing, logs
from dashboard.visitors import may_manage
from evaluation.benchmark.folder import benchmarks
from evaluation.leaderboard.view import View
from evaluation.leaderboard.words import shortened
from evaluation.models.names import distinct
from evaluation.report.contents import MOST_RUNS, again, contents, without_arena
from evaluation.report.page import report_page
from evaluation.runs.listing import RunSummary, labels

TITLE, RUNS, CONVERSATIONS, ARENA = (
    f"leaderboard_report_{name}" for name in ("title", "runs", "conversations", "arena")
)
LISTED = 30
"""Conversations that are offered: the latest."""


def draw_report(view: View, doubtful: bool) -> None:
    """A button whose popover asks what goes in; visitors who may not manage get the figures alone."""
    popover = st.popover("Report", icon=":material/description:", key="leaderboard_report", on_change="rerun")
    if not popover.open:
        return
    with popover:
        st.markdown("One page with these figures and their charts, to be opened or printed without this app.")
        title = st.text_input("Title", key=TITLE, placeholder="As the benchmark is called", persist_state="session")
        known = listing().runs  # at the click nobody knows any more who asks
        runs, conversations, arena = _choose(known) if may_manage() else ([], [], False)
        download_file(
            "Download report",
            lambda: _page(view, doubtful, title, known, runs, conversations, arena),
            "report.html",
            "text/html",
            "leaderboard_report_download",
        )


def _choose(runs: Sequence[RunSummary]) -> tuple[list[RunSummary], list[str], bool]:
    """Training runs, ids of conversations, and whether the arena's answers count."""
    by_id = {each.run.id: each for each in runs}
    names = labels(runs)
    st.session_state.setdefault(RUNS, [each.run.id for each in runs if not each.run.archived][:MOST_RUNS])
    st.session_state[RUNS] = [run for run in st.session_state[RUNS] if run in by_id]
    chosen = st.multiselect(
        "Training runs",
        list(by_id),
        key=RUNS,
        format_func=lambda run: names.get(run, run),
        max_selections=MOST_RUNS,
        placeholder="None",
        persist_state="session",
    )
    summaries = services.store().conversations(LISTED)
    titles = [f"{shortened(each.first_prompt, 50)}, {local_time(each.submitted_at)}" for each in summaries]
    by_conversation = dict(
        zip([each.id for each in summaries], distinct(titles, [f"· {each.id}" for each in summaries]), strict=True)
    )
    st.session_state[CONVERSATIONS] = [
        each for each in st.session_state.get(CONVERSATIONS, []) if each in by_conversation
    ]
    talks = st.multiselect(
        "Conversations",
        list(by_conversation),
        key=CONVERSATIONS,
        format_func=lambda each: by_conversation.get(each, each),
        placeholder="None",
        persist_state="session",
        help="In full, with all their messages. Nothing else that was typed in the arena is in the report.",
    )
    arena = st.toggle(
        "Count answers of the arena",
        key=ARENA,
        persist_state="session",
        help="Where this page counts them. Their prompts stay out.",
    )
    return [by_id[run] for run in chosen], talks, arena


def _page(
    view: View,
    doubtful: bool,
    title: str,
    known: Sequence[RunSummary],
    runs: Sequence[RunSummary],
    conversations: Sequence[str],
    arena: bool,
) -> bytes:
    selection = replace(view.selection, disturbed=view.selection.disturbed and not doubtful)
    selection = selection if arena else without_arena(selection)
    chosen = contents(
        view if selection == view.selection else again(view, selection),
        benchmarks(services.settings().results_dir, services.settings().published_dir)[0],
        known,
        runs,
        logs(),
        [(each, services.store().conversation(each)) for each in conversations],
        title,
    )
    return report_page(chosen).encode()
