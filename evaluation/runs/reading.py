"""What can be concluded from how runs differ, in sentences: which change is to be credited, or what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from evaluation.leaderboard.wording import bold, escaped, listed
from evaluation.runs import caveats
from evaluation.runs.caveats import MOST_NAMED, change, inline
from evaluation.runs.differences import Differences, differences
from evaluation.runs.facts import label
from evaluation.runs.follows import HASH, SEED, TOGETHER
from evaluation.runs.listing import RunSummary
from evaluation.runs.parting import Parting, Recipes, parting_run, run_to_make

MOST_COMPARED = 8
"""So many runs are compared two by two."""


@dataclass(frozen=True)
class Reading:
    """What follows from the differences."""

    sentences: tuple[str, ...]
    """Markdown, most important first."""
    parting: RunSummary | None = None
    """A run that tells apart what changed at once."""


def reading(
    runs: Sequence[RunSummary], names: Sequence[str], all_runs: Sequence[RunSummary], recipes: Recipes
) -> Reading:
    """Of two or more runs, whose ``names`` are plain text; with ``recipes`` a run can be made that is missing."""
    found = differences(runs)
    shown = [bold(name) for name in names]
    parting = None
    if len(runs) == 2:
        said = [_of_two(found)]
        if len(found.matter) > 1:
            parting = parting_run(runs[0], runs[1], all_runs)
            said.append(_parts(parting, shown) if parting else _make(runs, shown, found, recipes))
    else:
        said = _of_many(runs, shown, found)
    said += [*caveats.side_effects(found), *caveats.unfinished(runs, shown)]
    said += [*caveats.not_recorded(found, shown), *caveats.environment(found)]
    return Reading(tuple(said), parting.run if parting else None)


def _of_two(found: Differences) -> str:
    matter, doubt = found.matter, any(each.in_doubt for each in found.different)
    recorded = "Of what is recorded for both, they" if doubt else "They"
    if not matter:
        return _of_equal(found, doubt)
    if [each.key for each in matter] == [SEED]:
        drawn = any(each.key == HASH and each.told for each in found.different)
        rows = "the rows that were drawn, their order" if drawn else "the order of the rows"
        return (
            f"{recorded} differ in the **{change(matter[0])}** alone: what differs between them is chance, {rows} and "
            "the adapter's first weights."
        )
    if len(matter) == 1:
        return f"{recorded} differ in one thing that matters: **{change(matter[0])}**{_followers(found)}."
    named = [f"**{change(each)}**" for each in matter[:MOST_NAMED]]
    more = [f"{len(matter) - MOST_NAMED} more"] if len(matter) > MOST_NAMED else []
    none = "neither" if len(matter) == 2 else "none of them"
    text = listed([*named, *more])
    return f"{text[:2]}{text[2:3].upper()}{text[3:]} changed at once, so {none} can be credited{_followers(found)}."


def _followers(found: Differences) -> str:
    keys = {key for each in found.matter for key in TOGETHER.get(each.key, ())}
    said = [
        f"{inline(each.label).removeprefix('LoRA ')} follows: {each.follows[:1].lower()}{each.follows[1:-1]}"
        for each in found.different
        if each.key in keys and each.follows
    ]
    return f" ({escaped('; '.join(said))})" if said else ""


def _of_equal(found: Differences, doubt: bool) -> str:
    if doubt:
        return "Nothing that is recorded for both differs in a way that matters."
    cause = "how the machine rounds" if _same_environment(found) else "machine and software"
    return f"Recipe, data and seed are the same, so a gap between their losses can only come from {cause}."


def _same_environment(found: Differences) -> bool:
    """Recorded for all of them, the code without changes of its own, and nothing in it differs."""
    shared = dict(found.equal["environment"])
    recorded = all(label(key) in shared for key in ("host.cpu", "packages.torch", "commit"))
    differs = any(each.section == "environment" for each in found.different)
    return recorded and shared.get(label("dirty")) == "no" and not differs


def _parts(parting: Parting, shown: Sequence[str]) -> str:
    first, second = (
        listed([escaped(inline(each.label)) for each in step.matter])
        for step in (parting.from_first, parting.from_second)
    )
    name = bold(parting.run.run.name)
    return f"{name} parts them: from {shown[0]} it differs only in {first}, from {shown[1]} only in {second}."


def _make(runs: Sequence[RunSummary], shown: Sequence[str], found: Differences, recipes: Recipes) -> str:
    way = run_to_make(runs[0].run, runs[1].run, found, recipes)
    if way is None:
        return f"No run here parts them: that takes one like {shown[0]} with a single one of these changed."
    taken = next(each for each in found.matter if each.key == way.key)
    value = escaped(f"{inline(taken.label)} {taken.values[1 - way.like]}")
    what = "that takes one" if len(found.matter) == 2 else "a first step would be one"
    text = f"No run here parts them: {what} like {shown[way.like]} with **{value}**"
    return f"{text}, made by `{way.command}`." if way.command else f"{text}."


def _of_many(runs: Sequence[RunSummary], shown: Sequence[str], found: Differences) -> list[str]:
    if not found.matter:
        return [_of_equal(found, any(each.in_doubt for each in found.different)).replace("for both", "for all")]
    named = [f"**{change(each)}**" for each in found.matter[:MOST_NAMED]]
    more = [f"{len(found.matter) - MOST_NAMED} more"] if len(found.matter) > MOST_NAMED else []
    said = [f"What matters and differs between these {len(runs)} runs: {listed([*named, *more])}."]
    if len(runs) > MOST_COMPARED:
        return said
    single: list[str] = []
    for one, other in combinations(range(len(runs)), 2):
        pair = differences([runs[one], runs[other]])
        if len(pair.matter) == 1 and not any(each.in_doubt for each in pair.different):
            single.append(f"{shown[one]} and {shown[other]} differ only in {escaped(inline(pair.matter[0].label))}")
    if not single:
        return [*said, "No two of them are known to differ in one thing alone, so no single change can be credited."]
    return [*said, f"{'; '.join(single[:MOST_NAMED])}."]
