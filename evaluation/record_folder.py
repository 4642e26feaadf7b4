"""Folders of records: append-only JSON lines, files of one writing process each, so that none waits for another.

A closed file may have been turned into a Parquet file of the same name; where both lie, because that was interrupted,
the Parquet file is whole and counts alone. ``results/README.md`` describes the files.
"""

import errno
import fcntl
import glob
import os
import stat
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from evaluation.host import host
from evaluation.record_json import Record, read_json_line, to_json_line, to_json_text
from evaluation.record_parquet import json_rows
from evaluation.records import AnswerLoss, Response
from training.runlog import append_whole

FILE_BYTES = 2**20
"""A larger file is closed and another one begun: who copies what has changed would copy all of it again and again."""
FETCHED = 0o444
"""Mode of a file that came from another machine, which may go on with it: here it is read only."""


class StoreError(Exception):
    """A record could not be saved; the message tells the user where, why and what to do."""


@dataclass(frozen=True)
class Problem:
    """A line of a store that is not one of its records."""

    path: Path
    line: int
    """Counted from 1; 0 when the whole file could not be read."""
    reason: str
    """One sentence."""


class Appender:
    """Adds records to files of this process. All methods may be called from any thread, and from a forked process.

    The file is opened for each record: a folder that was moved, deleted or mounted again while the process runs is
    noticed at the next record, not lost with an old descriptor.
    """

    def __init__(self, folder: Path, what: str, lock: AbstractContextManager[object] | None = None) -> None:
        """``what`` is saved, for error messages: ``The answer``. ``lock``: held while a record is written, for who
        reads the files as they grow."""
        self._folder, self._what = folder, what
        self._begin(lock or threading.Lock())

    def append(self, record: Response | AnswerLoss) -> None:
        """Save a record; on disk when this returns. Raises ``StoreError``; a later call may work again."""
        if self._pid != os.getpid():
            self._begin(threading.Lock())  # the other process may have forked while the lock was held
        line = to_json_line(record)
        try:
            with self._lock:
                self._write(line)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(
                f"{self._what} could not be saved in {self._folder}: {reason}. {_remedy(error.errno)}"
            ) from error

    def _begin(self, lock: AbstractContextManager[object]) -> None:
        """A file, and a lock that nobody holds."""
        self._pid, self._lock = os.getpid(), lock
        self._path = self._new_path()

    def _new_path(self) -> Path:
        return self._folder / f"{host().key}-{uuid.uuid4().hex}.jsonl"

    def _write(self, line: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = self._open()
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # an earlier record was cut short and could not be taken back
            append_whole(descriptor, line)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        """Our file, held so that ``compact`` does not remove it meanwhile; a new one where it was taken for closed."""
        while True:
            if self._path.with_suffix(".parquet").exists():
                self._path = self._new_path()
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            hold(descriptor, fcntl.LOCK_SH)
            status = os.fstat(descriptor)
            if status.st_size >= FILE_BYTES:
                self._path = self._new_path()
            elif status.st_nlink and not self._path.with_suffix(".parquet").exists():
                return descriptor
            os.close(descriptor)  # it is full, or was taken for closed just now


def hold(descriptor: int, lock: int) -> None:
    """Lock an open file until it is closed, where the file system knows locks."""
    with suppress(OSError):
        fcntl.flock(descriptor, lock)


def is_fetched(path: Path) -> bool:
    """Whether only another machine adds to it. Raises ``OSError``."""
    return not path.stat().st_mode & stat.S_IWUSR


def read_records(kind: type[Record], folders: Iterable[Path]) -> tuple[list[Record], list[Problem]]:
    """Every record, and every line that is not one with the reason. A missing folder holds nothing."""
    records: list[Record] = []
    problems: list[Problem] = []
    for path in _files(folders):
        try:
            for number, line in _lines(kind, path):
                try:
                    records.append(read_json_line(kind, line))
                except ValueError as error:
                    problems.append(Problem(path, number, str(error)))
        except OSError as error:
            problems.append(Problem(path, 0, f"The file cannot be read: {error.strerror}."))
        except duckdb.Error:
            problems.append(Problem(path, 0, "The file is damaged, or it is no Parquet file of such records."))
    return records, problems


def find_records(kind: type[Record], folders: Iterable[Path], field: str, value: str) -> list[Record]:
    """The records whose ``field``, for example ``cell.benchmark``, has this value, without reading all the others."""
    needle = to_json_text(value).encode()
    found: list[Record] = []
    for path in _files(folders):
        with suppress(OSError, duckdb.Error):
            for _, line in _lines(kind, path, field, value):
                if needle in line:  # parsing every line of a large store would take seconds
                    with suppress(ValueError):
                        found.append(read_json_line(kind, line))
    return [record for record in found if _value(record, field) == value]


def patterns(folders: Iterable[Path], check: bool = False) -> tuple[list[str], list[str]]:
    """The JSON and the Parquet files for DuckDB, which takes names for patterns and stops at a file that it may not
    open. With ``check``, each Parquet file is read once and left out if it is damaged."""
    names: dict[str, list[str]] = {".jsonl": [], ".parquet": []}
    for path in _files(folders):
        name = glob.escape(str(path))
        if os.access(path, os.R_OK) and (not check or path.suffix == ".jsonl" or _sound(name)):
            names[path.suffix].append(name)
    return names[".jsonl"], names[".parquet"]


def _value(record: object, field: str) -> object:
    for name in field.split("."):
        record = getattr(record, name, None)
    return record


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        parquet = {path.stem: path for path in folder.glob("*.parquet") if path.is_file()}
        lines = {path.stem: path for path in folder.glob("*.jsonl") if path.is_file()}
        yield from (path for _, path in sorted((lines | parquet).items()))


def _lines(
    kind: type[Record], path: Path, field: str | None = None, value: str | None = None
) -> Iterator[tuple[int, bytes]]:
    """Numbered lines with their newline, blank ones left out; of a Parquet file only those with the value."""
    if path.suffix == ".parquet":
        yield from enumerate(json_rows(kind, path, field, value), start=1)
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _sound(parquet_file: str) -> bool:
    with suppress(duckdb.Error), duckdb.connect() as connection:
        connection.execute("SELECT max(hash(record)) FROM read_parquet(?) AS record", [parquet_file])
        return True
    return False


def _remedy(code: int | None) -> str:
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Free some disk space; the next one is saved again as soon as there is room."
    return "Make this folder writable, or name another one in RESULTS_DIR."
