"""The benchmarks that ran before: what they were, how they ended, and what can be done with them."""

import streamlit as st

from dashboard import run_links, services, visitors
from dashboard.arena.answer_text import as_plain
from dashboard.benchmark import actions
from dashboard.benchmark.commands import draw_resume_command, draw_start_command
from dashboard.benchmark.words import LOOKS, RESUMABLE, counts, is_flawed, meaning
from dashboard.times import local_time
from dashboard.told import told
from evaluation.benchmark import folder
from evaluation.benchmark.folder import Benchmark
from evaluation.host import host
from evaluation.leaderboard.wording import counted

LEADERBOARD = "dashboard/app_pages/leaderboard.py"
LISTED = 10


def draw_earlier(running: Benchmark | None, blocked: str | None) -> None:
    """All but the running one, newest first, and the folders that cannot be read; ``blocked`` says why none of them
    can go on now."""
    folders = services.settings()
    found, damaged = folder.benchmarks(folders.results_dir, folders.published_dir)
    ended = [each for each in found if running is None or each.folder != running.folder]
    st.subheader("Earlier benchmarks", anchor=False)
    if not ended:
        st.caption("None yet. Every answer a benchmark gets is kept on this machine and shows in the leaderboard.")
    for each in ended[:LISTED]:
        _draw_one(each, blocked)
    if len(ended) > LISTED:
        older = st.expander(f"{len(ended) - LISTED} older", key="benchmark_older", on_change="rerun")
        if older.open:
            with older:
                for each in ended[LISTED:]:
                    _draw_one(each, blocked)
    if damaged:
        with st.expander(f"{counted(len(damaged), 'folder')} can't be read", icon=":material/warning:"):
            for path, reason in damaged:
                st.markdown(f"**{as_plain(path.name)}**  \n{told(reason)}")


def _draw_one(benchmark: Benchmark, blocked: str | None) -> None:
    plan, progress = benchmark.plan, benchmark.progress
    look = LOOKS[progress.status]
    about = (
        local_time(plan.created_at),
        ", ".join(run_links.in_text(model.adapter_run, as_plain(model.name)) for model in plan.models),
        " and ".join(as_plain(each.name) for each in plan.prompt_sets),
        f"{counted(len(plan.prompts), 'prompt')}, {counted(plan.repeats, 'repeat')}",
    )
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
                st.markdown(f"**{as_plain(plan.name)}**", width="content")
                st.badge(look.words, icon=look.icon, color=look.color)
                if _published(benchmark):
                    st.badge("comes along", icon=":material/inventory_2:", color="gray")
            with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
                _draw_actions(benchmark, blocked)
        color = "orange" if progress.status == "finished" else look.color
        reason = f" · :{color}[{told(progress.reason)}]" if progress.reason else ""
        st.markdown(counts(progress) + reason, help=meaning(progress))
        st.caption(" · ".join(about))


def _draw_actions(benchmark: Benchmark, blocked: str | None) -> None:
    plan, progress, manages = benchmark.plan, benchmark.progress, visitors.may_manage()
    ours = manages and not _published(benchmark) and plan.host.key == host().key
    if ours and progress.status in RESUMABLE:
        st.button(
            "Resume",
            icon=":material/play_arrow:",
            key=f"benchmark_resume_{plan.id}",
            disabled=blocked is not None,
            help=blocked or "Goes on where it stopped. What is finished is not asked again.",
            on_click=actions.resume,
            args=(plan.id, False),
        )
    if ours and is_flawed(progress):
        st.button(
            "Repeat disturbed and failed",
            icon=":material/replay:",
            key=f"benchmark_again_{plan.id}",
            disabled=blocked is not None,
            help=blocked
            or "Asks those once more, and what was never asked. In the leaderboard the undisturbed answers count.",
            on_click=actions.resume,
            args=(plan.id, True),
        )
    if progress.done:
        st.page_link(
            LEADERBOARD,
            label="See in the leaderboard",
            icon=":material/leaderboard:",
            query_params={"host": plan.host.key, "benchmark": plan.id},
        )
    if not manages:
        return
    with st.popover("Command", icon=":material/terminal:", type="tertiary"):
        if ours:
            draw_resume_command(benchmark)
        draw_start_command(plan)


def _published(benchmark: Benchmark) -> bool:
    return benchmark.folder.is_relative_to(services.settings().published_dir)
