"""Start a recipe on this machine, or say why that is not possible."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.times import about
from dashboard.told import told
from dashboard.training import actions, data
from dashboard.training.edit import LONGEST_NAME
from dashboard.training.recipes import Offered, in_words, labels, recipes
from evaluation.host import host
from evaluation.runs.listing import Listing
from evaluation.runs.pace import expected
from evaluation.settings import PROJECT_ROOT
from training.recipe import Recipe, RecipeError, as_settings, read_recipe

RECIPE = "training_recipe"
FIRST = "demo.toml"
"""The smallest one."""


@dataclass(frozen=True)
class _Wanted:
    """What the form asks for."""

    path: Path
    overrides: tuple[str, ...]
    recipe: Recipe


def draw_start(listing: Listing) -> None:
    """Start a recipe on this machine, or say why that is not possible."""
    form = st.expander(
        "Start a training run", icon=":material/rocket_launch:", key=actions.START_FORM, on_change="rerun"
    )
    if not form.open:
        return
    with form:
        offered, problems = recipes()
        for problem in problems:
            st.caption(f":material/warning: {told(problem)}")
        if offered:
            _draw_form(offered, listing)


def _draw_form(offered: dict[str, Offered], listing: Listing) -> None:
    names = labels(offered)
    first = next((path for path in offered if Path(path).name == FIRST), None)
    if st.session_state.get(RECIPE) not in offered:
        st.session_state[RECIPE] = first or next(iter(offered))
    chosen = st.selectbox(
        "Recipe",
        list(offered),
        key=RECIPE,
        persist_state="session",
        format_func=lambda path: names.get(path, path),
    )
    left, right = st.columns(2, gap="medium")
    with right:
        overrides = _settings(offered[chosen])
    try:
        wanted = _Wanted(Path(chosen), overrides, read_recipe(Path(chosen), overrides, PROJECT_ROOT))
    except RecipeError as error:
        wanted = None
        right.error(_faults(error), icon=":material/error:")
    with left:
        _draw_words(offered[chosen], wanted, listing)
    _draw_button(wanted)


def _settings(offered: Offered) -> tuple[str, ...]:
    """What is changed most often, and the rest as text; returns what differs from the recipe."""
    recipe, key = offered.recipe, f"training_{{}}_{offered.path}".format
    changed = []
    name = st.text_input("Name", recipe.name, LONGEST_NAME, key("name"), help="Of the run and its model.").strip()
    if name != recipe.name:
        changed.append(f"name={json.dumps(name, ensure_ascii=False)}")
    first, second, third = st.columns(3)
    steps = first.number_input("Steps", 1, value=recipe.training.steps, key=key("steps"))
    if steps != recipe.training.steps:
        changed.append(f"training.steps={steps}")
    rank = second.number_input(
        "LoRA rank",
        1,
        value=recipe.lora.rank,
        key=key("rank"),
        help="How much the adapter can learn, and how large it is. Alpha follows, so that the adapter weighs the same.",
    )
    if rank != recipe.lora.rank:
        changed += [f"lora.rank={rank}", f"lora.alpha={recipe.lora.alpha * rank / recipe.lora.rank:g}"]
    rate = third.number_input(
        "Learning rate",
        0.0,
        value=recipe.optimizer.learning_rate,
        step=5e-5,
        format="%g",
        key=key("rate"),
    )
    if rate != recipe.optimizer.learning_rate:
        changed.append(f"optimizer.learning_rate={rate!r}")
    further = st.text_area(
        "Further settings",
        key=key("further"),
        height=80,
        placeholder="data.sample=64\ntraining.gradient_accumulation=1",
        help="One per line, as `section.key=value`. training/recipe.py lists them all. Paths count from the "
        "project's folder.",
    )
    return (*changed, *(line for line in map(str.strip, further.splitlines()) if line and not line.startswith("#")))


def _faults(error: RecipeError) -> str:
    """Each on a line; without the headline that names the file, where there is one."""
    lines = str(error).splitlines()
    return "\n".join(f"- {told(line.strip().removeprefix('--set '))}" for line in lines[1:] or lines)


def _draw_words(offered: Offered, wanted: _Wanted | None, listing: Listing) -> None:
    st.markdown(in_words(wanted.recipe if wanted else offered.recipe))
    if wanted:
        settings = as_settings(wanted.recipe)
        known = expected(settings, listing.runs, data.logs(), host())
        took = f" It is taken from {as_plain(known.like.run.name)}, a run on such a machine." if known else ""
        length = about(known.seconds).capitalize() if known else "How long it takes here is not known yet"
        st.markdown(f":material/schedule: **{length}**.{took}")
    if offered.remarks:
        st.caption("  \n".join(map(as_plain, offered.remarks)))


def _draw_button(wanted: _Wanted | None) -> None:
    blocked = actions.why_not()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Start",
            icon=":material/play_arrow:",
            key="training_start",
            type="primary",
            disabled=wanted is None or blocked is not None,
            on_click=actions.start,
            args=(wanted.path, wanted.overrides) if wanted else None,
        )
        if wanted:
            with st.popover("Command", icon=":material/terminal:", type="tertiary"):
                st.caption("The same from a terminal, in the project's folder.")
                st.code(_command(wanted), language="bash", wrap_lines=True)
        if blocked:
            st.caption(blocked, width="content")


def _command(wanted: _Wanted) -> str:
    path = wanted.path.relative_to(PROJECT_ROOT) if wanted.path.is_relative_to(PROJECT_ROOT) else wanted.path
    settings = [part for each in wanted.overrides for part in ("--set", each)]
    return shlex.join([".venv/bin/python", "-m", "training.finetune", str(path), *settings])
