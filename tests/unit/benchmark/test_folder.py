"""What benchmarks leave on disk, also when it is damaged or in the way."""

import dataclasses
import re
import subprocess
import typing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmark.__main__ import main
from evaluation.benchmark.folder import (
    BenchmarkError,
    Progress,
    benchmarks,
    cancel,
    create,
    held,
    read,
    running,
    start,
    write_progress,
)
from evaluation.benchmark.plan import Plan, new_plan
from evaluation.prompt_sets import parse_prompt_set
from evaluation.records import Sampling
from tests.responses import HOST, MODEL

PROJECT_ROOT = Path(__file__).parents[3]


@pytest.fixture
def plan() -> Plan:
    return new_plan([MODEL], [parse_prompt_set("mine", b"hi\nyou", jsonl=False)], 3, Sampling())


@pytest.fixture
def folder(tmp_path: Path, plan: Plan) -> Path:
    return create(tmp_path, plan)


def test_what_was_created_is_found(tmp_path: Path, plan: Plan, folder: Path) -> None:
    """Newest first, published ones too; a second one of the same name and second gets a number; one that never ran can
    be told from one that did."""
    second = create(tmp_path, replace(plan, created_at=plan.created_at + 1))
    assert second.name == f"{folder.name}-2" and read(second).plan.id == second.name
    published = tmp_path / "published"
    theirs = published / "benchmarks" / "theirs"
    theirs.parent.mkdir(parents=True)
    folder.rename(theirs)
    write_progress(theirs, Progress("finished", done=6, total=6))
    found, problems = benchmarks(tmp_path, published)
    assert [each.folder.name for each in found] == [second.name, "theirs"] and not problems
    assert found[0].progress == Progress("interrupted", total=6, reason="It was never started.")
    assert found[1].plan == replace(plan, id="theirs") and found[1].progress.status == "finished"
    cancel(second)
    assert running(tmp_path) is None and benchmarks(tmp_path / "nowhere") == ([], [])


def test_sets_of_one_name_are_refused(tmp_path: Path, plan: Plan) -> None:
    """Their answers could not be told apart."""
    with pytest.raises(BenchmarkError, match="mine, mine have the same name"):
        create(tmp_path, replace(plan, prompt_sets=plan.prompt_sets * 2))


def test_damaged_files_are_told_in_sentences(tmp_path: Path, folder: Path) -> None:
    """A broken or newer plan is named beside those that can be read; broken progress leaves what can be resumed."""
    (folder / "progress.json").write_text('{"status": "asleep"}')
    assert read(folder).progress.status == "interrupted" and "damaged" in (read(folder).progress.reason or "")
    plan_file = folder / "benchmark.json"
    good = plan_file.read_text()
    for bad, sentence in (
        (good[:100], "not the plan of a benchmark"),
        (good.replace('"format": 1', '"format": 9'), r"newer version of this program \(format 9"),
        ("[]", "not the plan of a benchmark"),
        (None, "has no benchmark.json"),
    ):
        plan_file.write_text(bad) if bad else plan_file.unlink()
        found, ((where, problem),) = benchmarks(tmp_path)
        assert not found and where == folder and re.search(sentence, problem)
        with pytest.raises(BenchmarkError, match=sentence):
            start(tmp_path, folder.name)


def test_one_at_a_time(
    tmp_path: Path, plan: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While one is held it is the running one, and others of this results folder are refused by its name: those that
    are there already, and new ones, before anything is made for them."""
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path))
    other = create(tmp_path, plan)
    with held(tmp_path, folder):
        now = running(tmp_path)
        assert now and now.folder == folder and now.progress.status == "running"
        with pytest.raises(BenchmarkError, match=f"{plan.name} is running: wait"), held(tmp_path, other):
            pass
        assert main(["--models", "all", "--prompts", "study"]) == 1
        assert f"{plan.name} is running" in capsys.readouterr().err and len(benchmarks(tmp_path)[0]) == 2
    assert running(tmp_path) is None and read(folder).progress.status == "interrupted"
    with held(tmp_path, other):
        pass


def test_what_cannot_be_held_is_not_held_in_part(tmp_path: Path, plan: Plan, folder: Path) -> None:
    """The next one can run, although this one's lock cannot be opened."""
    (folder / "run.lock").mkdir()
    with pytest.raises(BenchmarkError, match=f"{folder.name} cannot be run in"), held(tmp_path, folder):
        pass
    with held(tmp_path, create(tmp_path, plan)):
        pass


def test_cancelling_spares_strangers(tmp_path: Path, folder: Path) -> None:
    """On a file system without locks an ended benchmark looks held, and its process id may be another program's."""
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        with held(tmp_path, folder):
            (folder / "run.lock").write_text(str(stranger.pid))
            cancel(folder)
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(0.2)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_start_that_fails_says_what_its_process_said(tmp_path: Path, plan: Plan) -> None:
    """Here because the benchmark belongs to another machine; the output stays in its folder."""
    folder = create(tmp_path, replace(plan, host=HOST))
    with pytest.raises(BenchmarkError, match=r"^The benchmark .* was begun on another machine .*start a new one here"):
        start(tmp_path, folder.name)
    assert "6 answers" in (folder / "output.log").read_text()


def test_the_readme_names_every_field() -> None:
    """No field of the two files is missing from its tables, and none is made up."""
    text = (PROJECT_ROOT / "results" / "README.md").read_text(encoding="utf-8")
    for record, title in ((Plan, "`benchmark.json`, format 1"), (Progress, "`progress.json`")):
        section = re.split(rf"^#+ {re.escape(title)}$", text, flags=re.MULTILINE)[1].split("\n#")[0]
        named = re.findall(r"^\| `([\w.\[\]]+)`", section, re.MULTILINE)
        assert named == list(_names(record))


def _names(record: Any) -> Iterator[str]:
    """Fields as the README writes them; what a response record has, too, is described there."""
    types = typing.get_type_hints(record)
    for field in dataclasses.fields(record):
        brackets = "[]" if typing.get_origin(types[field.name]) is tuple else ""
        inner = [part for part in typing.get_args(types[field.name]) if dataclasses.is_dataclass(part)]
        if field.name in ("host", "models", "sampling") or not inner:
            yield field.name + brackets
        else:
            yield from (f"{field.name}{brackets}.{name}" for name in _names(inner[0]))
