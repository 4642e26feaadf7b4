"""What became of a run: adapter, exports, arena, answers, benchmarks."""

import streamlit as st

from dashboard import services, visitors
from dashboard.arena.answer_text import as_plain
from dashboard.leaderboard import data as leaderboard_data
from dashboard.public.answers import shown_answers
from dashboard.training.data import ShownRun
from evaluation.host import host as this_host
from evaluation.leaderboard.answers import Answers, HostFacts
from evaluation.leaderboard.wording import counted
from evaluation.leaderboard.words import host_names
from evaluation.models import ChatModel
from evaluation.runs.lineage import Lineage, Measured, lineage
from evaluation.runs.lineage_words import Station, stations

ARENA = "dashboard/app_pages/arena.py"
LEADERBOARD = "dashboard/app_pages/leaderboard.py"
BENCHMARK = "dashboard/app_pages/benchmark.py"
MOST_MEASURED = 6

ICONS = {
    "Base": ":material/deployed_code:",
    "Adapter": ":material/layers:",
    "Exports": ":material/output:",
    "Arena": ":material/compare:",
    "Measured": ":material/leaderboard:",
}


def draw_lineage(run: ShownRun) -> None:
    """A line for each thing that was made of it, with what can be done with it or how to make what is missing."""
    answers = shown_answers()
    with st.spinner("Reading the stored answers…"):
        version = answers.refresh()
    found = lineage(run.summary, services.catalog(), answers)
    st.subheader("Where it ended up", anchor=False)
    with st.container(border=True, gap="small"):
        for station in stations(run.summary, found, services.settings().results_dir):
            with _row(station.name):
                _draw_station(station)
                if station.name == "Arena":
                    draw_comparisons(tuple(zip(found.models, found.bases, strict=True)))
        if found.models or found.measured:
            with _row("Measured"):
                _draw_measured(run.summary.run.id, found, answers, version)


def _row(name: str) -> st.delta_generator.DeltaGenerator:
    """Name on the left (on a phone above); returns the place on the right."""
    left, right = st.columns([1, 6], gap="small")
    left.markdown(f"{ICONS[name]} **{name}**")
    return right.container(gap="xsmall")


def _draw_station(station: Station) -> None:
    may_run = bool(station.commands) and visitors.may_manage()
    lines = (*station.lines, *station.before_commands) if may_run else station.lines
    st.markdown("  \n".join(lines))
    if may_run:
        st.code("\n".join(station.commands), language="bash", wrap_lines=True)


def draw_comparisons(models: tuple[tuple[ChatModel, ChatModel | None], ...]) -> None:
    """A link to the arena for each model, beside its base where that is here; which one is said only where there are
    several."""
    with st.container(horizontal=True, gap="small", width="content"):
        for model, base in models:
            st.page_link(
                ARENA,
                label=_comparison(model, base, several=len(models) > 1),
                icon=":material/open_in_new:",
                query_params={"models": ",".join(each.key for each in (base, model) if each)},
            )


def _comparison(model: ChatModel, base: ChatModel | None, several: bool) -> str:
    label = "Open base against this" if base else "Open this"
    return f"{label}: {as_plain(f'{model.name}, {model.base.quantization}')}" if several else label


def _draw_measured(run: str, found: Lineage, answers: Answers, version: int) -> None:
    """A link for each benchmark and machine, to what the leaderboard says of it."""
    if not found.measured:
        st.markdown("No answer of it is stored yet.")
        st.page_link(BENCHMARK, label="Run a benchmark", icon=":material/speed:")
        return
    hosts = {each.key: each for each in leaderboard_data.hosts(answers, version)}
    names = host_names(list(hosts.values()), this_host().key)
    benchmarks = leaderboard_data.benchmark_names(version)
    for each in found.measured[:MOST_MEASURED]:
        name, _ = benchmarks.get(each.benchmark or "", (each.benchmark, 0.0))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{_where(each, name, hosts)} · {as_plain(names[each.host])}", width="content")
            st.page_link(
                LEADERBOARD,
                label="See in the leaderboard",
                icon=ICONS["Measured"],
                query_params={"host": each.host, "benchmark": each.benchmark or "all", "run": run},
            )
    if more := found.measured[MOST_MEASURED:]:
        st.caption(f"And {counted(sum(each.answers for each in more), 'answer')} elsewhere.")


def _where(measured: Measured, benchmark: str | None, hosts: dict[str, HostFacts]) -> str:
    if benchmark:
        return f"{counted(measured.answers, 'answer')} in the benchmark **{as_plain(benchmark)}**"
    if hosts[measured.host].published:
        return counted(measured.answers, "published answer")
    return f"{counted(measured.answers, 'answer')} in the arena"
