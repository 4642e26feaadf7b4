"""How long training takes: what is left of a run, and what a recipe would take on this machine."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.records import Host
from evaluation.runs.checked import as_number
from evaluation.runs.listing import RunSummary
from evaluation.runs.log_figures import before_training
from evaluation.runs.logs import RunLog, RunLogs

RECENT_LINES = 20
"""So many lines of the log, evaluations between them included, tell how fast a run is now."""
BATCH = ("batch_size", "gradient_accumulation")
"""Settings whose product is the number of conversations per optimizer step."""


@dataclass(frozen=True)
class Expected:
    """What a recipe will take."""

    seconds: float
    """From the start to the last step, evaluations included."""
    like: RunSummary
    """The run from which it is known."""


def seconds_left(steps: int | None, log: RunLog) -> float | None:
    """Until this many optimizer steps are done, at the pace of the last lines; ``None`` when that is not known yet."""
    timed = _timed(log.train).tail(RECENT_LINES)
    aim = as_number(steps)
    if aim is None or len(timed) < 2:
        return None
    first, last = timed.iloc[0], timed.iloc[-1]
    per_step_s = (last["elapsed_s"] - first["elapsed_s"]) / (last["step"] - first["step"])
    return max(0.0, float((aim - last["step"]) * per_step_s))


def expected(recipe: Mapping[str, Any], runs: Sequence[RunSummary], logs: RunLogs, host: Host) -> Expected | None:
    """What this recipe takes here, from a finished run of the same base on the same kind of machine: the newest, on the
    same data where there is one. ``recipe`` is resolved, as in ``Run.recipe``; ``runs`` are newest first.

    A step is taken to cost the same for each of its conversations, and loading and an evaluation what they cost then.
    """
    alike = [each for each in runs if _alike(each, recipe, host)]
    wanted = _product(recipe["training"].get(key) for key in BATCH)
    for each in sorted(alike, key=lambda each: each.run.recipe.get("data") != recipe["data"]):
        log = logs.read([each.folder])[each.folder]
        evaluation_s, per_step_s = _evaluation_s(log), _per_step_s(log)
        conversations = _product(each.setting("training", key) for key in BATCH)
        if per_step_s is None or not conversations or not wanted:
            continue
        steps_s = recipe["training"]["steps"] * per_step_s * wanted / conversations
        return Expected(_loading_s(each, log) + _evaluations(recipe) * evaluation_s + steps_s, each)
    return None


def _alike(summary: RunSummary, recipe: Mapping[str, Any], host: Host) -> bool:
    run = summary.run
    return (
        run.status == "finished"
        and run.host is not None
        and (run.host.cpu, run.host.cores) == (host.cpu, host.cores)
        and run.recipe.get("base") == recipe["base"]
    )


def _product(values: Iterable[Any]) -> float | None:
    """``None`` unless all are numbers above 0."""
    found = [as_number(value) for value in values]
    known = [number for number in found if number and number > 0]
    return math.prod(known) if len(known) == len(found) else None


def _per_step_s(log: RunLog) -> float | None:
    """Median over the stretches between two lines of the log, without the evaluations in them."""
    timed = _timed(log.train)
    if len(timed) < 2:
        return None
    steps, elapsed_s = timed["step"].to_numpy(), timed["elapsed_s"].to_numpy()
    # One after a step comes after the line of that step.
    evaluations = np.diff(np.searchsorted(log.held_out["step"].to_numpy(), steps))
    trained_s: NDArray[np.float64] = np.diff(elapsed_s) - evaluations * _evaluation_s(log)
    return max(0.0, float(np.median(trained_s / np.diff(steps))))


def _loading_s(summary: RunSummary, log: RunLog) -> float:
    """Seconds from the start to the first evaluation or step; 0 when pauses between a stop and a resume hide them."""
    run = summary.run
    if run.resumed_at:
        return 0.0
    started_at, ended_at = as_number(run.started_at), as_number(run.ended_at)
    if started_at is None or ended_at is None:
        return 0.0
    trained_s = max(float(part["elapsed_s"].max()) for part in map(_timed, (log.train, log.held_out)) if len(part))
    return max(0.0, ended_at - started_at - trained_s)


def _evaluations(recipe: Mapping[str, Any]) -> int:
    """How often the loss on held-out rows is measured: at the start, now and then, at the end."""
    if not (recipe["data"]["held_out"] or recipe["data"]["held_out_rows"]):
        return 0
    every = recipe["evaluation"]["every"]
    return 1 + (math.ceil(recipe["training"]["steps"] / every) if every else 1)


def _evaluation_s(log: RunLog) -> float:
    """Of the one before the first step; 0 when there was none."""
    timed = _timed(log.held_out)
    first = timed["elapsed_s"][before_training(timed["step"].to_numpy())]
    return float(first.iloc[-1]) if len(first) else 0.0


def _timed(entries: pd.DataFrame) -> pd.DataFrame:
    """Those that tell a time."""
    timed: pd.DataFrame = entries.loc[np.isfinite(entries["elapsed_s"]), ["step", "elapsed_s"]]
    return timed
