"""How runs differ, and what may be concluded: on the published runs, and on variants of them."""

import re
import shlex
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evaluation.runs.differences import differences
from evaluation.runs.listing import RunSummary
from evaluation.runs.reading import reading
from evaluation.settings import PROJECT_ROOT, PUBLISHED_DIR
from training.recipe import as_settings, read_recipe
from training.runlog import Run, read_run

RECIPES = {
    path.relative_to(PROJECT_ROOT).as_posix(): as_settings(read_recipe(path))
    for path in (PROJECT_ROOT / "training" / "recipes").glob("smollm2-*.toml")
}
STUDY = "llama-3.2-1b-instruct-r32-120steps"


@cache
def published(name: str) -> RunSummary:
    """The newest published run whose id begins so."""
    folder = (
        sorted((PUBLISHED_DIR / "runs").glob(f"{name}-20*"))[-1] if name != STUDY else PUBLISHED_DIR / "runs" / name
    )
    return RunSummary(folder, read_run(folder), read_only=True)


def variant(name: str, run: RunSummary, changes: dict[str, Any], **fields: Any) -> RunSummary:
    """The same run with these settings, given by their full names, and these fields of ``Run``."""
    recipe = {key: dict(value) if isinstance(value, dict) else value for key, value in run.run.recipe.items()}
    for key, value in changes.items():
        part, _, setting = key.partition(".")
        recipe.setdefault(part, {})[setting] = value
    return replace(run, run=replace(run.run, id=name, name=name, recipe=recipe, **fields))


def matter(*runs: RunSummary) -> dict[str, tuple[str | None, ...]]:
    return {each.label: each.values for each in differences(runs).matter}


def followers(*runs: RunSummary) -> dict[str, str]:
    return {each.label: each.follows for each in differences(runs).different if each.told and each.follows}


def said(*runs: RunSummary, among: tuple[RunSummary, ...] = ()) -> list[str]:
    """The sentences without Markdown's backslashes."""
    found = reading(runs, [run.run.name for run in runs], [*runs, *among], RECIPES)
    return [sentence.replace("\\", "") for sentence in found.sentences]


R16, R32, CONCISE = published("r16"), published("r32"), published("concise")
MIDDLE = variant("middle", R16, {"training.steps": 120}, steps=120)


def test_one_difference_is_read_as_the_one_that_matters() -> None:
    """Alpha that grows with the rank is none of its own; everything else is equal and said once."""
    found = differences([MIDDLE, R32])
    assert [(each.label, each.values) for each in found.different] == [
        ("LoRA rank", ("16", "32")),
        ("LoRA alpha", ("16", "32")),
    ]
    equal = dict(found.equal["recipe"])
    assert (equal["Learning rate"], equal["Steps"], equal["Seed"]) == ("0.0002", "120", "3407")
    assert dict(found.equal["data"])["Rows trained on"] == "385"
    assert said(MIDDLE, R32) == [
        "They differ in one thing that matters: **LoRA rank 16 → 32** (alpha follows: its weight alpha / rank stays 1)."
    ]


def test_two_changes_at_once_credit_neither_and_the_run_between_is_named() -> None:
    """A run that is there and takes one setting from each is found, whatever else there is; unfinished ones are not."""
    others = (CONCISE, variant("other seed", MIDDLE, {"training.seed": 1}), MIDDLE, published(STUDY))
    stopped = variant("stopped", MIDDLE, {}, status="interrupted")
    first, parts, stretched = said(R16, R32, among=(stopped, *others))
    assert first.startswith("**LoRA rank 16 → 32** and **steps 60 → 120** changed at once, so neither can be credited")
    assert parts == "**middle** parts them: from **r16** it differs only in steps, from **r32** only in LoRA rank."
    assert "linear learning rate stretches with the steps" in stretched
    assert reading([R16, R32], ["a", "b"], [stopped], {}).parting is None


def test_the_command_makes_the_run_that_is_missing() -> None:
    """Read by the program that trains, it gives the one run's recipe with the one setting of the other; of
    settings that no recipe is near, words say the same."""
    command = re.search(r"`(.+)`", said(R16, R32)[1])[1]
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "training.finetune"]
    overrides = [word for before, word in pairwise(words) if before == "--set"]
    made = as_settings(read_recipe(PROJECT_ROOT / words[3], overrides))
    new = replace(R16, run=replace(R16.run, recipe=made))
    assert matter(R16, new) | matter(new, R32) == {"LoRA rank": ("16", "32"), "Steps": ("60", "120")}

    by_hand = variant("by hand", R16, {"optimizer.of_another_version": 0.5})
    bigger = variant("bigger", by_hand, {"training.steps": 120, "lora.rank": 32, "lora.alpha": 32})
    assert said(by_hand, bigger)[1] == "No run here parts them: that takes one like **by hand** with **steps 120**."


def test_what_is_not_recorded_is_neither_equal_nor_different() -> None:
    """The study's run tells rank, steps and base only: the rest is named as unknown, and no verdict hides that."""
    study = published(STUDY)
    assert list(matter(R32, study)) == ["Base model"]
    unknown = [each for each in differences([R32, study]).different if not each.told]
    assert {"Learning rate", "Seed", "Rows trained on (SHA-256)", "Processes"} <= {each.label for each in unknown}
    assert all(None in each.values for each in unknown)
    text = " ".join(said(R32, study))
    assert text.startswith("Of what is recorded for both, they differ in one thing that matters: **base model")
    assert f"Not recorded for **{study.run.name}**" in text and "learning rate" in text and "cannot be told" in text


def test_what_no_run_records_is_not_equal() -> None:
    """Imported runs that tell nothing, or their steps alone, are never said to be alike in the rest; nor are runs
    whose rows nobody knows, two by two or with a third between them."""

    def bare(name: str, steps: int | None = None) -> RunSummary:
        return RunSummary(Path(name), Run(name, name, "finished", origin="imported", steps=steps), False)

    nothing = said(bare("a"), bare("b"))
    assert nothing[0] == "Nothing that is recorded for both differs in a way that matters."
    assert nothing[1].startswith("Not recorded for either: base model,") and "cannot be told" in nothing[1]
    first = said(bare("a", 60), bare("b", 120))[0]
    assert first == "Of what is recorded for both, they differ in one thing that matters: **steps 60 → 120**."
    two = [variant(run.run.name, run, {}, data=None) for run in (R16, R32)]
    between = variant("between", MIDDLE, {}, data=None)
    assert "Not recorded for either: rows trained on (SHA-256)." in " ".join(said(*two))
    assert reading(two, ["a", "b"], [between], {}).parting is None
    three = " ".join(said(*two, between))
    assert "differ only in" not in three and "Not recorded for any of them: rows trained on (SHA-256)." in three
    short = [replace(run, run=replace(run.run, recipe={"lora": run.run.recipe["lora"]})) for run in (R16, R32)]
    assert "made by" not in " ".join(said(*short)), "the recipe's learning rate need not be theirs"


def test_a_seed_that_draws_rows_changes_them() -> None:
    """Then more than their order is by chance, and the rows that were split off are others too."""
    other = replace(R16.run.data, sha256="00" * 32)
    for key in ("data.sample", "data.held_out_rows"):
        first = variant("first", R16, {key: 100, "data.held_out": None})
        text = " ".join(said(first, variant("second", first, {"training.seed": 1}, data=other)))
        assert "is chance, the rows that were drawn, their order and the adapter's first weights." in text
        assert ("Their held-out rows may not be the same" in text) == (key == "data.held_out_rows")
    split = variant("split", R16, {"data.held_out_rows": 20, "data.held_out": None})
    filtered = variant("filtered", split, {"data.min_answer_words": 3}, data=other)
    assert "Their held-out rows may not be the same" in " ".join(said(split, filtered))


def test_what_remains_is_rounding_only_on_the_same_machine_with_the_same_code() -> None:
    """All of it recorded; else other machines and software may be the cause."""
    assert said(R16, variant("again", R16, {})) == [
        "Recipe, data and seed are the same, so a gap between their losses can only come from how the machine rounds."
    ]
    for changes in ({"host": None}, {"packages": {}}, {"dirty": True}, {"commit": None}):
        other = variant("other", R16, {}, **changes)
        for one in (R16, variant("one", R16, {}, **changes)):
            assert "can only come from machine and software" in said(one, other)[0]


def test_alpha_follows_only_where_every_run_tells_it() -> None:
    """Of three, one of which does not record its rank, or neither: no weight of the others is said to be all."""
    silent = variant("silent", R16, {"lora.rank": 16})
    del silent.run.recipe["lora"]["rank"]
    assert "Alpha stayed" not in " ".join(said(R16, silent, variant("kept", R16, {"lora.rank": 32})))
    del silent.run.recipe["lora"]["alpha"]
    assert set(matter(R16, silent, R32)) >= {"LoRA rank", "LoRA alpha"}


@pytest.mark.parametrize(
    ("before", "after", "follows"),
    [
        ("1.15.0", "1.15.9", True),
        ("2.13.0+cpu", "2.13.1+cpu", True),
        ("0.21", "0.22", False),
        ("5", "6", False),
        ("2.13.0+cpu", "2.13.0+cu130", False),
    ],
)
def test_a_patch_release_is_the_third_number(before: str, after: str, follows: bool) -> None:
    """Fewer numbers have none, and another build is more than a patch."""
    runs = [variant(version, R16, {}, packages={"x": version}) for version in (before, after)]
    assert bool(followers(*runs)) == follows


@pytest.mark.parametrize(
    ("changes", "fields", "expected"),
    [
        ({"training.seed": 1}, {}, "differ in the **seed 3407 → 1** alone: what differs between them is chance"),
        ({"lora.rank": 32}, {}, "Alpha stayed 16, so the adapter's weight alpha / rank changed too: 1 → 0.5."),
        ({"data.source": "./same.jsonl", "evaluation.every": 5}, {}, "Recipe, data and seed are the same"),
        ({"training.batch_size": 4, "training.gradient_accumulation": 2}, {}, "Recipe, data and seed are the same"),
        ({"training.batch_size": 4}, {}, "one thing that matters: **batch size 2 → 4**"),
        ({"base.max_length": 1024}, {}, "Recipe, data and seed are the same"),
        ({"lora.use_rslora": True}, {}, "Not recorded for **r16**: use rslora (lora)."),
        ({}, {"packages": {"torch": "2.12.0"}}, "The software differs too, which may move losses a little: torch"),
        ({}, {"status": "interrupted"}, "**other** has not done all of its 60 steps."),
    ],
)
def test_each_kind_of_difference_is_read_for_what_it_is(
    changes: dict[str, Any], fields: dict[str, Any], expected: str
) -> None:
    """Of one changed run beside the unchanged one."""
    assert expected in " ".join(said(R16, variant("other", R16, changes, **fields)))


def test_a_run_that_failed_after_its_last_step_has_done_them_all() -> None:
    """What came after the training, such as an export, does not count."""
    failed = replace(variant("failed", R16, {}, status="failed"), steps_done=60)
    assert "has not done" not in " ".join(said(R16, failed))
    assert "it stands at 59." in " ".join(said(R16, replace(failed, steps_done=59)))


def test_filters_are_the_difference_and_the_rows_follow() -> None:
    """Other rows by another filter are one difference; the same settings with other rows are one as well."""
    assert matter(R16, CONCISE) == {"Longest answer (words)": ("none", "30")}
    assert followers(R16, CONCISE)["Rows trained on"] == "Follows from the settings of the data."
    edited = replace(R16.run.data, sha256="00" * 32, train_rows=380, rows=380)
    assert matter(R16, variant("edited file", R16, {}, data=edited)) == {
        "Rows trained on (SHA-256)": ("6716ff8d491b", "000000000000")
    }


def test_times_of_other_machines_are_not_compared() -> None:
    """A difference of the environment is never the one that matters, and a patch release is of no account."""
    host = replace(R16.run.host, cpu="Other CPU", gpu="H200")
    other = variant("other", R16, {}, host=host, packages={**R16.run.packages, "trl": "1.15.9"})
    assert matter(R16, other) == {} and followers(R16, other) == {"trl": "Only a patch release."}
    text = " ".join(said(R16, other))
    assert "different machines, so their times and tokens per second must not be compared" in text
    assert "trl" not in text


def test_of_three_runs_those_are_named_that_differ_in_one_thing() -> None:
    """Two by two, so that a chain of single changes is seen."""
    first, pairs, *_ = said(R16, MIDDLE, R32)
    assert first.endswith("3 runs: **LoRA rank (16, 16, 32)** and **steps (60, 120, 120)**.")
    assert pairs == "**r16** and **middle** differ only in steps; **middle** and **r32** differ only in LoRA rank."


def test_foreign_recipes_and_names_are_only_text() -> None:
    """Imported recipes may hold anything, and names may be Markdown."""
    odd = Run("odd", "**a**[b](c)", "finished", origin="imported", recipe={"lora": "yes", "x": {"y": {"z": [1, None]}}})
    found = reading([RunSummary(Path("odd"), odd, False), R16], [odd.name, "r16"], [], {})
    assert r"\*\*a\*\*\[b\](c)" in " ".join(found.sentences)
