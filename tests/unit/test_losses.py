"""Answer losses on disk."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.losses import LossStore
from evaluation.record_json import to_json_line
from evaluation.store import StoreError
from tests.responses import LOSS, PLAIN

UNKNOWN = replace(
    LOSS, id="later", measured_at=LOSS.measured_at + 1, loss_nats=None, reference_tokens=None, error="No."
)


def test_figures_of_a_worked_example() -> None:
    """12.5 nats over 5 tokens; over 18 bytes they are 12.5 / ln 2 / 18 bits each, and an umlaut has two bytes."""
    assert LOSS.answer_loss_nats == 2.5
    assert LOSS.bits_per_byte == pytest.approx(18.0337 / 18, rel=1e-5)
    assert replace(LOSS, reference="ü", loss_nats=2 * math.log(2)).bits_per_byte == pytest.approx(1)


def test_figures_of_something_unknown_are_unknown() -> None:
    """Never zero, and nothing is divided by zero."""
    assert UNKNOWN.answer_loss_nats is UNKNOWN.bits_per_byte is None
    nothing = replace(LOSS, reference="", reference_tokens=0)
    assert nothing.answer_loss_nats is nothing.bits_per_byte is None


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    """Oldest first, those of the project too, by benchmark where asked."""
    store = LossStore(tmp_path / "losses", published=tmp_path / "published")
    assert store.read() == ((), ())
    another = replace(LOSS, id="another", benchmark="another", reference=LOSS.benchmark, measured_at=0.0)
    for loss in (UNKNOWN, another):
        store.append(loss)
    LossStore(tmp_path / "published").append(LOSS)
    assert store.read() == ((another, LOSS, UNKNOWN), ())
    assert store.of_benchmark(LOSS.benchmark) == (LOSS, UNKNOWN)
    assert len(list((tmp_path / "losses").iterdir())) == 1


def test_lines_that_are_no_losses_are_named(tmp_path: Path) -> None:
    """A newer format, a response, a missing field and a torn end; the loss between them is read."""
    newer = json.dumps({"format": 2, "id": "x"}).encode() + b"\n"
    short = json.dumps({"format": 1, "id": "x", "host": None}).encode() + b"\n"
    lines = [newer, to_json_line(PLAIN), to_json_line(LOSS), b"garbage\n", short, to_json_line(LOSS)[:-20]]
    (tmp_path / "x.jsonl").write_bytes(b"".join(lines))
    losses, problems = LossStore(tmp_path).read()
    assert losses == (LOSS,)
    assert [problem.line for problem in problems] == [1, 2, 4, 5, 6]
    words = ["newer version", "reference is missing", "not an answer loss record", "host is not valid", "cut off"]
    for problem, expected in zip(problems, words, strict=True):
        assert expected in problem.reason


def test_what_cannot_be_saved_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"The answer loss could not be saved in .*RESULTS_DIR"):
        LossStore(tmp_path / "file" / "losses").append(LOSS)
