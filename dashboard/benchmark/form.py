"""A new benchmark: which models, which prompts, how often, and what it will cost before it is started."""

import streamlit as st

from dashboard import run_links, services
from dashboard.arena.answer_text import as_plain
from dashboard.arena.panes import model_label, newest_family
from dashboard.benchmark import actions
from dashboard.benchmark.commands import draw_start_command
from dashboard.benchmark.prompts import draw_prompts, pick_prompts
from dashboard.times import about
from evaluation.benchmark.estimate import seconds_per_answer
from evaluation.benchmark.plan import Plan, estimate, new_plan
from evaluation.leaderboard.wording import counted
from evaluation.models import Catalog, Model
from evaluation.records import Sampling

MODELS = "benchmark_models"
DEFAULT_REPEATS = 5
MAX_REPEATS = 50
PACE_AGE_S = 60
DEFAULTS = Sampling()


def draw_form(catalog: Catalog, blocked: str | None) -> None:
    """Everything that is chosen, the estimate, and the button; ``blocked`` says why none can be started now."""
    st.subheader("New benchmark", anchor=False)
    if not catalog.everyone:
        st.info("There is no model to measure yet. The Models page adds one.", icon=":material/inventory_2:")
        return
    with st.container(border=True):
        left, right = st.columns(2, gap="medium")
        with left:
            models = _pick_models(catalog)
            repeats, name = _repeats_and_name()
            sampling = _sampling()
        with right:
            sets = pick_prompts()
        draw_prompts(sets)
        missing = [thing for thing, chosen in (("a model", models), ("prompts", sets)) if not chosen]
        if missing:
            _draw_start(None, blocked or f"Choose {' and '.join(missing)} first.")
            return
        plan = new_plan([model.ref for model in models], sets, repeats, sampling, name)
        _draw_estimate(plan)
        _draw_start(plan, blocked)


def _pick_models(catalog: Catalog) -> list[Model]:
    """At first those the arena starts with: the latest family."""
    models = {model.key: model for model in catalog.everyone}
    family = newest_family(catalog.models) or catalog.everyone[:1]
    st.session_state.setdefault(MODELS, [model.key for model in family])
    st.session_state[MODELS] = [key for key in st.session_state[MODELS] if key in models]
    chosen = st.multiselect(
        "Models",
        list(models),
        key=MODELS,
        persist_state="session",
        format_func=lambda key: model_label(models[key]) if key in models else key,
        placeholder="Choose models",
        wrap=True,
    )
    run_links.draw_runs({a.run: models[key].name for key in chosen if (a := models[key].adapter) and a.run})
    return [models[key] for key in chosen]


def _repeats_and_name() -> tuple[int, str | None]:
    few, wide = st.columns([1, 2])
    st.session_state.setdefault("benchmark_repeats", DEFAULT_REPEATS)
    repeats = few.number_input(
        "Repeats",
        1,
        MAX_REPEATS,
        key="benchmark_repeats",
        persist_state="session",
        help="How often every model is asked every prompt, each time with the next seed.",
    )
    name = wide.text_input(
        "Name",
        key="benchmark_name",
        persist_state="session",
        placeholder="After its prompts and models",
        max_chars=80,
    )
    return int(repeats), name.strip() or None


def _sampling() -> Sampling:
    """Collapsed: a benchmark is to be compared with others, so the defaults are seldom changed."""
    fields = ("temperature", "max_tokens", "seed")
    for field in fields:
        st.session_state.setdefault(f"benchmark_{field}", getattr(DEFAULTS, field))
    with st.expander("Sampling", key="benchmark_sampling"):
        columns = iter(st.columns(3))

        def number(label: str, field: str, low: float, high: float, step: float, meaning: str) -> float:
            return next(columns).number_input(
                label, low, high, step=step, key=f"benchmark_{field}", persist_state="session", help=meaning
            )

        return Sampling(
            temperature=number(
                "Temperature", "temperature", 0.0, 2.0, 0.05, "0 always takes the most likely token: repeats are equal."
            ),
            max_tokens=int(number("Max tokens", "max_tokens", 1, 32_768, 64, "Answers are cut after so many.")),
            seed=int(number("Seed", "seed", 0, 2**31 - 1, 1, "Of the first repeat; each later one takes the next.")),
        )


def _draw_estimate(plan: Plan) -> None:
    keys = tuple(model.key for model in plan.models)
    expected = estimate(plan, *_seconds_per_answer(keys, plan.sampling.max_tokens, plan))
    answers = (
        f"{counted(plan.cells, 'answer')}: {counted(len(plan.models), 'model')} × "
        f"{counted(len(plan.prompts), 'prompt')} × {counted(plan.repeats, 'repeat')}"
    )
    st.markdown(f":material/schedule: **{about(expected.seconds).capitalize()}** · {answers}")
    st.caption(
        f"{as_plain(expected.basis)} Meanwhile the arena answers nobody, so that each model has this machine to "
        "itself. You may close this page; cancelling keeps what is done."
    )


@st.cache_data(ttl=PACE_AGE_S, max_entries=100, show_spinner=False)
def _seconds_per_answer(models: tuple[str, ...], max_tokens: int, _plan: Plan) -> tuple[dict[str, float], str]:
    """Remembered by the keys of the models and the length of their answers: it reads megabytes of stored answers, and
    every click on the page wants it."""
    folders = services.settings()
    return seconds_per_answer(_plan, [folders.results_dir / "responses", folders.published_dir / "responses"])


def _draw_start(plan: Plan | None, blocked: str | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        clicked = st.button(
            "Start",
            icon=":material/play_arrow:",
            key="benchmark_start",
            type="primary",
            disabled=plan is None or blocked is not None,
        )
        if plan is not None:
            with st.popover("Command", icon=":material/terminal:", type="tertiary"):
                draw_start_command(plan)
        if blocked:
            st.caption(blocked, width="content")
    if clicked and plan is not None:
        with st.spinner("Starting…"):
            actions.start(plan)
        st.rerun()
