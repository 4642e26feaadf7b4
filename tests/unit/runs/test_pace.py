"""How long training takes, against examples worked by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluation.records import Host
from evaluation.runs.listing import RunList
from evaluation.runs.logs import RunLogs
from evaluation.runs.pace import expected, seconds_left
from training.runlog import LogEntry, Run, RunWriter, TrainingHost

HOST = Host("key", "Some CPU", 2.0, 2**33, "Linux", "llama")
RECIPE: dict[str, Any] = {
    "base": {"model": "embedded"},
    "data": {"source": "rows.jsonl", "held_out": "others.jsonl", "held_out_rows": 0},
    "training": {"steps": 4, "batch_size": 2, "gradient_accumulation": 2},
    "evaluation": {"every": 2},
}


def write(results: Path, name: str, recipe: dict[str, Any] = RECIPE, **changes: Any) -> None:
    """Four steps of 3 s each from 10 s on, evaluations of 5 s at 0, 2 and 4; 7 s passed before anything was logged."""
    host = TrainingHost("Some CPU", 2.0, 2**33, "Linux")
    run = Run(name, name, "running", started_at=1000.0, steps=4, recipe=recipe, host=host)
    writer = RunWriter.create(results, replace(run, **changes))
    writer.log(LogEntry(step=0, kind="eval", loss=3.0, elapsed_s=5.0))
    for step, elapsed_s in ((1, 8.0), (2, 11.0), (3, 19.0), (4, 22.0)):
        writer.log(LogEntry(step=step, kind="train", loss=2.0, elapsed_s=elapsed_s))
        if step % 2 == 0:
            writer.log(LogEntry(step=step, kind="eval", loss=2.5, elapsed_s=elapsed_s + 5.0))
    writer.update(status="finished", ended_at=1000.0 + 27.0 + 7.0)
    writer.release()


def estimate(results: Path, recipe: dict[str, Any] = RECIPE, host: Host = HOST) -> tuple[float, str] | None:
    logs = RunLogs()
    found = expected(recipe, RunList([results], [], logs).refresh().runs, logs, host)
    return found and (found.seconds, found.like.run.name)


def test_a_recipe_takes_what_a_run_like_it_took(tmp_path: Path) -> None:
    """The same again: loading, three evaluations, four steps. Other steps, batches and evaluations in proportion."""
    write(tmp_path, "like")
    assert estimate(tmp_path) == (7 + 3 * 5 + 4 * 3, "like")
    training = {"steps": 10, "batch_size": 4, "gradient_accumulation": 4}
    once = RECIPE | {"training": training, "evaluation": {"every": 0}}
    assert estimate(tmp_path, once) == (7 + 2 * 5 + 10 * 3 * 16 / 4, "like")
    unmeasured = RECIPE | {"data": {"source": "rows.jsonl", "held_out": None, "held_out_rows": 0}}
    assert estimate(tmp_path, unmeasured) == (7 + 4 * 3, "like")


def test_pauses_for_evaluations_are_counted_once(tmp_path: Path) -> None:
    """A line of the log every four steps and as many evaluations: each stretch of 4 × 3 s holds one of 5 s."""
    recipe = RECIPE | {"training": RECIPE["training"] | {"steps": 8}, "evaluation": {"every": 4}}
    run = Run("rare", "rare", "running", 1000.0, steps=8, recipe=recipe, host=TrainingHost("Some CPU", 2.0, 0, "Linux"))
    writer = RunWriter.create(tmp_path, run)
    elapsed = ((0, "eval", 5.0), (4, "train", 17.0), (4, "eval", 22.0), (8, "train", 34.0), (8, "eval", 39.0))
    writer.log(*(LogEntry(step, kind, 2.0, elapsed_s=elapsed_s) for step, kind, elapsed_s in elapsed))
    writer.update(status="finished", ended_at=1039.0)
    writer.release()
    assert estimate(tmp_path, recipe) == (3 * 5 + 8 * 3, "rare")


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE | {"training": {"steps": 4}},
        RECIPE | {"training": "fast"},
        RECIPE | {"training": RECIPE["training"] | {"batch_size": 0}},
        RECIPE | {"training": RECIPE["training"] | {"batch_size": "2"}},
        RECIPE | {"training": RECIPE["training"] | {"gradient_accumulation": 10**400}},
        {"base": RECIPE["base"], "data": 7},
    ],
)
def test_a_record_of_another_form_tells_nothing(tmp_path: Path, recipe: dict[str, Any]) -> None:
    """Somebody may have edited it; another run is taken then."""
    write(tmp_path, "odd", recipe, started_at=2000.0)
    assert estimate(tmp_path) is None
    write(tmp_path, "like", started_at=900.0, resumed_at=(950.0,))
    assert estimate(tmp_path) == (3 * 5 + 4 * 3, "like")


def test_times_that_are_none(tmp_path: Path) -> None:
    """An infinite time, or no number of steps that a computer can count with: no time left, and no failure."""
    writer = RunWriter.create(tmp_path, Run("new", "new", "running", steps=9))
    for step, elapsed_s in ((1, 3.0), (2, float("inf")), (3, 7.0), (4, float("inf"))):
        writer.log(LogEntry(step, "train", 2.0, elapsed_s=elapsed_s))
    writer.release()
    log = RunLogs().read([writer.folder])[writer.folder]
    assert seconds_left(9, log) == pytest.approx(6 * 2.0) and seconds_left(10**400, log) is None


def test_only_the_like_is_compared(tmp_path: Path) -> None:
    """Neither another machine nor another base nor an unfinished run tells; the same data tell best."""
    write(tmp_path, "other-base", RECIPE | {"base": {"model": "unsloth/Other"}})
    write(tmp_path, "elsewhere", host=TrainingHost("Another CPU", 2.0, 2**33, "Linux"))
    write(tmp_path, "unknown", {})
    assert estimate(tmp_path) is None and estimate(tmp_path / "nowhere") is None
    write(tmp_path, "same-data", started_at=900.0, resumed_at=(950.0,))
    write(tmp_path, "newer", RECIPE | {"data": RECIPE["data"] | {"source": "more.jsonl"}})
    assert estimate(tmp_path) == (3 * 5 + 4 * 3, "same-data")  # pauses hide how long it loaded


@pytest.mark.parametrize(("steps", "left_s"), [(10, 6 * (22 - 8) / 3), (4, 0.0), (2, 0.0), (None, None)])
def test_what_is_left_goes_on_at_this_pace(tmp_path: Path, steps: int | None, left_s: float | None) -> None:
    """From the first to the last line 14 s for three steps, an evaluation among them."""
    write(tmp_path, "live")
    folder = tmp_path / "runs" / "live"
    assert seconds_left(steps, RunLogs().read([folder])[folder]) == pytest.approx(left_s)


def test_one_line_tells_no_pace(tmp_path: Path) -> None:
    """Nothing is made up."""
    writer = RunWriter.create(tmp_path, Run("new", "new", "running", steps=9))
    writer.log(LogEntry(step=1, kind="train", loss=2.0, elapsed_s=3.0))
    assert seconds_left(9, RunLogs().read([writer.folder])[writer.folder]) is None
    writer.release()
