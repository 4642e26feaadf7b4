"""``results/README.md`` says what the files hold, and how to read them."""

import dataclasses
import math
import re
import shutil
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from evaluation.losses import LossStore
from evaluation.records import AnswerLoss, Response
from tests.responses import LOSS
from training.runlog import LogEntry, Run

PROJECT_ROOT = Path(__file__).parents[3]
FIXTURE = PROJECT_ROOT / "tests" / "fixtures" / "run-format1"


def section(title: str) -> str:
    text = (PROJECT_ROOT / "results" / "README.md").read_text(encoding="utf-8")
    return re.split(rf"^#+ {re.escape(title)}$", text, flags=re.MULTILINE)[1].split("\n#")[0]


def test_tables_name_every_field() -> None:
    """No field is missing from the tables and none is made up."""
    run = re.findall(r"^\| `([\w.\[\]]+)`", section("`run.json`, format 1"), re.MULTILINE)
    assert run == list(_names(Run))
    log = re.findall(r"^\| `(\w+)`", section("A line of `log.jsonl`"), re.MULTILINE)
    assert log == [field.name for field in dataclasses.fields(LogEntry)]
    response = re.findall(r"^\| `([\w.\[\]]+)`", section("A response record, format 1"), re.MULTILINE)
    assert sorted(response) == sorted([*_names(Response), "place", "cell", "text_figures", "server"])
    loss = re.findall(r"^\| `(\w+)`", section("Answer losses"), re.MULTILINE)
    assert sorted(loss) == sorted(field.name for field in dataclasses.fields(AnswerLoss))


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The ways to read that it shows work on the fixture, and agree."""
    for parent in ("runs", "published/runs"):
        shutil.copytree(FIXTURE, tmp_path / "results" / parent / "ID")
    monkeypatch.chdir(tmp_path)
    reading = section("Reading runs")
    python, pandas = re.findall(r"```python\n(.*?)```", reading, re.DOTALL)
    exec(python, {})
    assert capsys.readouterr().out.startswith("demo failed 5 ('Line 6 of log.jsonl is cut off")
    (sql,) = re.findall(r"```sql\n(.*?)```", reading, re.DOTALL)
    assert duckdb.sql(sql).fetchall() == [("ID", 2, 2.125)]
    path = tmp_path / "results" / "runs" / "ID" / "log.jsonl"
    path.write_bytes(path.read_bytes().rpartition(b"\n")[0] + b"\n")
    names: dict[str, Any] = {"pd": pd}
    exec(pandas, names)
    assert names["log"]["loss"].tolist()[:4] == [2.5, 2.25, 2.0, 2.125]
    assert math.isnan(names["log"]["loss"][4]) and names["log"]["grad_norm"].astype(float)[4] == math.inf


def test_reading_of_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """What it shows prints a model's figure."""
    LossStore(tmp_path / "results" / "losses").append(LOSS)
    monkeypatch.chdir(tmp_path)
    exec(re.findall(r"```python\n(.*?)```", section("Answer losses"), re.DOTALL)[0], {})
    assert capsys.readouterr().out.startswith("[('Tiny 1M', 'sky', 1.00")


def _names(record: Any) -> Iterator[str]:
    """Fields as the README writes them: ``base.model``, ``exports[].file``."""
    types = typing.get_type_hints(record)
    for field in dataclasses.fields(record):
        inner = [part for part in (types[field.name], *typing.get_args(types[field.name])) if _is_record(part)]
        brackets = "[]" if typing.get_origin(types[field.name]) is tuple else ""
        if inner:
            yield from (f"{field.name}{brackets}.{name}" for name in _names(inner[0]))
        else:
            yield field.name


def _is_record(part: Any) -> bool:
    return isinstance(part, type) and dataclasses.is_dataclass(part)
