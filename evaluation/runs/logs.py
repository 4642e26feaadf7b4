"""Logs of training runs as tables: fast for many long ones, and exact about what is wrong with a file."""

import io
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.runs.log_entries import UNREADABLE, Entries, LogEntries, Version, extended, from_lines
from evaluation.runs.log_lines import METRICS, LineReader, Lines, ScratchError
from training.runlog import LOG_FILE

__all__ = ["METRICS", "UNREADABLE", "LogEntries", "RunLog", "RunLogs", "Version"]

MOST_BYTES = 400 * 2**20
"""So much is kept in memory, the least recently used logs go first: fifty logs of 100,000 steps."""
SMALL_BYTES = 2 * 2**20
"""Files up to this size are parsed together."""
BATCH_BYTES = 64 * 2**20
"""So much of the files is read at a time."""
END_BYTES = 64
"""So much of a file's end is remembered: a larger file that has it where it was has only grown."""


@dataclass(frozen=True, eq=False)
class RunLog:
    """What ``log.jsonl`` of one run holds."""

    version: Version
    train: pd.DataFrame
    """A row per optimizer step that was logged, ascending, each step once (the last entry of it); columns ``step``
    (int64) and ``METRICS`` (float64, NaN where unknown; infinite losses stay infinite)."""
    held_out: pd.DataFrame
    """The same for evaluations on the held-out rows."""
    diverged_steps: NDArray[np.int64]
    """Training steps whose logged loss is NaN or infinite."""
    problems: tuple[str, ...] = ()
    """Sentences for people: torn and foreign lines, steps that go back, two processes that wrote it, no entry."""


@dataclass(eq=False)
class _Kept:
    """A log in memory."""

    inode: int
    entries: LogEntries
    end: bytes
    """The last bytes of the file."""
    log: RunLog | None = None
    """Made when it is first asked for: the list of a thousand runs needs no tables."""

    @property
    def size_bytes(self) -> int:
        return 10_000 + self.entries.train.size_bytes + self.entries.held_out.size_bytes


_Found = tuple[Path, os.stat_result | OSError]


class RunLogs:
    """The logs of many runs, kept in memory as long as their files do not change. Threads may share it."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, _Kept] = OrderedDict()
        self._reader = LineReader()

    def read(self, folders: Sequence[Path]) -> dict[Path, RunLog]:
        """The logs of these runs' folders. A missing log is empty; one that cannot be read is empty with a problem."""
        return {folder: self._log(folder, entries) for folder, entries in self.entries(folders)}

    def entries(self, folders: Sequence[Path]) -> Iterator[tuple[Path, LogEntries]]:
        """The same without tables, one after the other: all of them need not fit into memory."""
        for batch in _batches(folders):
            with self._lock:
                read = self._read(batch)
            yield from read.items()

    def _log(self, folder: Path, entries: LogEntries) -> RunLog:
        kept = self._kept.get(folder)
        if kept and kept.entries is entries and kept.log:
            return kept.log
        train, held_out = _frame(entries.train), _frame(entries.held_out)
        log = RunLog(entries.version, train, held_out, entries.train.diverged_steps(), entries.problems)
        if kept and kept.entries is entries:
            kept.log = log
        return log

    def _read(self, batch: Sequence[_Found]) -> dict[Path, LogEntries]:
        """Of each folder what is in memory, if that still holds, else what is in the file."""
        read: dict[Path, LogEntries] = {}
        changed: dict[Path, os.stat_result] = {}
        for folder, status in batch:
            kept = self._kept.get(folder)
            if isinstance(status, OSError):
                read[folder] = _nothing(status)
            elif kept and (kept.inode, kept.entries.version) == (status.st_ino, _version(status)):
                self._kept.move_to_end(folder)
                read[folder] = kept.entries
            elif not stat.S_ISREG(status.st_mode):
                read[folder] = _nothing(OSError(0, "it is no file"))
            else:
                changed[folder] = status
        read |= self._read_ends(changed)
        read |= self._read_small({each: changed[each] for each in changed if each not in read})
        read |= self._read_large({each: changed[each] for each in changed if each not in read})
        self._forget_oldest()
        return {folder: read[folder] for folder, _ in batch}

    def _read_ends(self, changed: dict[Path, os.stat_result]) -> dict[Path, LogEntries]:
        """Of the logs that have only grown."""
        tails = {folder: tail for folder, status in changed.items() if (tail := self._tail(folder, status))}
        read = {}
        for (folder, tail), lines in zip(tails.items(), self._parse(tails), strict=False):
            kept = self._kept[folder]
            if entries := extended(kept.entries, lines, _version(changed[folder])):
                self._keep(folder, _Kept(kept.inode, entries, (kept.end + tail)[-END_BYTES:]))
                read[folder] = entries
        return read

    def _tail(self, folder: Path, status: os.stat_result) -> bytes | None:
        """What was added to a file: whole lines."""
        kept = self._kept.get(folder)
        if kept is None or kept.inode != status.st_ino or not kept.end.endswith(b"\n"):
            return None
        growth = status.st_size - kept.entries.version[0]
        if not 0 < growth <= SMALL_BYTES:
            return None
        try:
            end = _bytes(folder, kept.entries.version[0] - len(kept.end), len(kept.end) + growth)
        except OSError:
            return None
        tail = end.removeprefix(kept.end)
        return tail if len(tail) == growth and tail.endswith(b"\n") else None

    def _read_small(self, changed: dict[Path, os.stat_result]) -> dict[Path, LogEntries]:
        read, contents = {}, {}
        for folder, status in changed.items():
            if status.st_size <= SMALL_BYTES:
                try:
                    contents[folder] = _bytes(folder, 0, status.st_size)
                except OSError as error:
                    read[folder] = _nothing(error)
        for (folder, content), lines in zip(contents.items(), self._parse(contents), strict=False):
            status = changed[folder]
            read[folder] = from_lines(lines, io.BytesIO(content), _version(status))
            self._keep(folder, _Kept(status.st_ino, read[folder], content[-END_BYTES:]))
        return read

    def _read_large(self, changed: dict[Path, os.stat_result]) -> dict[Path, LogEntries]:
        read = {}
        for folder, status in changed.items():
            version, end = _version(status), b""
            try:
                end = _bytes(folder, max(0, status.st_size - END_BYTES), END_BYTES)
                with (folder / LOG_FILE).open("rb") as file:
                    read[folder] = from_lines(self._reader.of_file(folder / LOG_FILE), file, version)
            except OSError as error:
                read[folder] = _nothing(error)
                continue
            except (duckdb.Error, UnicodeError):
                read[folder] = LogEntries(version, problems=(f"{LOG_FILE} is damaged, or is no log: restore a copy.",))
            self._keep(folder, _Kept(status.st_ino, read[folder], end))
        return read

    def _parse(self, contents: dict[Path, bytes]) -> list[Lines]:
        try:
            return self._reader.of_contents(list(contents.values())) if contents else []
        except (ScratchError, duckdb.Error):  # each is then read by itself, and says why it cannot be
            return []

    def _keep(self, folder: Path, kept: _Kept) -> None:
        self._kept[folder] = kept
        self._kept.move_to_end(folder)

    def _forget_oldest(self) -> None:
        size_bytes = sum(kept.size_bytes for kept in self._kept.values())
        while size_bytes > self._most_bytes and len(self._kept) > 1:
            size_bytes -= self._kept.popitem(last=False)[1].size_bytes


def _batches(folders: Sequence[Path]) -> Iterator[list[_Found]]:
    """With the state of their log files, which are not too large together."""
    batch: list[_Found] = []
    size_bytes = 0
    for folder in folders:
        try:
            status: os.stat_result | OSError = os.stat(folder / LOG_FILE)
        except OSError as error:
            status = error
        log_bytes = 0 if isinstance(status, OSError) else status.st_size
        if batch and size_bytes + log_bytes > BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append((folder, status))
        size_bytes += log_bytes
    yield batch


def _version(status: os.stat_result) -> Version:
    return status.st_size, status.st_mtime_ns


def _bytes(folder: Path, start: int, count: int) -> bytes:
    with (folder / LOG_FILE).open("rb") as file:
        file.seek(start)
        return file.read(count)


def _frame(entries: Entries) -> pd.DataFrame:
    frame = pd.DataFrame(entries.metrics.T, columns=list(METRICS), copy=False)
    frame.insert(0, "step", entries.steps)
    return frame


def _nothing(error: OSError) -> LogEntries:
    """Of a log that is not there, or that cannot be read."""
    if isinstance(error, ScratchError):
        return LogEntries(UNREADABLE, problems=(f"{LOG_FILE} cannot be read now: {error}",))
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return LogEntries()
    why = error.strerror or str(error)
    return LogEntries(UNREADABLE, problems=(f"{LOG_FILE} cannot be read ({why}): make it readable for this program.",))
