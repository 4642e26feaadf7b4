"""The list of training runs."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluation.runs.listing import Listing, RunList, RunSummary, labels
from evaluation.runs.logs import RunLogs
from evaluation.settings import PUBLISHED_DIR
from training import runlog
from training.runlog import LogEntry, Run, RunWriter


def make(results: Path, name: str, at: float | None = 1e9, entries: tuple[LogEntry, ...] = (), **changes: Any) -> Path:
    writer = RunWriter.create(results, Run(name, name, "running", started_at=at))
    writer.log(*entries)
    writer.close("finished")
    writer = RunWriter.amend(writer.folder)
    writer.update(**({"ended_at": None} | changes))
    writer.release()
    return writer.folder


def runs_of(results: Path) -> RunList:
    return RunList([results, results / "published"], [results / "published"], RunLogs())


def ids(listing: Listing) -> list[str]:
    return [summary.run.id for summary in listing.runs]


def only(listing: Listing) -> RunSummary:
    (summary,) = listing.runs
    return summary


class TestFigures:
    def test_published_runs(self) -> None:
        """Against their logs read by pandas; the study's run tells only its losses."""
        runs = RunList([PUBLISHED_DIR], [PUBLISHED_DIR], RunLogs()).refresh().runs
        r16, study = (
            next(summary for summary in runs if summary.run.id.startswith(start)) for start in ("r16-2026", "llama")
        )
        log = pd.read_json(r16.folder / "log.jsonl", lines=True, precise_float=True)
        train, held_out = log[log["kind"] == "train"], log[log["kind"] == "eval"]
        line = train["loss"].ewm(alpha=1 / 6, adjust=True).mean()
        assert (r16.read_only, r16.steps_done) == (True, 60)
        assert r16.final_loss == pytest.approx(line.iloc[-1], rel=1e-3)
        assert r16.best_loss == pytest.approx(line.iloc[6:].min(), rel=1e-3) and r16.best_loss < r16.final_loss
        assert (r16.held_out_before, r16.held_out_loss) == tuple(held_out["loss"].iloc[[0, -1]])
        assert r16.duration_s == log["elapsed_s"].iloc[-1] and r16.tok_s == train["tok_s"].median()
        assert (study.steps_done, study.held_out_loss, study.duration_s, study.tok_s) == (120, None, None, None)
        assert study.final_loss == study.best_loss == pytest.approx(0.862, abs=0.001)

    def test_unknown_is_none(self, tmp_path: Path) -> None:
        """Never 0: without a log, with a log that only diverged, and before the first step."""
        make(tmp_path, "empty")
        make(tmp_path, "diverged", entries=tuple(LogEntry(step, "train", float("nan")) for step in (1, 2)))
        make(tmp_path, "begun", entries=(LogEntry(0, "eval", 2.5),), ended_at=1e9 + 60)
        found = {each.run.id: each for each in runs_of(tmp_path).refresh().runs}
        empty, diverged, begun = found["empty"], found["diverged"], found["begun"]
        assert (empty.steps_done, empty.final_loss, empty.best_loss, empty.duration_s, empty.tok_s) == (None,) * 5
        assert (diverged.steps_done, diverged.final_loss, diverged.best_loss) == (2, None, None)
        assert (begun.steps_done, begun.held_out_before, begun.held_out_loss) == (0, 2.5, 2.5)
        assert begun.duration_s == 60, "the log does not know it, so from the start to the end"

    def test_before_the_first_step_and_after_the_last(self, tmp_path: Path) -> None:
        """Only step 0 is before the training, however seldom steps are logged; and a run that has diverged has no final
        loss, although its steps before had one."""
        evaluations = tuple(LogEntry(step, "eval", 3 - step / 10) for step in (0, 5, 10))
        make(tmp_path, "rarely-logged", entries=(*evaluations, LogEntry(10, "train", 2.0)))
        losses = enumerate((2.0, 1.0, float("nan")), start=1)
        make(tmp_path, "diverged", entries=tuple(LogEntry(step, "train", loss) for step, loss in losses))
        make(tmp_path, "not-at-0", entries=(LogEntry(5, "eval", 2.5), LogEntry(10, "train", 2.0)))
        found = {each.run.id: each for each in runs_of(tmp_path).refresh().runs}
        assert (found["rarely-logged"].held_out_before, found["not-at-0"].held_out_before) == (3.0, None)
        assert (found["diverged"].final_loss, found["diverged"].best_loss) == (None, 1.0)


class TestFolders:
    def test_order_and_what_is_read_only(self, tmp_path: Path) -> None:
        """Newest first, of unknown start last; those of the project may not be changed."""
        make(tmp_path, "old", 1e9)
        make(tmp_path, "unknown", None)
        make(tmp_path / "published", "new", 3e9)
        make(tmp_path, "middle", 2e9)
        listing = runs_of(tmp_path).refresh()
        assert ids(listing) == ["new", "middle", "old", "unknown"]
        assert [each.run.id for each in listing.runs if each.read_only] == ["new"]

    def test_a_run_is_listed_once(self, tmp_path: Path) -> None:
        """However many links lead to it; a link to a run of the project does not make it one's own."""
        folder = make(tmp_path / "published", "run")
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "link").symlink_to(folder)
        (tmp_path / "again").symlink_to(tmp_path / "published")
        runs = RunList([tmp_path, tmp_path / "again", tmp_path / "published"], [tmp_path / "again"], RunLogs())
        summary = only(runs.refresh())
        assert (summary.run.id, summary.read_only) == ("run", True)

    def test_copies_and_name_sakes(self, tmp_path: Path) -> None:
        """A copy of a run is passed over; of another run in a folder of the same name that is said."""
        folder = make(tmp_path, "run")
        shutil.copytree(folder, tmp_path / "published" / "runs" / "run")
        listing = runs_of(tmp_path).refresh()
        assert only(listing).folder == folder and not listing.problems
        make(tmp_path, "other")
        make(tmp_path / "published", "other", 2e9)
        assert "another run of the same name" in dict(runs_of(tmp_path).refresh().problems).popitem()[1]

    def test_folders_that_are_no_run(self, tmp_path: Path) -> None:
        """Are named, each with a sentence, and the others are listed; hidden folders are nobody's business."""
        make(tmp_path, "run")
        for name, content in (("damaged", "{"), ("newer", '{"format": 99}')):
            (make(tmp_path, name) / "run.json").write_text(content)
        (tmp_path / "runs" / "nothing").mkdir()
        (tmp_path / "runs" / ".launch").mkdir()
        (tmp_path / "runs" / "dangling").symlink_to(tmp_path / "nowhere")
        listing = runs_of(tmp_path).refresh()
        assert ids(listing) == ["run"] and runs_of(tmp_path / "nowhere").refresh() == Listing(())
        words = {folder.name: sentence for folder, sentence in listing.problems}
        assert "not the record" in words["damaged"] and "newer version" in words["newer"]
        assert "no run.json" in words["nothing"] and len(words) == 3


class TestChanges:
    def test_only_what_has_changed_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A new line, another name, a run that has gone, one that was damaged and is mended."""
        first, second, gone = (make(tmp_path, name) for name in ("first", "second", "gone"))
        (second / "run.json").rename(second / "aside")
        runs = runs_of(tmp_path)
        assert ids(runs.refresh()) == ["first", "gone"]
        read: list[Path] = []
        monkeypatch.setattr(
            "evaluation.runs.listing.read_run", lambda folder: (read.append(folder), runlog.read_run(folder))[1]
        )
        runs.refresh()
        assert not read
        (first / "log.jsonl").write_text('{"step": 5, "kind": "train", "loss": 1.5}\n')
        (second / "aside").rename(second / "run.json")
        shutil.rmtree(gone)
        listing = runs.refresh()
        assert read == [first, second] and not listing.problems
        assert {each.run.id: each.steps_done for each in listing.runs} == {"first": 5, "second": None}

    def test_a_log_that_cannot_be_read_is_tried_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No room for temporary files: the log did not change, but once there is room its figures are there."""
        make(tmp_path, "run", entries=(LogEntry(1, "train", 2.0),))
        runs = runs_of(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
            assert only(runs.refresh()).steps_done is None
        assert only(runs.refresh()).steps_done == 1

    def test_a_log_that_goes_while_it_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is known of it, and nothing fails."""
        make(tmp_path, "run", at=float("nan"), entries=(LogEntry(1, "train", 2.0),))
        make(tmp_path, "other")
        opened = Path.open

        def delete_and_open(path: Path, *arguments: Any, **named: Any) -> Any:
            if path.parent.name == "run" and path.name == "log.jsonl":
                path.unlink()
            return opened(path, *arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", delete_and_open)
            listing = runs_of(tmp_path).refresh()
        assert ids(listing) == ["other", "run"] and listing.runs[1].steps_done is None

    def test_a_run_that_dies(self, tmp_path: Path) -> None:
        """Its process is gone, no file has changed: it was interrupted when the log was last written."""
        writer = RunWriter.create(tmp_path, Run("run", "run", "running", started_at=1e9))
        writer.log(LogEntry(1, "train", 2.0))
        runs = runs_of(tmp_path)
        assert only(runs.refresh()).run.status == "running"
        writer.release()
        os.utime(writer.folder / "log.jsonl", (2e9, 2e9))
        runs.refresh()
        summary = only(runs.refresh())
        assert (summary.run.status, summary.run.ended_at) == ("interrupted", 2e9)
        writer = RunWriter.reopen(writer.folder, 1)
        assert only(runs.refresh()).run.status == "running"
        writer.close("finished")
        assert only(runs.refresh()).run.status == "finished"


class TestLabels:
    def test_unique(self) -> None:
        """The name; with the start in UTC where two share one; with the id where that does not tell them apart."""

        def summary(id: str, name: str, at: float | None) -> RunSummary:
            return RunSummary(Path(id), Run(id, name, "finished", started_at=at), False)

        runs = [summary("a", "r16", 1795396793), summary("b", "r32", None), summary("c", "r16", 1795396900)]
        assert labels(runs) == {"a": "r16 (2026-11-23 01:19 UTC)", "b": "r32", "c": "r16 (2026-11-23 01:21 UTC)"}
        assert labels(runs[:2]) == {"a": "r16", "b": "r32"}
        runs.append(replace(runs[0], run=replace(runs[0].run, id="d")))
        runs.append(summary("e", "r32", 1e30))
        assert labels(runs) == {
            "a": "r16 (a)",
            "b": "r32 (b)",
            "c": "r16 (2026-11-23 01:21 UTC)",
            "d": "r16 (d)",
            "e": "r32 (e)",
        }
