"""A training run's folder: what it was (``run.json``) and how it went (``log.jsonl``). Written and read here.

    writer = RunWriter.create(results_dir, run)      # results/runs/<id>/, held by this process
    writer.log(LogEntry(step=1, kind="train", loss=1.9))
    writer.close("finished")

    run = read_run(folder)                           # its status is the truth, also when its process was killed
    log = read_log(folder)                           # entries in order, damaged lines named

``run.json`` is replaced as a whole, ``log.jsonl`` only ever grows by whole lines that are flushed to disk. The writing
process holds a lock on ``run.lock`` as long as it lives; a run that says ``running`` and is not held is dead.
``results/README.md`` describes the stored form.
"""

import errno
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from training.run_lock import LOCK_FILE, hold, is_held, let_go
from training.run_record import (
    ANSWER_WORDS_BIN,
    FORMAT_VERSION,
    Base,
    DataCard,
    Export,
    FilterStep,
    Log,
    LogEntry,
    Origin,
    Run,
    RunError,
    Status,
    TrainingHost,
)

__all__ = [
    "ADAPTER_FILE",
    "ADAPTER_FOLDER",
    "ADAPTER_WEIGHTS",
    "ANSWER_WORDS_BIN",
    "FORMAT_VERSION",
    "LOCK_FILE",
    "LOG_FILE",
    "RUN_FILE",
    "Base",
    "DataCard",
    "Ended",
    "Export",
    "FilterStep",
    "Log",
    "LogEntry",
    "Origin",
    "Run",
    "RunError",
    "RunWriter",
    "Status",
    "TrainingHost",
    "append_whole",
    "entry_in",
    "is_held",
    "left_out",
    "read_log",
    "read_run",
    "run_folders",
    "run_id",
    "with_each_step_once",
]

RUN_FILE, LOG_FILE = "run.json", "log.jsonl"
ADAPTER_FOLDER, ADAPTER_WEIGHTS = "adapter", "adapter_model.safetensors"
"""In PEFT's form."""
ADAPTER_FILE = "adapter.gguf"
"""The same as llama.cpp reads it."""

Ended = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class _Envelope:
    format: int = 1


_ENVELOPE = TypeAdapter(_Envelope)
_RUN = TypeAdapter(Run)
_ENTRY = TypeAdapter(LogEntry)


class RunWriter:
    """A run that this process is writing. One process per run; the lock makes sure of it."""

    def __init__(self, folder: Path, run: Run, lock: int) -> None:
        self.folder = folder
        self.run = run
        self._lock = lock

    @classmethod
    def create(cls, results_dir: Path, run: Run) -> "RunWriter":
        """Make ``runs/<id>/``; when that exists, the id gets a number appended. Raises ``RunError``."""
        runs = results_dir / "runs"
        with _told(f"The run {run.id} cannot be stored in {runs}"):
            runs.mkdir(parents=True, exist_ok=True)
            folder = new_folder(runs, run.id)
            writer = cls(folder, replace(run, id=folder.name), hold(folder))
            with writer._released_on_error():
                writer.update()
                (folder / LOG_FILE).touch()
        return writer

    @classmethod
    def reopen(cls, folder: Path, step: int) -> "RunWriter":
        """Go on with a stopped run whose state after ``step`` is known; later log lines are dropped.

        Raises ``RunError``, also when another process writes the run.
        """
        writer = cls.amend(folder)
        with writer._released_on_error(), _told(f"The run {folder.name} cannot be resumed in {folder}"):
            kept = with_each_step_once(entry for entry in read_log(folder).entries if entry.step <= step)
            write_whole(folder / LOG_FILE, b"".join(map(_line, kept)))
            resumed_at = (*writer.run.resumed_at, time.time())
            writer.update(status="running", reason=None, ended_at=None, resumed_at=resumed_at)
        return writer

    @classmethod
    def amend(cls, folder: Path) -> "RunWriter":
        """Hold a run that nobody writes, to change what ``run.json`` says; ``release`` ends it. Raises ``RunError``."""
        _stored_run(folder)  # before a lock is left in a folder that is no run
        with _told(f"The run {folder.name} cannot be changed in {folder}"):
            lock = hold(folder)
        try:
            run = _stored_run(folder)  # now nobody changes it
        except RunError:
            let_go(lock)
            raise
        return cls(folder, _as_interrupted(run, folder) if run.status == "running" else run, lock)

    def log(self, *entries: LogEntry) -> None:
        """Append lines; on disk when this returns. Raises ``RunError``, and then the file ends as it did before."""
        line = b"".join(map(_line, entries))
        with _told(f"The log of the run {self.run.id} cannot be written in {self.folder}", "resume the run"):
            descriptor = os.open(self.folder / LOG_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                append_whole(descriptor, line)
            finally:
                os.close(descriptor)

    def update(self, **changes: Any) -> None:
        """Replace ``run.json`` with these fields of ``Run`` changed. Raises ``RunError``."""
        self.run = replace(self.run, **changes)
        with _told(f"The run {self.run.id} cannot be written in {self.folder}"):
            text = json.dumps(_RUN.dump_python(self.run, mode="json"), ensure_ascii=False, indent=2)
            # Half of a surrogate pair, which UTF-8 cannot hold, may be part of a file's name or of an example.
            write_whole(self.folder / RUN_FILE, f"{text}\n".encode("utf-8", "replace"))

    def close(self, status: Ended, reason: str | None = None) -> None:
        """Write how the run ended and let it go. Raises ``RunError``; the run is let go all the same."""
        try:
            self.update(status=status, reason=reason, ended_at=time.time())
        finally:
            self.release()

    def release(self) -> None:
        """Let the run go as it stands; nothing may be written to it any more."""
        let_go(self._lock)
        self._lock = -1  # the number may soon be that of another file

    @contextmanager
    def _released_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.release()
            raise


def append_whole(descriptor: int, content: bytes) -> None:
    """Append to an open file; on disk when this returns. Raises ``OSError``, and takes back what was written before."""
    size = os.fstat(descriptor).st_size
    try:
        written = os.write(descriptor, content)
        while written < len(content):  # a full disk takes a part; the rest then names the error
            written += os.write(descriptor, content[written:])
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def read_run(folder: Path) -> Run:
    """What ``run.json`` says, and of a dead run that it was interrupted. Raises ``RunError``."""
    run = _stored_run(folder)
    return _as_interrupted(run, folder) if run.status == "running" and not is_held(folder) else run


def read_log(folder: Path) -> Log:
    """Every entry of the log, and what is wrong with the other lines. A missing log is empty. Raises ``RunError``."""
    entries: list[LogEntry] = []
    problems: list[str] = []
    try:
        with (folder / LOG_FILE).open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.isspace():
                    continue
                if entry := entry_in(line):
                    entries.append(entry)
                else:
                    problems.append(left_out(number, line))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RunError(_unreadable(folder / LOG_FILE, error)) from error
    return Log(tuple(entries), tuple(problems))


def entry_in(line: bytes) -> LogEntry | None:
    """What a line of the log says; ``None`` when it is no entry."""
    try:
        return _ENTRY.validate_json(line)
    except ValidationError:
        return None


def left_out(number: int, line: bytes) -> str:
    """What to say of a line that is no entry; ``number`` counts from 1."""
    cut = "is cut off" if not line.endswith(b"\n") else "is not an entry of a training log"
    return f"Line {number} of {LOG_FILE} {cut} and was left out."


def with_each_step_once(entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
    """In the order of steps, training before evaluation; of a step that occurs again, the last entry."""
    last = {(entry.step, entry.kind == "eval"): entry for entry in entries}
    yield from (last[key] for key in sorted(last))


def run_folders(results_dir: Path) -> list[Path]:
    """Folders of all runs, those of this installation and the published ones, by name; not checked in any way."""
    folders: list[Path] = []
    for parent in (results_dir / "runs", results_dir / "published" / "runs"):
        folders += subfolders(parent)
    return folders


def subfolders(parent: Path) -> list[Path]:
    """By name, without hidden ones; none where the folder is missing or cannot be read."""
    with suppress(OSError):
        return [path for path in sorted(parent.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    return []


def run_id(name: str, at: float) -> str:
    """A folder's name for a run: its name made fit for one, and the UTC time of its start."""
    plain = re.sub(r"[^a-z0-9.]+", "-", name.casefold()).lstrip("-.")[:60].rstrip("-.") or "run"
    return f"{plain}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(at))}"


def new_folder(parent: Path, wanted: str) -> Path:
    """Make a folder; where there is one of this name, the name gets a number. Raises ``OSError``."""
    number, folder = 1, parent / wanted
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = parent / f"{wanted}-{number}"


@contextmanager
def _told(attempt: str, then: str = "try again") -> Iterator[None]:
    """Turns an ``OSError`` into a sentence: what was attempted, why it failed, what to do."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{attempt}: {trouble(error)}, and {then}.") from error


def trouble(error: OSError) -> str:
    """Why a folder of results took nothing, and what to do; for the middle of a sentence."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "Free some disk space" if full else "Make this folder writable, or name another one in RESULTS_DIR"
    return f"{error.strerror or error}. {remedy}"


def _line(entry: LogEntry) -> bytes:
    return _ENTRY.dump_json(entry, exclude_none=True) + b"\n"


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old or the new content, whatever stops in between."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _stored_run(folder: Path) -> Run:
    path = folder / RUN_FILE
    try:
        content = path.read_bytes()
        version = _ENVELOPE.validate_json(content).format
        if version > FORMAT_VERSION:
            raise RunError(
                f"{path} was written by a newer version of this program (format {version}, this version reads up to "
                f"{FORMAT_VERSION}); update to read it."
            )
        return replace(_RUN.validate_json(content), id=folder.name)
    except FileNotFoundError:
        raise RunError(f"{folder} has no {RUN_FILE}: it is not a training run, or its start failed.") from None
    except OSError as error:
        raise RunError(_unreadable(path, error)) from error
    except ValidationError as error:
        raise RunError(_why_no_run(path, error)) from None


def _as_interrupted(run: Run, folder: Path) -> Run:
    reason = "No process of this machine writes it any more: it was killed, or the machine stopped."
    return replace(run, status="interrupted", reason=reason, ended_at=_last_change(folder))


def _last_change(folder: Path) -> float | None:
    times = []
    for name in (RUN_FILE, LOG_FILE):
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime)
    return max(times, default=None)


def _why_no_run(path: Path, error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    fault = f"{place}: {problem['msg']}" if place else problem["msg"]
    return f"{path} is not the record of a training run ({fault}): restore it from a copy."


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path} cannot be read ({error.strerror}): make it readable for the user who runs this program."
