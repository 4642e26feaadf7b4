"""Which machine and which of its answers: the choices of the page, and its address ``?host=…&benchmark=…``.

A link may add ``&run=…``: only the models of that training run then, and those that they are compared with.
"""

import pandas as pd
import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.leaderboard import data
from dashboard.times import local_time
from evaluation.host import host as this_host
from evaluation.leaderboard.answers import Answers, HostFacts, Selection
from evaluation.leaderboard.private_prompts import PRIVATE
from evaluation.leaderboard.words import prompt_labels
from evaluation.models.names import distinct

HOST = "leaderboard_host"
BENCHMARK = "leaderboard_benchmark"
ORIGINS, SETS, PROMPTS = "leaderboard_origins", "leaderboard_sets", "leaderboard_prompts"
MODELS, RUNS = "leaderboard_models", "leaderboard_runs"
COMMON, DISTURBED = "leaderboard_common", "leaderboard_disturbed"
ADDRESS = "leaderboard_address"
EVERYTHING = "all"

MOST_PROMPTS = 500
"""A longer list serves nobody and slows the browser."""

ORIGIN_NAMES = {"arena": "Arena", "benchmark": "Benchmark", "published": "Published", "imported": "Imported"}


def apply_address() -> None:
    """Choose what the address names, when it was not this page that wrote it. Call before any widget is drawn."""
    run = st.query_params.get("run")
    wanted = (st.query_params.get("host"), st.query_params.get("benchmark"))
    if run is not None:
        st.session_state[RUNS], st.session_state[MODELS] = [run], []
    elif wanted == (None, None) or wanted == st.session_state.get(ADDRESS):
        return
    for key, value in zip((HOST, BENCHMARK), wanted, strict=True):
        if value is not None:
            st.session_state[key] = value


def name_address(selection: Selection) -> None:
    """Let the address name the machine and the benchmark, so that it can be passed on."""
    benchmark = selection.benchmarks[0] if selection.benchmarks else EVERYTHING
    st.session_state[ADDRESS] = (selection.host, benchmark)
    if st.query_params.to_dict() != {"host": selection.host, "benchmark": benchmark}:
        st.query_params.from_dict({"host": selection.host, "benchmark": benchmark})


def pick_host(answers: Answers, version: int, hosts: list[HostFacts], names: dict[str, str]) -> HostFacts:
    """One machine; the others are a click away."""
    by_key = {each.key: each for each in hosts}
    if st.session_state.get(HOST) not in by_key:
        st.session_state[HOST] = _first_host(answers, version, by_key)
    if len(hosts) == 1:
        st.caption(f"Machine: {as_plain(names[hosts[0].key])}")
        return hosts[0]
    chosen = st.segmented_control(
        "Machine",
        list(by_key),
        key=HOST,
        format_func=lambda key: as_plain(names.get(key, key)),
        required=True,
        persist_state="session",
        help="Times of different machines are never mixed.",
    )
    return by_key[chosen]


def _first_host(answers: Answers, version: int, hosts: dict[str, HostFacts]) -> str:
    """This machine if it has run a benchmark, else the one with most benchmark answers."""
    here = this_host().key
    if here in hosts and data.choices(answers, version, here)["benchmark"].notna().any():
        return here
    return next(iter(hosts))


def pick_answers(answers: Answers, version: int, host: HostFacts) -> Selection:
    """The filters, from the coarse to the fine; each offers only what the ones before leave."""
    rows = data.choices(answers, version, host.key)
    benchmark = _pick_benchmark(rows, data.benchmark_names(version))
    if benchmark != EVERYTHING:
        rows = rows[rows["benchmark"] == benchmark]
    origins = _pick("Origin", ORIGINS, sorted(rows["origin"].unique()), ORIGIN_NAMES) if benchmark == EVERYTHING else ()
    rows = rows[rows["origin"].isin(origins)] if origins else rows
    sets = _pick("Prompt set", SETS, sorted(rows["prompt_set"].dropna().unique()))
    rows = rows[rows["prompt_set"].isin(sets)] if sets else rows
    texts = dict(zip(rows["prompt_key"], rows["prompt"], strict=True))
    offered = _by_count(rows[rows["prompt"] != PRIVATE], "prompt_key")
    prompts = _pick("Prompt", PROMPTS, offered, prompt_labels({key: texts[key] for key in offered}))
    rows = rows[rows["prompt_key"].isin(prompts)] if prompts else rows
    known = data.models(answers, version, host.key)
    models = _pick("Model", MODELS, _by_count(rows, "model_key"), known.names)
    common, disturbed = (False, False) if host.published else _pick_rules()
    return Selection(
        host=host.key,
        origins=origins,
        benchmarks=() if benchmark == EVERYTHING else (benchmark,),
        prompt_sets=sets,
        prompts=prompts,
        models=_of_runs(models, rows, known.runs),
        common=common,
        disturbed=disturbed,
    )


def _pick_rules() -> tuple[bool, bool]:
    """Whether only common prompts count, and whether disturbed answers do. Published times have neither question: they
    are points, and nothing is ranked by them."""
    common = st.toggle(
        "Only prompts that all have answered",
        value=True,
        key=COMMON,
        persist_state="session",
        help="Otherwise medians of different prompts stand side by side.",
    )
    disturbed = st.toggle(
        "Count disturbed answers",
        key=DISTURBED,
        persist_state="session",
        help="Answers of a benchmark during which other programs took cores that the model needed.",
    )
    return common, disturbed


def _pick_benchmark(rows: pd.DataFrame, names: dict[str, tuple[str, float]]) -> str:
    newest = rows.dropna(subset="benchmark").groupby("benchmark")["newest"].max().sort_values(ascending=False)
    options = [*newest.index, EVERYTHING]
    if st.session_state.get(BENCHMARK) not in options:
        st.session_state[BENCHMARK] = options[0]
    if len(options) == 1:
        return EVERYTHING

    def label(benchmark: str) -> str:
        if benchmark not in names:
            return "All answers" if benchmark == EVERYTHING else benchmark
        name, created_at = names[benchmark]
        return f"{name}, {local_time(created_at)}"

    labels = distinct([label(each) for each in options], [f"· {each}" for each in options])
    by_option = dict(zip(options, labels, strict=True))
    return st.selectbox(
        "Benchmark",
        options,
        key=BENCHMARK,
        format_func=lambda each: by_option.get(each, each),
        persist_state="session",
        help="All answers: those of every benchmark and of the arena.",
    )


def _pick(
    label: str, key: str, options: list[str], names: dict[str, str] | None = None, help: str | None = None
) -> tuple[str, ...]:
    """Several of the options, none meaning all; nothing is drawn where there is nothing to choose."""
    st.session_state[key] = [each for each in st.session_state.get(key, []) if each in options]
    if len(options) < 2:
        return ()
    chosen = st.multiselect(
        label,
        options,
        key=key,
        format_func=lambda each: (names or {}).get(each, each),
        placeholder="All",
        help=help,
        persist_state="session",
    )
    return tuple(chosen)


def _by_count(rows: pd.DataFrame, key: str) -> list[str]:
    """Keys by their number of answers."""
    answers = rows.groupby(key, sort=False)["answers"].sum()
    return list(answers.sort_values(ascending=False, kind="stable").head(MOST_PROMPTS).index)


def _of_runs(models: tuple[str, ...], rows: pd.DataFrame, runs: dict[str, str]) -> tuple[str, ...]:
    """The chosen models, narrowed to those of the chosen training runs and to the models without one."""
    present = set(models or rows["model_key"])
    offered = sorted({run for model, run in runs.items() if model in present})
    chosen = _pick("Training run", RUNS, offered, help="Models without a training run stay, to be compared with.")
    if not chosen:
        return models
    return tuple(sorted(key for key in present if runs.get(key) in (None, *chosen)))


def clear() -> None:
    """Callback: everything of the machine counts again."""
    for key in (ORIGINS, SETS, PROMPTS, MODELS, RUNS):
        st.session_state[key] = []
    st.session_state[COMMON], st.session_state[DISTURBED] = True, False
