"""A run's folder: what was written stays readable whatever ends the writer, and its status is the truth."""

import fcntl
import itertools
import json
import math
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from training.runlog import (
    Base,
    DataCard,
    Export,
    FilterStep,
    Log,
    LogEntry,
    Run,
    RunError,
    RunWriter,
    TrainingHost,
    read_log,
    read_run,
    run_folders,
    run_id,
)

PROJECT_ROOT = Path(__file__).parents[3]
FIXTURE = PROJECT_ROOT / "tests" / "fixtures" / "run-format1"
RUN = Run("demo-20261121-184000", "demo", "running", started_at=1_795_286_400.25, steps=60)


def step(number: int, kind: Literal["train", "eval"] = "train", **values: Any) -> LogEntry:
    return LogEntry(number, kind, **{"loss": 2 / (number + 1), "tokens": 1000 * number} | values)


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestRoundTrip:
    def test_record(self, tmp_path: Path) -> None:
        """Every field comes back, also characters that UTF-8 knows and half a surrogate pair, which it does not."""
        run = replace(read_run(FIXTURE), status="running", notes='line\nbreak "quoted" ☕ \udcff')
        writer = RunWriter.create(tmp_path, run)
        assert read_run(writer.folder) == replace(run, id=writer.folder.name, notes='line\nbreak "quoted" ☕ ?')
        writer.close("finished")

    def test_log(self, tmp_path: Path) -> None:
        """Entries come back in order, unknown fields as None."""
        entries = [
            LogEntry(0, "eval", 2.5),
            step(1, epoch=0.5, learning_rate=2e-4, grad_norm=1.25, tok_s=99.5, elapsed_s=3.0, entropy=1.0),
            step(2, loss=None, mean_token_accuracy=0.5),
        ]
        writer = RunWriter.create(tmp_path, RUN)
        for entry in entries:
            writer.log(entry)
        writer.close("finished")
        assert read_log(writer.folder) == Log(tuple(entries))

    def test_diverged_losses_stay_what_they_are(self, tmp_path: Path) -> None:
        """NaN and infinities are told from each other and from a missing loss; the file is JSON for every reader."""
        writer = RunWriter.create(tmp_path, RUN)
        for number, loss in enumerate([math.nan, math.inf, -math.inf]):
            writer.log(LogEntry(number, "train", loss, grad_norm=math.inf))
        writer.close("failed", "The loss was NaN.")
        nan, inf, minus = (entry.loss for entry in read_log(writer.folder).entries)
        assert nan is not None and math.isnan(nan) and (inf, minus) == (math.inf, -math.inf)

        def refuse(word: str) -> None:
            pytest.fail(f"{word} is not JSON")

        for line in (writer.folder / "log.jsonl").read_text().splitlines():
            json.loads(line, parse_constant=refuse)

    def test_same_id_twice_makes_two_folders(self, tmp_path: Path) -> None:
        """Two runs started in the same second are kept apart, and each knows its own id."""
        first, second = (RunWriter.create(tmp_path, RUN) for _ in range(2))
        assert [writer.run.id for writer in (first, second)] == [RUN.id, f"{RUN.id}-2"]
        assert run_folders(tmp_path) == [first.folder, second.folder]
        for writer in (first, second):
            writer.close("finished")
            assert read_run(writer.folder).id == writer.run.id == writer.folder.name

    def test_ends(self, tmp_path: Path) -> None:
        """Status, reason and time of the end are kept."""
        for status in ("finished", "failed", "interrupted"):
            writer = RunWriter.create(tmp_path, RUN)
            before = time.time()
            writer.close(status, "A reason.")
            run = read_run(writer.folder)
            assert (run.status, run.reason) == (status, "A reason.")
            assert run.ended_at is not None and before <= run.ended_at <= time.time()

    @pytest.mark.parametrize(
        ("name", "start"),
        [
            ("Rank 32", "rank-32-"),
            ("../../etc", "etc-"),
            ("", "run-"),
            ("日本", "run-"),
            ("x" * 300, "x" * 60 + "-"),
            ("1.5B", "1.5b-"),
        ],
    )
    def test_ids_are_fit_for_folders(self, name: str, start: str) -> None:
        """Any name gives one plain folder name with the time of the start in UTC."""
        assert run_id(name, 1_795_286_400.25) == f"{start}20261121-184000"


class TestFixture:
    """A run of format version 1, which every later version must be able to read."""

    def test_record(self) -> None:
        """Every field."""
        run = read_run(FIXTURE)
        assert run == Run(
            id="run-format1",
            name="demo",
            status="failed",
            started_at=1795286400.25,
            origin="trained",
            ended_at=1795287000.5,
            reason="The loss was NaN at step 3: lower optimizer.learning_rate.",
            resumed_at=(1795286700.0,),
            steps=4,
            method="lora",
            backend="trl",
            processes=2,
            base=Base(
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                "gguf",
                "llama",
                134515008,
                None,
                "b179c9523d0e1b2f6f5c0bb3a1b7f8a3d4f9c2a06b3f0de4d1c7a85be90f1c22",
                "apache-2.0",
            ),
            recipe={
                "name": "demo",
                "base": {"model": "embedded", "max_length": 1024},
                "lora": {"rank": 16, "alpha": 16.0, "target_modules": ["q_proj", "v_proj"]},
                "training": {"steps": 4, "seed": 3407},
            },
            data=DataCard(
                name="conversations.jsonl",
                rows=420,
                unusable={"no answer": 2},
                filters=(FilterStep("score at least 4", 400), FilterStep("no exact duplicates", 398)),
                train_rows=338,
                held_out_rows=60,
                sha256="5cde0f1298f41f7d1c8b907a36992a7a513225a2615bd6e307bf1a9149b06b40",
                sources={"advice": 200, "arithmetic": 138},
                answer_words=(12, 300, 26),
                examples=(
                    (
                        {"role": "user", "content": "Is café one word? ☕"},
                        {"role": "assistant", "content": "Yes."},
                    ),
                ),
                truncated=1,
                license="apache-2.0",
            ),
            trainable_parameters=4884480,
            commit="0123456789abcdef0123456789abcdef01234567",
            dirty=False,
            packages={"torch": "2.13.0", "trl": "1.15.0"},
            host=TrainingHost("AMD EPYC 7763 64-Core Processor", 2.0, 17179869184, "Linux 6.1 x86_64"),
            exports=(
                Export(
                    "adapter.gguf",
                    "adapter",
                    "F16",
                    "cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2",
                    9797696,
                    4,
                    0.0021,
                ),
            ),
            notes="Trained for the tests.",
            format=1,
        )

    def test_log(self) -> None:
        """Steps, evaluations, a diverged step, and a line that was cut off."""
        log = read_log(FIXTURE)
        assert [(entry.step, entry.kind) for entry in log.entries] == [
            (0, "eval"),
            (1, "train"),
            (2, "train"),
            (2, "eval"),
            (3, "train"),
        ]
        assert log.entries[1] == LogEntry(1, "train", 2.25, 0.25, 2e-4, 1.5, 1200, 120.0, 10.0, 0.5, 1.75)
        loss = log.entries[4].loss
        assert loss is not None and math.isnan(loss) and log.entries[4].grad_norm == math.inf
        assert log.problems == ("Line 6 of log.jsonl is cut off and was left out.",)


WRITE_FOREVER = """
import os, sys, time
from pathlib import Path
from training.runlog import LogEntry, Run, RunWriter
writer = RunWriter.create(Path(sys.argv[1]), Run("killed", "killed", "running"))
if os.fork() == 0:                      # such as a loader of data that outlives the training
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    time.sleep(60)
    os._exit(0)
for step in range(10**9):
    writer.log(LogEntry(step, "train", 1.5, tokens=step * 1000, entropy=step / 7))
    print(step, flush=True)
"""


@pytest.fixture
def living(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that is training, and the folder of its run."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOREVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        yield process, tmp_path / "runs" / "killed"
        os.killpg(process.pid, signal.SIGKILL)


def test_living_run_is_running_and_nobody_else_writes_it(living: tuple[subprocess.Popen[str], Path]) -> None:
    """While its process lives the run says so, and a second writer is refused in a sentence, without a change."""
    _, folder = living
    assert read_run(folder).status == "running"
    for attempt in (lambda: RunWriter.reopen(folder, 5), lambda: RunWriter.amend(folder)):
        with pytest.raises(RunError, match="killed is still being written by another process"):
            attempt()
    assert len(read_log(folder).entries) >= 20


def test_killed_run_keeps_what_it_logged(living: tuple[subprocess.Popen[str], Path]) -> None:
    """After SIGKILL every step reported as logged is there, the run reads as interrupted at the time of its last line,
    though a child of the process lives on, and it can be resumed."""
    process, folder = living
    process.kill()
    assert process.stdout is not None
    logged = 20 + len(process.stdout.read().split())
    process.wait()
    log = read_log(folder)
    assert [entry.step for entry in log.entries][:logged] == list(range(logged))
    assert len(log.entries) - logged in (0, 1)
    assert len(log.problems) <= 1
    run = read_run(folder)
    assert (run.status, run.ended_at) == ("interrupted", (folder / "log.jsonl").stat().st_mtime)
    assert run.reason is not None and "killed" in run.reason
    assert json.loads((folder / "run.json").read_bytes())["status"] == "running"

    writer = RunWriter.reopen(folder, step=9)
    assert read_run(folder).status == "running"
    writer.log(step(10))
    writer.close("finished")
    assert [entry.step for entry in read_log(folder).entries] == list(range(11))


class TestResume:
    def test_each_step_is_there_once(self, tmp_path: Path) -> None:
        """Later lines, a cut line and an earlier writing of a step go; tokens stay as they were; the run goes on."""
        writer = RunWriter.create(tmp_path, RUN)
        entries = [step(0, "eval"), step(1), step(2), step(2, "eval"), step(3), step(4), step(4, "eval")]
        for entry in [step(2, loss=9.0), *entries]:
            writer.log(entry)
        writer.close("interrupted", "It was stopped by Ctrl-C.")
        with (writer.folder / "log.jsonl").open("ab") as file:
            file.write(b'{"step":5,"ki')
        resumed = RunWriter.reopen(writer.folder, step=3)
        resumed.log(step(4, loss=0.5, tokens=4100))
        log = read_log(writer.folder)
        assert log == Log((*entries[:5], step(4, loss=0.5, tokens=4100)))
        run = read_run(writer.folder)
        assert (run.status, run.reason, run.ended_at) == ("running", None, None)
        assert len(run.resumed_at) == 1 and abs(run.resumed_at[0] - time.time()) < 60
        assert run.started_at == RUN.started_at
        resumed.close("finished")
        assert read_run(writer.folder).status == "finished"

    def test_changing_a_record_leaves_the_rest(self, tmp_path: Path) -> None:
        """A finished run gets another name, say, without an end of its own; the run is free afterwards."""
        writer = RunWriter.create(tmp_path, RUN)
        writer.log(step(1))
        writer.close("finished")
        before = read_run(writer.folder)
        amended = RunWriter.amend(writer.folder)
        amended.update(name="better name")
        amended.release()
        assert read_run(writer.folder) == replace(before, name="better name")
        assert len(read_log(writer.folder).entries) == 1
        RunWriter.amend(writer.folder).release()

    def test_what_is_no_run_is_not_touched(self, tmp_path: Path) -> None:
        """A folder without a run, with a damaged record or with none at all: a sentence, and no lock is left behind."""
        (tmp_path / "damaged").mkdir()
        (tmp_path / "damaged" / "run.json").write_text("{")
        (tmp_path / "empty").mkdir()
        for name, words in {"damaged": "not the record", "empty": "no run.json", "missing": "no run.json"}.items():
            with pytest.raises(RunError, match=words):
                RunWriter.reopen(tmp_path / name, 1)
        assert file_names(tmp_path / "damaged") == {"run.json"}
        assert not file_names(tmp_path / "empty")


def test_reader_never_sees_half_a_record(tmp_path: Path) -> None:
    """While run.json grows and shrinks, every look at it finds a whole one, and no stray files remain."""
    writer = RunWriter.create(tmp_path, RUN)
    enough = threading.Event()

    def rewrite() -> None:
        for number in itertools.count():
            if enough.is_set():
                break
            writer.update(notes="x" * (200_000 * (number % 2)), steps=number)

    seen = set()
    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        while len(seen) < 20 and thread.is_alive():
            run = read_run(writer.folder)
            assert len(run.notes or "") in (0, 200_000)
            seen.add(run.steps)
    finally:
        enough.set()
        thread.join()
    assert len(seen) == 20
    writer.close("finished")
    assert file_names(writer.folder) == {"run.json", "log.jsonl", "run.lock"}


class TestDamage:
    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (b"garbage\n", "is not an entry"),
            (b"\xff\x00\n", "is not an entry"),
            (b"[" * 100_000 + b"\n", "is not an entry"),
            (b'{"kind":"train","loss":1}\n', "is not an entry"),
            (b'{"step":2,"kind":"lunch","loss":1}\n', "is not an entry"),
            (b'{"step":2,"kind":"train","lo', "is cut off"),
        ],
    )
    def test_bad_line_is_named(self, tmp_path: Path, line: bytes, words: str) -> None:
        """With its number; the lines before it are read."""
        (tmp_path / "log.jsonl").write_bytes(b'{"step":1,"kind":"train","loss":1.5}\n\n' + line)
        log = read_log(tmp_path)
        assert log.entries == (LogEntry(1, "train", 1.5),)
        (problem,) = log.problems
        assert problem.startswith(f"Line 3 of log.jsonl {words}")

    def test_missing_log_is_empty(self, tmp_path: Path) -> None:
        """A run that ended before its first step has no entries and no problem."""
        assert read_log(tmp_path) == Log(())

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda run: run.update(format=2), r"newer version .*format 2.*up to 1.*update"),
            (lambda run: run.update(format=2, status="dreaming", host=7), "newer version"),
            (lambda run: run.update(format="x"), "format"),
            (lambda run: run.pop("name"), "name"),
            (lambda run: run.update(status="dreaming"), "status"),
            (lambda run: run["data"].update(rows="many"), r"data\.rows"),
        ],
    )
    def test_record_that_cannot_be_used_says_why(
        self, tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
    ) -> None:
        """One sentence names the file and the field; a newer format is told from a damaged record."""
        record = json.loads((FIXTURE / "run.json").read_bytes())
        change(record)
        (tmp_path / "run.json").write_text(json.dumps(record))
        with pytest.raises(RunError, match=words) as caught:
            read_run(tmp_path)
        assert re.fullmatch(r"[^\n]+\.", str(caught.value)) and str(tmp_path / "run.json") in str(caught.value)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
    def test_record_that_is_none(self, tmp_path: Path, content: bytes) -> None:
        """Whatever is in the file, there is a sentence."""
        (tmp_path / "run.json").write_bytes(content)
        with pytest.raises(RunError, match="not the record of a training run"):
            read_run(tmp_path)

    def test_unknown_fields_are_ignored(self, tmp_path: Path) -> None:
        """A later version of the same format may add fields, to the record and to the log."""
        record = json.loads((FIXTURE / "run.json").read_bytes()) | {"mood": "fine"}
        record["base"]["color"] = "green"
        (tmp_path / "run.json").write_text(json.dumps(record))
        (tmp_path / "log.jsonl").write_text('{"step":1,"kind":"train","loss":1.5,"mood":"fine"}\n')
        assert read_run(tmp_path) == replace(read_run(FIXTURE), id=tmp_path.name)
        assert read_log(tmp_path) == Log((LogEntry(1, "train", 1.5),))

    def test_absent_fields_have_their_defaults(self, tmp_path: Path) -> None:
        """Three fields make a record; nothing unknown becomes a zero."""
        (tmp_path / "run.json").write_text('{"id": "a", "name": "short", "status": "finished"}')
        assert read_run(tmp_path) == Run(tmp_path.name, "short", "finished")


class TestFailures:
    def test_full_disk(self, tmp_path: Path) -> None:
        """The system takes a part of a line only: the log ends as before, the sentence says what to do, and when there
        is room again the run goes on."""
        child = multiprocessing.get_context("spawn").Process(target=_log_on_a_full_disk, args=(tmp_path,))
        child.start()
        child.join()
        assert child.exitcode == 0
        folder = tmp_path / "runs" / RUN.id
        assert read_log(folder) == Log((step(1), step(2), step(4)))
        assert read_run(folder).status == "finished"
        assert file_names(folder) == {"run.json", "log.jsonl", "run.lock"}

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        """A file or a dangling link where the folder should be: the message names the place and the remedy."""
        (tmp_path / "file").write_text("")
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / "runs").symlink_to("nowhere/at/all")
        for results in (tmp_path / "file", tmp_path / "results"):
            with pytest.raises(RunError, match="RESULTS_DIR") as caught:
                RunWriter.create(results, RUN)
            assert str(results) in str(caught.value)

    def test_run_is_free_after_a_failed_start(self, tmp_path: Path) -> None:
        """What could not be resumed is not held: a second attempt fails for the same reason, not for the first one."""
        writer = RunWriter.create(tmp_path, RUN)
        writer.close("interrupted")
        (writer.folder / "log.jsonl").unlink()
        (writer.folder / "log.jsonl").mkdir()
        for _ in range(2):
            with pytest.raises(RunError, match=r"log\.jsonl"):
                RunWriter.reopen(writer.folder, 1)
        (writer.folder / "log.jsonl").rmdir()
        RunWriter.reopen(writer.folder, 1).close("finished")

    def test_unreadable(self) -> None:
        """Files and folders without permission are a sentence, or no run; needs folders an unprivileged user enters."""
        with tempfile.TemporaryDirectory() as root:
            os.chmod(root, 0o755)
            (Path(root) / "runs" / "closed").mkdir(parents=True)
            folder = Path(root) / "runs" / "secret"
            shutil.copytree(FIXTURE, folder)
            for path in (folder.parent / "closed", folder / "run.json", folder / "log.jsonl"):
                path.chmod(0)
            user = os.geteuid()
            if user == 0:
                os.seteuid(65534)
            try:
                for read in (read_run, read_log):
                    with pytest.raises(RunError, match=r"Permission denied.*make it readable"):
                        read(folder)
                with pytest.raises(RunError, match="Permission denied"):
                    read_run(folder.parent / "closed")
                assert [path.name for path in run_folders(Path(root))] == ["closed", "secret"]
                with pytest.raises(RunError, match=r"Permission denied.*Make this folder writable"):
                    RunWriter.create(Path(root), RUN)
            finally:
                os.seteuid(user)
                (folder.parent / "closed").chmod(0o700)

    def test_lock_of_somebody_else_is_believed(self, tmp_path: Path) -> None:
        """A run that says running counts as running for readers as long as any process has the lock, even to read."""
        writer = RunWriter.create(tmp_path, RUN)
        writer.release()
        assert read_run(writer.folder).status == "interrupted"
        with (writer.folder / "run.lock").open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert read_run(writer.folder).status == "running"
        assert read_run(writer.folder).status == "interrupted"


def _log_on_a_full_disk(results: Path) -> None:
    """Runs in a process of its own, where a limit on the size of files cuts the third line short."""
    writer = RunWriter.create(results, RUN)
    writer.log(step(1))
    writer.log(step(2))
    size = (writer.folder / "log.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
    record = (writer.folder / "run.json").read_bytes()
    with pytest.raises(RunError, match="Free some disk space, and resume the run"):
        writer.log(step(3))
    with pytest.raises(RunError, match="Free some disk space"):
        writer.update(notes="x" * 10_000)
    assert (writer.folder / "log.jsonl").stat().st_size == size
    assert (writer.folder / "run.json").read_bytes() == record
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.log(step(4))
    writer.close("finished")


def test_runs_are_found_in_both_places(tmp_path: Path) -> None:
    """Those of the installation first, then the published ones; files and hidden folders are none."""
    for name in ("runs/b", "runs/a", "runs/.trash", "published/runs/c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs" / "notes.txt").write_text("")
    assert [folder.relative_to(tmp_path).as_posix() for folder in run_folders(tmp_path)] == [
        "runs/a",
        "runs/b",
        "published/runs/c",
    ]
    assert run_folders(tmp_path / "missing") == []
