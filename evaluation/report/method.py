"""How the figures of a report were measured: machine, settings, counts, and what each figure means."""

import platform
from collections.abc import Sequence
from typing import Any

from evaluation.benchmark.folder import Benchmark
from evaluation.leaderboard import words
from evaluation.leaderboard.answers import HostFacts
from evaluation.leaderboard.view import View
from evaluation.leaderboard.wording import counted
from evaluation.records import Sampling
from evaluation.report.texts import moment

STATISTICS = (
    "Each prompt counts by the median of its repeats. The figures are medians over prompts with bootstrap 95% "
    "intervals; models are compared prompt by prompt, and fewer than five pairs get no verdict, only the points. "
    "Answers count when they were written to their end (or to max tokens) by a warm model with nothing of the prompt "
    "reused, and times of different machines are never mixed."
)


def machine(host: HostFacts) -> list[tuple[str, str]]:
    """What is known of it."""
    known: list[tuple[str, Any]] = [
        ("Answered by" if host.cores is None else "Processor", host.cpu),
        ("Cores used", None if host.cores is None else f"{host.cores:g}"),
        ("Memory", None if host.memory_bytes is None else f"{host.memory_bytes / 2**30:.0f} GB"),
        ("System", host.system),
        ("Engine", host.engine),
        ("Fingerprint", host.key),
    ]
    return [(name, value) for name, value in known if value is not None]


def asked(view: View, benchmarks: Sequence[Benchmark]) -> list[tuple[str, str]]:
    """Which answers, how many, with which settings."""
    found = [
        ("Counted", words.counted(view.measured.board, view.measured.cells)),
        ("Settings", words.settings(view.measured.board)),
    ]
    for each in benchmarks:
        plan = each.plan
        sets = ", ".join(f"{prompts.name} ({counted(len(prompts.prompts), 'prompt')})" for prompts in plan.prompt_sets)
        found.append(("Benchmark", f"{plan.name}, {moment(plan.created_at)}"))
        found.append(("Prompt sets", sets))
        found.append(("Sampling", _sampling(plan.sampling)))
    if view.selection.disturbed:
        found.append(("Disturbed answers", "are counted: other programs took cores that the model needed"))
    if "arena" in view.selection.origins:
        found.append(("Answers of the arena", "are counted: visitors chose the prompts"))
    lines, files = view.answers.bad_lines()
    if files:
        found.append(("Left out", f"{counted(lines, 'line')} in {counted(files, 'file')} that are no records"))
    return [(name, value) for name, value in found if value]


def _sampling(sampling: Sampling) -> str:
    return (
        f"top-k {sampling.top_k}, top-p {sampling.top_p:g}, min-p {sampling.min_p:g}, repetition penalty "
        f"{sampling.repeat_penalty:g}, seed {sampling.seed} + number of the repeat"
    )


def versions(software: Sequence[str]) -> list[tuple[str, str]]:
    """Of what made the report and, ``software``, what trained the runs."""
    import vl_convert

    made = f"Python {platform.python_version()}, Vega-Lite {vl_convert.get_vegalite_versions()[-1].lstrip('v')}"
    return [("Report", made), *([("Training", ", ".join(software))] if software else [])]
