"""The commands that do in a terminal what the buttons do here."""

import shlex

import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.benchmark.words import RESUMABLE, is_flawed
from evaluation.benchmark.folder import Benchmark
from evaluation.benchmark.plan import Plan, new_plan
from evaluation.prompt_sets import known_sets
from evaluation.records import Sampling

FLAGS = {"temperature": "--temperature", "max_tokens": "--max-tokens", "seed": "--seed"}


def start_command(plan: Plan) -> str:
    """Asks the same as this plan, as a new benchmark. Of what is not said the command has the same defaults."""
    arguments = ["--models", *(model.name for model in plan.models)]
    arguments += ["--prompts", *(each.name for each in plan.prompt_sets), "--repeats", str(plan.repeats)]
    for field, flag in FLAGS.items():
        value = getattr(plan.sampling, field)
        if value != getattr(Sampling(), field):
            arguments += [flag, str(value)]
    if plan.name != new_plan(plan.models, plan.prompt_sets, plan.repeats, plan.sampling).name:
        arguments += ["--name", plan.name]
    return _shell(arguments)


def resume_command(benchmark: Benchmark) -> str | None:
    """Goes on with it, or repeats what failed or was disturbed; ``None`` when nothing is left to do."""
    progress = benchmark.progress
    if progress.status in RESUMABLE:
        return _shell(["--resume", benchmark.plan.id])
    return _shell(["--resume", benchmark.plan.id, "--again"]) if is_flawed(progress) else None


def draw_start_command(plan: Plan) -> None:
    """To be pasted; a file of the user's is named by its set only, because its path is not known here."""
    st.caption("The same from a terminal, as a new benchmark:")
    st.code(start_command(plan), language="bash", wrap_lines=True)
    own = [each.name for each in plan.prompt_sets if each.name not in known_sets()]
    if own:
        st.caption(f"Write the path of your file in place of {as_plain(' and '.join(own))}.")


def draw_resume_command(benchmark: Benchmark) -> None:
    """Nothing, where nothing is left to do."""
    if command := resume_command(benchmark):
        st.caption("To go on with this one:")
        st.code(command, language="bash", wrap_lines=True)


def _shell(arguments: list[str]) -> str:
    return shlex.join(["python", "-m", "evaluation.benchmark", *arguments])
