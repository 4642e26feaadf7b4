"""Runs compared on the same batches and at the same point: on the published runs, and on logs made by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.runs.curves import starting_weight
from evaluation.runs.listing import RunSummary
from evaluation.runs.logs import METRICS, RunLog, RunLogs
from evaluation.runs.milestones import milestones
from evaluation.runs.paired import paired, sentence, why_not_paired
from evaluation.settings import PUBLISHED_DIR
from training.runlog import read_run


def log(losses: list[float], tokens: list[float] | None = None, held_out: dict[int, float] | None = None) -> RunLog:
    """Steps from 1 on, 10 s each."""
    steps = range(1, len(losses) + 1)
    counts = tokens or [100.0 * step for step in steps]
    train = {"step": steps, "loss": losses, "tokens": counts, "elapsed_s": [10.0 * step for step in steps]}
    evaluated = {"step": list(held_out or {}), "loss": list((held_out or {}).values())}
    frames = [pd.DataFrame(each).reindex(columns=["step", *METRICS]) for each in (train, evaluated)]
    return RunLog((1, 1), *frames, diverged_steps=np.array([], dtype=np.int64))


def folder(name: str) -> Path:
    return sorted((PUBLISHED_DIR / "runs").glob(f"{name}-20*"))[-1]


def summary(run_folder: Path) -> RunSummary:
    return RunSummary(run_folder, read_run(run_folder), read_only=True)


R16, R32 = summary(folder("r16")), summary(folder("r32"))
SAME = log([2.0, 1.5, 1.0])


def test_the_published_runs_saw_the_same_batches_for_sixty_steps() -> None:
    """Rank 32 is lower at nearly each of them; the mean is that of the files, read by pandas, and its interval holds
    it and leaves out zero."""
    read = RunLogs().read([R16.folder, R32.folder])
    logs = [read[run.folder] for run in (R16, R32)]
    assert why_not_paired(R16, R32, *logs) is None
    found = paired(*logs)
    losses = []
    for run in (R16, R32):
        lines = pd.DataFrame(map(json.loads, (run.folder / "log.jsonl").read_text().splitlines()))
        losses.append(lines[lines["kind"] == "train"].set_index("step")["loss"])
    expected = (losses[1] - losses[0]).dropna()
    assert list(found.steps["step"]) == list(expected.index) == list(range(1, 61))
    assert np.allclose(found.steps["difference"], expected)
    assert found.overall.median == pytest.approx(expected.mean()) and found.overall.high < 0
    assert found.late.median == pytest.approx(expected.iloc[30:].mean())
    text = sentence(found, "r16", "r32")
    assert text.startswith(
        "At the 60 steps where both saw the same batch, **r32**'s loss is **lower** than **r16**'s by 0.076 nats per "
        "token on average ("
    )
    assert ", by 0.104 over the last half (" in text
    assert "**r16**'s loss is **higher** than **r32**'s by 0.076" in sentence(paired(*logs[::-1]), "r32", "r16")


@pytest.mark.parametrize(
    ("changes", "other", "reason"),
    [
        ({"training.seed": 1}, SAME, "Their seeds differ"),
        ({"training.batch_size": 4}, SAME, "different numbers of conversations"),
        ({"training.batch_size": 4, "training.gradient_accumulation": 2}, SAME, None),
        ({"training.log_every": 5}, SAME, "different numbers of steps"),
        ({"lora.rank": 8}, SAME, None),
        ({}, log([2.0, 1.5, 1.0, 0.5], [100.0, 250.0, 300.0, 400.0]), "part at step 2,"),
        ({}, log([2.0, 1.5, 1.0], [np.nan] * 3), None),
        ({"data": "other rows"}, SAME, "other rows"),
        ({"data": "unknown"}, SAME, "decides the batches is not recorded for both: rows trained on (SHA-256)."),
        ({"base": "other"}, log([2.0, 1.5, 1.0], [90.0, 180.0, 270.0]), "Their base models differ"),
        ({"base": "unknown"}, SAME, "is not recorded for both: base model."),
    ],
)
def test_the_same_batches_are_never_only_assumed(changes: dict[str, Any], other: RunLog, reason: str | None) -> None:
    """Rows, seed and size of a step decide the batches; the counted tokens prove it step by step."""
    run = R16.run
    data, base = changes.pop("data", None), changes.pop("base", None)
    recipe = {key: dict(value) if isinstance(value, dict) else value for key, value in run.recipe.items()}
    for key, value in changes.items():
        section, setting = key.split(".")
        recipe[section][setting] = value
    card = {None: run.data, "other rows": replace(run.data, sha256="00" * 32), "unknown": None}[data]
    model = {None: run.base, "other": replace(run.base, model="other", sha256="00" * 32), "unknown": None}[base]
    if base:
        del recipe["base"]["model"]
    changed = replace(R16, run=replace(run, recipe=recipe, data=card, base=model))
    found = why_not_paired(R16, changed, SAME, other)
    assert found is None if reason is None else reason in str(found)


def test_a_first_step_may_be_called_0() -> None:
    """Where other tools count from there, other batches are seen all the same."""
    first, second = (
        replace(each, train=each.train.assign(step=[0, 1, 2])) for each in (SAME, log([2.0, 1.5, 1.0], [50.0] * 3))
    )
    assert "part at step 0," in str(why_not_paired(R16, R16, first, second))


def test_noise_is_no_difference() -> None:
    """Two curves that differ by noise alone cannot be told apart, however much both of them fall."""
    random = np.random.default_rng(3)
    curve = 2 + np.exp(-np.arange(200) / 40) + random.normal(0, 0.2, 200)  # the batches' own noise, common to both
    first, second = (log(list(curve + random.normal(0, 0.01, 200))) for _ in range(2))
    text = sentence(paired(first, second), "a", "b")
    assert "**b** and **a** **cannot be told apart**: their losses differ by" in text and " to " in text
    better = sentence(paired(first, log(list(curve - 0.02))), "a*b", "b")
    assert "**b**'s loss is **lower** than **a\\*b**'s by 0.02" in better


def test_only_steps_with_both_losses_count() -> None:
    """A diverged step is left out; too few steps give no verdict; equal runs are called so; none in common is none."""
    found = paired(log([2.0, np.inf, 1.0, np.nan]), log([2.5, 1.0, 1.25, 1.0, 0.5]))
    assert list(found.steps["step"]) == [1, 3] and list(found.steps["difference"]) == [0.5, 0.25]
    assert "too few (mean difference 0.375 nats per token)" in sentence(found, "a", "b")
    assert sentence(paired(SAME, SAME), "a", "b").endswith("the losses of **a** and **b** are the same.")
    huge = sentence(paired(log([1e300] * 30), log([3e300] * 30)), "a", "b")
    assert "higher** than **a**'s by 2.00e+300 nats" in huge and len(huge) < 250
    assert paired(log([]), SAME) is None and paired(log([np.nan]), SAME) is None


def test_runs_of_other_lengths_are_compared_where_all_have_been() -> None:
    """At the last step, token and second of the shortest, each line up to there; at the last common evaluation."""
    long = log([3.0, 2.0, 2.0, 2.0, 9.0, 9.0], held_out={0: 3.0, 2: 2.5, 4: 2.2, 6: 2.1})
    short = log([4.0, 4.0, 4.0], [200.0, 400.0, 600.0], {0: 3.0, 2: 2.6, 3: 2.4})
    step, tokens, time, held_out = milestones([long, short])
    assert (step.of, step.at, tokens.of, tokens.at, time.of, time.at) == ("step", 3, "tokens", 600, "elapsed_s", 30)
    smooth = long.train["loss"].ewm(alpha=1 - starting_weight(3)).mean()  # as is good for the shorter run
    assert step.losses == time.losses == pytest.approx((smooth[2], 4.0))
    assert tokens.losses == pytest.approx((smooth[5], 4.0))
    assert (held_out.at, held_out.losses, held_out.held_out) == (2, (2.5, 2.6), True)
    diverged = log([4.0, 4.0, 4.0], held_out={0: 3.0, 2: 2.6, 4: np.inf})
    assert milestones([long, diverged])[-1].at == 2
    assert milestones([long, log([])]) == []
    only_losses = [each.of for each in milestones([long, log([1.0, 1.0], [np.nan, np.nan])])]
    assert only_losses == ["step", "elapsed_s"]
