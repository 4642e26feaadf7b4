"""Several settings changed at once between two runs: which third run would tell their effects apart?"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from evaluation.runs.differences import Differences, between
from evaluation.runs.facts import facts, section
from evaluation.runs.follows import DECIDING, HASH, ONLY_WATCHED, TOGETHER, may_follow
from evaluation.runs.listing import RunSummary
from training.recipe_toml import toml_value
from training.runlog import Run

Recipes = Mapping[str, Mapping[str, Any]]
"""Resolved settings of the recipes that there are, by the path of the file as seen from the project's folder."""
COMMAND = ("python", "-m", "training.finetune")
MOST_SET = 6
"""A command that sets more than this is no recipe any more."""
_TOLD = {*DECIDING, "data.source"} - {HASH, "processes"}
_FREE = ("name", "description", "training.backend", *ONLY_WATCHED)


@dataclass(frozen=True)
class Parting:
    """A run between two others: with it each step changes fewer settings."""

    run: RunSummary
    from_first: Differences
    """From the first of the two to it."""
    from_second: Differences


@dataclass(frozen=True)
class ToMake:
    """A run that does not exist yet: one of the two, with one setting of the other."""

    like: int
    """0: it is like the first of the two, 1: like the second."""
    key: str
    """The setting that it takes over."""
    command: str | None
    """For a shell in the project's folder; ``None`` when no recipe is near."""


def parting_run(first: RunSummary, second: RunSummary, all_runs: Sequence[RunSummary]) -> Parting | None:
    """One of all runs that takes each setting that matters from one of the two; the one with which one of the two
    steps is smallest, and of those the newest."""
    ends = [facts(each.run) for each in (first, second)]
    matter = {each.key for each in between(ends).matter}
    plain = {key for key in ends[0] if section(key) == "recipe" and not may_follow(key)}
    best: Parting | None = None
    for each in all_runs:
        if each.run.id in (first.run.id, second.run.id) or each.run.archived or each.run.status != "finished":
            continue
        known = facts(each.run)
        if any(known.get(key) not in (ends[0].get(key), ends[1].get(key)) for key in plain | matter):
            continue  # it brings in a setting of its own
        steps = between([ends[0], known]), between([ends[1], known])
        keys = [{difference.key for difference in step.matter} for step in steps]
        doubt = any(difference.in_doubt for step in steps for difference in step.different)
        if doubt or not all(keys) or keys[0] & keys[1] or keys[0] | keys[1] != matter:
            continue
        if best is None or min(map(len, keys)) < min(len(best.from_first.matter), len(best.from_second.matter)):
            best = Parting(each, *steps)
    return best


def run_to_make(first: Run, second: Run, found: Differences, recipes: Recipes) -> ToMake | None:
    """The one with the shortest command; ``None`` when no single setting can be taken over.

    ``found``: the differences between the two.
    """
    told = {each.key for each in found.different if each.told}
    settings = [dict(_flat(run.recipe)) for run in (first, second)]
    ways: list[tuple[int, int, ToMake]] = []
    for like, each in product((0, 1), found.matter):
        keys = [each.key, *(key for key in TOGETHER.get(each.key, ()) if key in told and key != each.key)]
        taken = {key: settings[1 - like][key] for key in keys if key in settings[1 - like]}
        if each.key in settings[like] and len(taken) == len(keys):
            count, command = _command(settings[like] | taken, recipes)
            ways.append((count, len(taken), ToMake(like, each.key, command)))
    return min(ways, key=lambda way: way[:2])[2] if ways else None


def _command(wanted: Mapping[str, Any], recipes: Recipes) -> tuple[int, str | None]:
    """How many settings must be given beside the nearest recipe, and how."""
    shortest: tuple[int, str | None] = (MOST_SET + 1, None)
    if not wanted.keys() >= _TOLD:
        return shortest  # the recipe's own would stand in for what nobody knows
    for path, resolved in recipes.items():
        known = dict(_flat(resolved))
        other = {key: value for key, value in wanted.items() if key not in _FREE and known.get(key) != value}
        if len(other) < shortest[0] and wanted.keys() <= known.keys() | set(_FREE) and _can_be_set(other):
            words = [f"{key}={value if isinstance(value, str) else toml_value(value)}" for key, value in other.items()]
            command = shlex.join([*COMMAND, path, *(word for each in words for word in ("--set", each))])
            if command.isprintable() and "`" not in command:
                shortest = len(other), command
    return shortest


def _can_be_set(settings: Mapping[str, Any]) -> bool:
    """TOML has no word for none."""
    return all(isinstance(value, str | int | float | list) for value in settings.values())


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
