"""The leaderboard: which model answers best, how long a user waits, and how sure that is, from stored answers only."""

from dataclasses import replace

import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.leaderboard import data, filters
from dashboard.leaderboard.pictures import draw_charts
from dashboard.leaderboard.reading import draw_prompts, draw_wanted
from dashboard.leaderboard.report import draw_report
from dashboard.leaderboard.table import draw_table
from dashboard.public.answers import shown_answers
from dashboard.told import told
from evaluation.host import host as this_host
from evaluation.leaderboard import words
from evaluation.leaderboard.answers import Answers
from evaluation.leaderboard.view import View, only_disturbed
from evaluation.leaderboard.wording import counted

SHOWN_PROBLEMS = 50


def draw_view(view: View) -> None:
    """Words first, then the figures, then the charts."""
    board = view.measured.board
    st.caption(" · ".join(filter(None, (words.counted(board, view.measured.cells), words.settings(board)))))
    with st.container(border=True):
        st.markdown(":material/gavel: **What can be said**")
        st.markdown("\n".join(f"- {sentence}" for sentence in view.measured.sentences))
    draw_table(view)
    if view.measured.cells.empty:
        draw_nothing_counted()
        return
    draw_charts(view)
    draw_prompts(view)
    draw_wanted(view)


def draw_study(view: View, host_name: str) -> None:
    """The published study's questions, whatever is filtered."""
    st.subheader("The study's own questions", anchor=False)
    basis, findings = data.study(view.answers, view.version, view.host.key, view.selection.disturbed)
    st.caption(f"Answered from {as_plain(basis)} of: {as_plain(host_name)}.")
    for finding in findings:
        with st.expander(finding.question):
            st.markdown(finding.answer)


def draw_published_note() -> None:
    """What the figures of others are worth."""
    st.info(
        "These are the times a published study reports: one run per prompt, on settings that are mostly not known.",
        icon=":material/history_edu:",
    )
    with st.expander("What can be concluded from them, and what cannot"):
        st.markdown(words.PUBLISHED_NOTE)


def draw_problems(answers: Answers) -> None:
    """The lines of the store that could not be counted; which and why is looked up only for who asks."""
    lines, files = answers.bad_lines()
    if not files:
        return
    verb = "is no record" if lines == 1 else "are no records"
    label = f"{counted(lines, 'line')} in {counted(files, 'file')} {verb}"
    expander = st.expander(
        label if lines else f"{counted(files, 'file')} can't be read",
        icon=":material/warning:",
        key="leaderboard_problems",
        on_change="rerun",
    )
    if not expander.open:
        return
    problems = answers.problems()
    with expander:
        for problem in problems[:SHOWN_PROBLEMS]:
            line = f", line {problem.line:,}" if problem.line else ""
            st.markdown(f"{as_plain(problem.path.name)}{line}: {told(problem.reason)}")
        if len(problems) > SHOWN_PROBLEMS:
            st.caption(f"And {len(problems) - SHOWN_PROBLEMS:,} more.")


def draw_nothing_stored() -> None:
    """Before the first answer."""
    st.info(
        "No answer is stored yet. Run a benchmark, or chat with two models in the arena; both are counted here.",
        icon=":material/leaderboard:",
    )
    with st.container(horizontal=True):
        st.page_link("dashboard/app_pages/benchmark.py", label="Run a benchmark", icon=":material/speed:")
        st.page_link("dashboard/app_pages/arena.py", label="Chat in the arena", icon=":material/compare:")


def draw_all_disturbed() -> None:
    """Better doubtful figures that say so than none."""
    st.warning(
        "While each of these answers was written, other programs took cores that the model needed. They are counted "
        "all the same, as there are no others; repeat the benchmark on a quiet machine before you rely on the times.",
        icon=":material/warning:",
    )


def draw_nothing_counted() -> None:
    """Every answer was left out."""
    st.info("No answer that passes these filters counts.", icon=":material/filter_alt_off:")
    st.button("Clear the filters", icon=":material/filter_alt_off:", key="leaderboard_clear", on_click=filters.clear)


def main() -> None:
    """Draw the page."""
    filters.apply_address()
    head = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
    head.title("Leaderboard", anchor=False, width="content")
    answers = shown_answers()
    with st.spinner("Reading the stored answers…"):
        version = answers.refresh()
    hosts = data.hosts(answers, version)
    if not hosts:
        draw_nothing_stored()
        draw_problems(answers)
        return
    names = words.host_names(hosts, this_host().key)
    host = filters.pick_host(answers, version, hosts, names)
    with st.sidebar:
        st.subheader("What is counted")
        selection = filters.pick_answers(answers, version, host)
    filters.name_address(selection)
    view = data.view_of(answers, version, host, selection)
    doubtful = only_disturbed(view)
    if doubtful:
        view = data.view_of(answers, version, host, replace(selection, disturbed=True))
        draw_all_disturbed()
    with head:
        draw_report(view, doubtful)
    if host.published:
        draw_published_note()
    draw_view(view)
    draw_study(view, names[host.key])
    draw_problems(answers)


main()
