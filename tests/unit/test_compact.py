"""Turning closed files into Parquet: whatever happens in between, every record is read once."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.compact import compact
from evaluation.leaderboard.answers import Answers
from evaluation.record_json import to_json_line
from evaluation.records import Response
from evaluation.store import ResponseStore
from tests.responses import FIXTURE, MEASURED, PLAIN, random_responses

RANDOM = random_responses(seed=7, count=60)


def write(path: Path, responses: list[Response]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(to_json_line, responses)))


def suffixes(folder: Path) -> list[str]:
    return sorted(path.name.partition(".")[2] for path in folder.iterdir())


def ids(folder: Path) -> list[str]:
    """Of all records that the store reads."""
    result = ResponseStore(folder).read()
    assert result.problems == ()
    return sorted(response.id for response in result.responses)


class TestTurning:
    def test_every_field_of_every_record_survives(self, tmp_path: Path) -> None:
        """In the same order, whatever the text; JSON lines are gone, and space was saved."""
        folder = tmp_path / "it's [1]"
        write(folder / "a.jsonl", [*RANDOM, MEASURED])
        before = ResponseStore(folder).read()
        done = compact(folder, older_than_s=-1)
        assert (done.files, done.left_alone) == (1, ())
        assert 0 < done.bytes_after < done.bytes_before
        assert suffixes(folder) == ["parquet"]
        assert ResponseStore(folder).read() == before

    def test_records_of_earlier_versions(self, tmp_path: Path) -> None:
        """Lines without the fields that came later read the same before and after."""
        (tmp_path / "a.jsonl").write_bytes(FIXTURE.read_bytes())
        before = ResponseStore(tmp_path).read()
        compact(tmp_path, older_than_s=-1)
        assert ResponseStore(tmp_path).read() == before

    def test_the_leaderboard_reads_both(self, tmp_path: Path) -> None:
        """The same counts and figures, in an ``Answers`` that saw the change happen and in a new one."""
        responses = tmp_path / "responses"
        write(responses / "a.jsonl", RANDOM[:30])
        write(responses / "b.jsonl", RANDOM[30:])
        watching = Answers(tmp_path)
        watching.refresh()
        before = watching.hosts()
        compact(responses, older_than_s=-1)
        write(responses / "c.jsonl", [PLAIN])
        for answers in (watching, Answers(tmp_path)):
            answers.refresh()
            assert sum(host.answers for host in answers.hosts()) == len(RANDOM) + 1
            assert answers.problems() == ()
        assert sum(host.answers for host in before) == len(RANDOM)

    def test_files_in_use_stay(self, tmp_path: Path) -> None:
        """Those that were written to within the hour."""
        write(tmp_path / "new.jsonl", [PLAIN])
        write(tmp_path / "old.jsonl", [MEASURED])
        os.utime(tmp_path / "old.jsonl", (time.time() - 3601,) * 2)
        done = compact(tmp_path)
        assert (done.files, done.in_use) == (1, 1)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["new.jsonl", "old.parquet"]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"id": "torn', "cut off"),
            (b"no record\n", "not a response"),
            (to_json_line(PLAIN).replace(b'"format": 1', b'"format": 2'), "newer version"),
            (json.dumps(json.loads(to_json_line(PLAIN)) | {"mood": "good"}).encode() + b"\n", "does not know"),
            (to_json_line(PLAIN).replace(b'"cores": 2.0', b'"cores": 2.0, "gpu": "none"'), "does not know"),
        ],
    )
    def test_what_parquet_would_lose_stays(self, tmp_path: Path, line: bytes, reason: str) -> None:
        """A file with a torn, foreign or newer line, or with fields of another program, is left byte for byte."""
        path = tmp_path / "a.jsonl"
        path.write_bytes(to_json_line(MEASURED) + line)
        before = path.read_bytes()
        (sentence,) = compact(tmp_path, older_than_s=-1).left_alone
        assert "a.jsonl" in sentence and "line 2" in sentence and reason in sentence
        assert path.read_bytes() == before
        assert suffixes(tmp_path) == ["jsonl"]


class TestInterrupted:
    def test_between_the_two_names(self, tmp_path: Path) -> None:
        """Killed when the Parquet file was whole but the JSON lines still there: nothing counts twice, and the next run
        ends the work."""
        folder = tmp_path / "responses"
        write(folder / "a.jsonl", RANDOM)
        lines = (folder / "a.jsonl").read_bytes()
        compact(folder, older_than_s=-1)
        (folder / "a.jsonl").write_bytes(lines)
        answers = Answers(tmp_path)
        answers.refresh()
        assert sum(host.answers for host in answers.hosts()) == len(ids(folder)) == len(RANDOM)
        assert compact(folder, older_than_s=-1).left_alone == ()
        assert suffixes(folder) == ["parquet"]
        assert len(ids(folder)) == len(RANDOM)

    def test_while_writing(self, tmp_path: Path) -> None:
        """A part of a Parquet file is read by nobody, and goes away with the next run."""
        write(tmp_path / "a.jsonl", RANDOM)
        (tmp_path / "x.parquet.part").write_bytes(b"PAR1")
        assert len(ids(tmp_path)) == len(RANDOM)
        compact(tmp_path, older_than_s=-1)
        assert suffixes(tmp_path) == ["parquet"]

    def test_two_files_of_one_name_that_differ(self, tmp_path: Path) -> None:
        """Neither is removed, and the user hears of it."""
        write(tmp_path / "a.jsonl", RANDOM)
        compact(tmp_path, older_than_s=-1)
        write(tmp_path / "a.jsonl", [PLAIN])
        (sentence,) = compact(tmp_path, older_than_s=-1).left_alone
        assert "a.jsonl" in sentence and "another name" in sentence
        assert suffixes(tmp_path) == ["jsonl", "parquet"]

    def test_killed(self, tmp_path: Path) -> None:
        """By the system, twice in the middle of the work: every record is there exactly once, each time."""
        responses = [replace(MEASURED, id=f"{number:026}") for number in range(16 * 4)]
        for number in range(16):
            write(tmp_path / f"{number:03}.jsonl", responses[number * 4 : number * 4 + 4])
        wanted = [response.id for response in responses]
        command = [sys.executable, "-m", "evaluation.compact", "--older-than", "-1", str(tmp_path)]
        for moment_s in (0.0, 0.01):
            done = len(list(tmp_path.glob("*.parquet")))
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2]) as process:
                while process.poll() is None and len(list(tmp_path.glob("*.parquet"))) < done + 2:
                    time.sleep(0.002)
                time.sleep(moment_s)
                process.send_signal(signal.SIGKILL)
            assert process.returncode == -signal.SIGKILL
            assert ids(tmp_path) == wanted
        compact(tmp_path, older_than_s=-1)
        assert suffixes(tmp_path) == ["parquet"] * 16
        assert ids(tmp_path) == wanted
