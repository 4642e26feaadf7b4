"""Logs of training runs: what is in them, and what is wrong with them."""

import math
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from evaluation.runs import log_lines
from evaluation.runs.logs import METRICS, RunLog, RunLogs
from training.runlog import LogEntry, Run, RunWriter, read_log, with_each_step_once

Write = Callable[..., Path]


def line(step: int, kind: str = "train", loss: str = "1.5") -> bytes:
    return b'{"step":%d,"kind":"%s","loss":%s}\n' % (step, kind.encode(), loss.encode())


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A run's folder with these lines in its log."""

    def make(*lines: bytes, name: str = "run") -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "log.jsonl").write_bytes(b"".join(lines))
        return tmp_path / name

    return make


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """As on a disk that is nearly full: what is written beyond it fails."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@cache
def shared_logs() -> RunLogs:
    """Each test has its own folder, so one database serves them all."""
    return RunLogs()


def read(folder: Path) -> RunLog:
    return shared_logs().read([folder])[folder]


class TestContent:
    def test_all_that_a_run_logs_comes_back(self, tmp_path: Path) -> None:
        """Every metric of every line, unknown ones as NaN; which losses diverged is told from which are unknown."""
        writer = RunWriter.create(tmp_path, Run("run", "run", "running"))
        entries = [
            LogEntry(0, "eval", 2.5),
            LogEntry(1, "train", 1.5, 0.1, 2e-4, 0.25, 1000, 99.5, 3.25, 0.5, 1.75),
            LogEntry(2, "train", math.nan, tokens=2000),
            LogEntry(3, "train", math.inf),
            LogEntry(4, "train", None, grad_norm=math.nan),
            LogEntry(5, "train", -math.inf, grad_norm=math.inf),
            LogEntry(5, "eval", math.nan, mean_token_accuracy=0.25),
        ]
        writer.log(*entries)
        writer.close("failed")
        log = read(writer.folder)
        for kind, frame in (("train", log.train), ("eval", log.held_out)):
            expected = [entry for entry in entries if entry.kind == kind]
            assert list(frame) == ["step", *METRICS] and frame["step"].tolist() == [entry.step for entry in expected]
            for name in METRICS:
                values = [getattr(entry, name) for entry in expected]
                np.testing.assert_array_equal(frame[name], [math.nan if value is None else value for value in values])
        assert log.diverged_steps.tolist() == [2, 3, 5] and not log.problems

    def test_many_logs_keep_what_is_theirs(self, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        """Small, large, empty and missing ones, in folders whose names mean something to DuckDB."""
        names = ["a[bc]*?", "kind=eval", "ü 'quoted' \"name\"", "empty", "missing", "large"]
        for number, name in enumerate(names[:3]):
            write(line(number + 1), line(7, loss=str(number)), name=name)
        write(name="empty")
        large = write(*[line(step, loss=str(step)) for step in range(1, 80_000)], name="large[1]")
        folders = [*(tmp_path / name for name in names[:5]), large]
        logs = RunLogs().read(folders)
        assert [log.train["step"].tolist() for log in logs.values()][:5] == [[1, 7], [2, 7], [3, 7], [], []]
        assert [logs[folder].train["loss"].iloc[-1] for folder in folders[:3]] == [0, 1, 2]
        np.testing.assert_array_equal(logs[large].train["step"], logs[large].train["loss"])
        assert {str(kind) for kind in logs[folders[4]].train.dtypes} == {"int64", "float64"}
        assert logs[folders[4]].version == (0, 0) and not any(logs[each].problems for each in folders[:3])
        assert (large / "log.jsonl").stat().st_size > 2 * 2**20  # else this shows nothing

    def test_a_log_is_read_again_only_when_it_changes(self, write: Write) -> None:
        """The same tables as long as the file is the same; new lines are added to it without reading the others."""
        logs = RunLogs()
        folder = write(line(0, "eval"), line(1), line(2))
        first = logs.read([folder])[folder]
        assert logs.read([folder])[folder] is first
        with (folder / "log.jsonl").open("ab") as file:
            file.write(line(3, loss='"NaN"') + line(3, "eval", "0.5"))
        with pytest.MonkeyPatch.context() as patch:
            parsed: list[bytes] = []
            parse = log_lines.LineReader.of_contents
            patch.setattr(
                log_lines.LineReader, "of_contents", lambda self, some: (parsed.extend(some), parse(self, some))[1]
            )
            grown = logs.read([folder])[folder]
        assert parsed == [line(3, loss='"NaN"') + line(3, "eval", "0.5")]
        assert grown.train["step"].tolist() == [1, 2, 3] and grown.diverged_steps.tolist() == [3]
        assert grown.held_out["loss"].tolist() == [1.5, 0.5] and grown.version != first.version

    def test_new_lines_that_do_not_simply_go_on(self, write: Write) -> None:
        """Give the same as reading the whole file; also when the log is replaced by a longer one."""
        odd = {"back": line(2, loss="9"), "torn": line(9) + b'{"step":', "foreign": b"foreign\n", "begun": b'{"step":3'}
        logs, anew = RunLogs(), RunLogs()
        for replaced in (False, True):
            folders = [write(line(1), line(2), name=name) for name in odd]
            logs.read(folders)
            for name, added in odd.items():
                write(
                    *([line(5), line(6), line(7), added, line(8)] if replaced else [line(1), line(2), added]), name=name
                )
            for again, new in zip(logs.read(folders).values(), anew.read(folders).values(), strict=True):
                assert again.problems == new.problems and again.problems
                assert again.train.equals(new.train)

    def test_memory_is_bounded(self, tmp_path: Path, write: Write) -> None:
        """The logs that were not used for longest are let go, and can still be read."""
        logs = RunLogs(most_bytes=50_000)
        folders = [write(line(number), name=str(number)) for number in range(20)]
        first = logs.read(folders)
        assert sum(logs.read([folder])[folder] is first[folder] for folder in reversed(folders)) in range(1, 6)
        assert logs.read(folders[:1])[folders[0]].train["step"].tolist() == [0]


class TestDamage:
    def test_torn_and_foreign_lines(self, write: Write) -> None:
        """Are named by number as training.runlog names them, and the rest is read; so are blank lines passed over."""
        folder = write(line(1), b"\n", b"Epoch 1 of 3\n", line(2), line(3, loss='"low"'), line(4), b'{"step":5,"kin')
        log = read(folder)
        assert log.problems == read_log(folder).problems and len(log.problems) == 3
        assert log.train["step"].tolist() == [1, 2, 4]

    def test_the_same_lines_count_as_in_the_exact_reader(self, write: Write) -> None:
        """Of lines that a crash, an editor or another program leaves; a step and a kind are what they must be."""
        bad = [
            b"null\n", b"[1]\n", b'"\n', b"\0\0\n", b"\xff\xfe\n", b"\xef\xbb\xbf" + line(9),
            b'{"step":9,"kind":"test"}\n', b'{"step":3.5,"kind":"train"}\n', b'{"step":null,"kind":"train"}\n',
            b'{"kind":"train","loss":1}\n',
            line(9)[:-1] + line(9), line(9)[:-1] + b" x\n", line(9, loss="[1]"), b'{"step":"x","kind":"eval"}\n',
        ]  # fmt: skip
        folders = [write(line(1), each, b" \t\f\n", line(2), name=str(n)) for n, each in enumerate(bad)]
        for folder, log in shared_logs().read(folders).items():
            exact = read_log(folder)
            assert log.train["step"].tolist() == [entry.step for entry in with_each_step_once(exact.entries)] == [1, 2]
            assert log.problems == exact.problems

    def test_other_metrics_that_are_no_numbers_are_unknown(self, write: Write) -> None:
        """The exact reader refuses such lines. Here the entry counts, because looking at each would take too long."""
        folder = write(line(1), b'{"step":2,"kind":"train","loss":1,"epoch":"x","grad_norm":[1]}\n', line(3))
        log = read(folder)
        assert log.train["step"].tolist() == [1, 2, 3] and log.train["epoch"].isna().all()
        assert len(read_log(folder).entries) == 2

    def test_many_are_counted(self, write: Write) -> None:
        """Nobody reads a hundred sentences."""
        problems = read(write(line(1), *[b"?\n"] * 1200, line(2))).problems
        assert len(problems) == 4 and problems[-1] == "1,197 further lines of log.jsonl had to be left out, too."

    def test_log_of_another_format(self, write: Write) -> None:
        """One sentence that says what to do."""
        contents = [b'{"log_history":\n[{"loss":1.5,"step":1}]}', b"step,loss\n1,1.5\n", os.urandom(5000), b"\0" * 5000]
        folders = [write(content, name=str(number)) for number, content in enumerate(contents)]
        for log in shared_logs().read(folders).values():
            assert log.train.empty and len(log.problems) == 1 and "Import it" in log.problems[0]

    def test_a_line_without_end(self, write: Write) -> None:
        """DuckDB refuses to hold it; the other logs are read."""
        folder, sound = write(b"\0" * 40_000_000), write(line(1), name="sound")
        logs = RunLogs()
        read_now = logs.read([folder, sound])
        assert "damaged" in read_now[folder].problems[0] and len(read_now[sound].train) == 1
        assert logs.read([folder])[folder] is read_now[folder], "it is not tried again and again"

    @pytest.mark.parametrize("full", [False, True])
    def test_no_room_for_temporary_files(
        self, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, full: bool
    ) -> None:
        """The sentence names their folder, not the log; and the log is read as soon as there is room again."""
        folder = write(line(1))
        large = write(*[line(step) for step in range(1, 60_000)], name="large")
        assert (large / "log.jsonl").stat().st_size > 2 * 2**20
        logs, place = RunLogs(), tmp_path / "temporary"
        if full:
            place.mkdir()
        with monkeypatch.context() as patch, files_of_at_most(10):
            patch.setattr(tempfile, "tempdir", str(place))
            found = logs.read([folder, large])
        for log in found.values():
            assert log.train.empty and len(log.problems) == 1
            assert str(place) in log.problems[0] and "TMPDIR" in log.problems[0]
        later = logs.read([folder, large])
        assert [len(log.train) for log in later.values()] == [1, 59_999]
        assert later[folder].version != found[folder].version

    def test_a_log_that_becomes_readable(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        """Making it readable changes neither its size nor its time; what was shown of it is drawn anew all the same."""
        folder, logs = write(line(1)), RunLogs()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
            unreadable = logs.read([folder])[folder]
        assert "cannot be read (Permission denied)" in unreadable.problems[0]
        readable = logs.read([folder])[folder]
        assert len(readable.train) == 1 and readable.version != unreadable.version

    def test_nothing_that_can_be_read(self, tmp_path: Path, write: Write) -> None:
        """A folder or a pipe in place of the log, a run that has gone, an empty log: a sentence, or nothing."""
        (tmp_path / "folder" / "log.jsonl").mkdir(parents=True)
        (tmp_path / "pipe").mkdir()
        os.mkfifo(tmp_path / "pipe" / "log.jsonl")
        folders = [tmp_path / "folder", tmp_path / "pipe", write(name="empty"), tmp_path / "gone"]
        problems = [log.problems for log in RunLogs().read(folders).values()]
        assert [len(each) for each in problems] == [1, 1, 1, 0] and "is empty" in problems[2][0]


class TestOrderOfSteps:
    def sentences(self, write: Write, steps: list[int]) -> tuple[str, ...]:
        log = read(write(*(line(step, loss=str(place)) for place, step in enumerate(steps))))
        last = {step: place for place, step in enumerate(steps)}
        assert log.train["step"].tolist() == sorted(last)
        assert log.train["loss"].tolist() == [last[step] for step in sorted(last)]
        return log.problems

    @pytest.mark.parametrize(
        ("steps", "words"),
        [
            ([*range(1, 61), *range(41, 121)], "once, from 60 to 41"),
            ([*range(1, 61), *range(1, 121)], "once, from 60 to 1"),
            ([*range(0, 600, 10), *range(400, 900, 10)], "once, from 590 to 400"),
            ([*range(1, 30), *range(20, 40), *range(30, 50), *range(45, 60)], "3 times, at first from 29 to 20"),
            ([*(step for start in range(1, 200, 10) for step in range(start, start + 15))], "19 times"),
            ([1, 2, 3, 3, 4], "Step 3 was logged twice"),
        ],
    )
    def test_resumes(self, write: Write, steps: list[int], words: str) -> None:
        """Of a step that was trained twice the last entry counts, and that is said."""
        (problem,) = self.sentences(write, steps)
        assert words in problem and "last entry" in problem

    @pytest.mark.parametrize(
        "steps",
        [
            [step for pair in zip(range(1, 60), range(1, 60), strict=True) for step in pair],
            [step for pair in zip(range(40, 100), range(1, 61), strict=True) for step in pair],
            [each for step in range(1, 30) for each in (*range(5 * step, 5 * step + 5), step)],
        ],
    )
    def test_two_processes_that_wrote_it(self, write: Write, steps: list[int]) -> None:
        """Equally far, one ahead of the other, one five times as fast."""
        (problem,) = self.sentences(write, steps)
        assert "Two processes" in problem and "mix two trainings" in problem

    def test_forward(self, write: Write) -> None:
        """With gaps, and an evaluation at a step that was just trained."""
        assert read(write(line(1), line(5), line(5, "eval"), line(90))).problems == ()
