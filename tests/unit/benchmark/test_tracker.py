"""Which of the records of a cell counts."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.benchmark.estimate import TimeLeft
from evaluation.benchmark.plan import new_plan
from evaluation.benchmark.tracker import Tracker
from evaluation.prompt_sets import parse_prompt_set
from evaluation.records import Cell, Response, Sampling
from tests.responses import MEASURED, MODEL

CELL = Cell("b", "mine", "1", 0)
GOOD = replace(MEASURED, cell=CELL)
BETTER = replace(GOOD, text="Newer.")


@pytest.mark.parametrize(
    "flaw",
    [
        {"finish_reason": "error", "error": "It crashed."},
        {"cell": replace(CELL, disturbed=True)},
        {"load_s": 1.0},
    ],
)
def test_a_good_answer_counts_whatever_the_clock_says(tmp_path: Path, flaw: Mapping[str, object]) -> None:
    """An answer that was done anew may look older than the flawed one when the clock was set back in between: it counts
    all the same, and the newest of several good ones."""
    plan = new_plan([MODEL], [parse_prompt_set("mine", b"hi", jsonl=False)], 1, Sampling())
    flawed: Response = replace(GOOD, **flaw)  # type: ignore[arg-type]
    for order in ((flawed, GOOD, BETTER), (GOOD, BETTER, flawed), (GOOD, flawed, BETTER)):
        tracker = Tracker(plan, tmp_path, TimeLeft(plan, {MODEL.key: 1.0}), lambda progress: None)
        for response in order:
            tracker.take_in(response)
        assert tracker.stored(MODEL, CELL) == BETTER
        end = tracker.end("finished", None)
        assert (end.done, end.failed, end.disturbed) == (1, 0, 0)
