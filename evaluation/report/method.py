"""How the figures of a report were measured: machine, settings, counts, and what each figure means."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

from evaluation.benchmark.folder import Benchmark
from evaluation.leaderboard import words
from evaluation.leaderboard.answers import HostFacts
from evaluation.leaderboard.private_prompts import without_private_prompts
from evaluation.leaderboard.view import View, models_of
from evaluation.leaderboard.wording import counted
from evaluation.leaderboard.words import shortened
from evaluation.records import Origin, Sampling
from evaluation.report.texts import few, moment

STATISTICS = (
    "Each prompt counts by the median of its repeats. The figures are medians over prompts with bootstrap 95% "
    "intervals; models are compared prompt by prompt, and fewer than five pairs get no verdict, only the points. "
    "Answers count when they were written to their end (or to max tokens) by a warm model with nothing of the prompt "
    "reused (what an endpoint's server reuses is its own affair), and times of different machines are never mixed."
)


def machine(host: HostFacts) -> list[tuple[str, str]]:
    """What is known of it."""
    known: list[tuple[str, Any]] = [
        ("Endpoint" if host.cores is None else "Processor", host.cpu),
        ("Cores used", None if host.cores is None else f"{host.cores:g}"),
        ("Memory", None if host.memory_bytes is None else f"{host.memory_bytes / 2**30:.0f} GB"),
        ("System", None if host.cores is None else host.system),
        ("Engine", host.engine),
        ("Fingerprint", host.key),
    ]
    return [(name, value) for name, value in known if value is not None]


def asked(view: View, benchmarks: Sequence[Benchmark]) -> list[tuple[str, str]]:
    """Which answers, how many, with which settings."""
    found = [
        ("Counted", words.counted(view.measured.board, view.measured.cells)),
        ("Settings", words.settings(view.measured.board)),
        *_filters(view),
    ]
    for each in benchmarks:
        plan = each.plan
        sets = ", ".join(
            f"{prompts.name} ({counted(len(prompts.prompts), 'prompt')})"
            for prompts in plan.prompt_sets
            if prompts.name in (view.selection.prompt_sets or (prompts.name,))
        )
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


def _filters(view: View) -> Iterator[tuple[str, str]]:
    """What was left out on purpose."""
    chosen, key = view.selection, view.host.key
    if set(get_args(Origin)) - {"arena"} - set(chosen.origins or get_args(Origin)):
        yield "Only these origins", few(chosen.origins)
    yield "Only these prompt sets", few(chosen.prompt_sets)
    if chosen.prompts:
        asked = view.answers.choices(key)
        texts = without_private_prompts(asked, asked).set_index("prompt_key")["prompt"].to_dict()
        yield "Only these prompts", few(dict.fromkeys(f"“{shortened(texts[each])}”" for each in chosen.prompts))
    names = models_of(view.answers, key).names
    yield "Only these models", few(names[each] for each in chosen.models)
    everything = view.answers.cells(replace(chosen, common=False))["prompt_key"].nunique()
    common = view.measured.cells["prompt_key"].nunique()
    if common < everything:
        yield "Only prompts that every model answered", f"{common:,} of {everything:,}"


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
