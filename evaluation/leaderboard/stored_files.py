"""Which stored files are new, have grown, were replaced or are gone since they were last looked at."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from evaluation.leaderboard.answer_table import Source

END_BYTES = 256
"""So much of a file's end is remembered: a larger file that has it where it was has only grown."""
LONGEST_TAIL_BYTES = 64 * 2**20
"""A file that has grown by more is read again as a whole."""


@dataclass(frozen=True)
class _State:
    """A file when it was last read."""

    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "_State":
        return cls(status.st_ino, status.st_size, status.st_ctime_ns)


@dataclass
class Changes:
    """What to do about the files."""

    drop: list[int] = field(default_factory=list)
    """Files whose rows no longer hold."""
    whole: list[Source] = field(default_factory=list)
    """Files to be read."""
    tails: list[tuple[int, bytes]] = field(default_factory=list)
    """What was added to a file: whole lines."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """A sentence for each file that may not be opened."""

    def __bool__(self) -> bool:
        return bool(self.drop or self.whole or self.tails or self.unreadable)


class StoredFiles:
    """The files of records in some folders, each with a number that it keeps. Not thread-safe.

    Where the JSON lines of a Parquet file are still there, because their removal was interrupted, they are passed over.
    """

    def __init__(self, folders: Sequence[Path], numbers: Iterator[int]) -> None:
        self._folders, self._numbers = folders, numbers
        self._files: dict[Path, int] = {}
        self._states: dict[int, _State] = {}
        self._ends: dict[int, bytes] = {}
        """Of the files to which only whole lines need be added: their last bytes."""

    def paths(self) -> dict[int, Path]:
        """The files by their number."""
        return {number: path for path, number in self._files.items()}

    def look(self) -> Changes:
        """What has changed since the last time."""
        changes = Changes()
        present = self._present()
        for path in self._files.keys() - present.keys():
            number = self._files.pop(path)
            self._states.pop(number)
            self._ends.pop(number, None)
            changes.drop.append(number)
        for path, state in present.items():
            if path not in self._files:
                self._files[path] = next(self._numbers)
            number = self._files[path]
            if self._states.get(number) != state:
                self._look_at(path, number, state, changes)
        return changes

    def confirm(self, sources: Sequence[Source]) -> None:
        """These have been read as a whole. What grew meanwhile is read anew the next time: nobody knows how much
        of it was seen."""
        for source in sources:
            try:
                unchanged = _State.of(source.path.stat()) == self._states[source.file]
            except OSError:
                unchanged = False
            if not unchanged:
                self._ends.pop(source.file, None)

    def forget(self, number: int) -> None:
        """What is new in this file was not taken in: it counts as changed the next time, and is read as a whole."""
        self._ends.pop(number, None)
        self._states[number] = _State(-1, -1, -1)

    def _present(self) -> dict[Path, _State]:
        """Of copies of one file in two folders, which have the same name, the longer one."""
        present: dict[Path, _State] = {}
        for folder in self._folders:
            with suppress(OSError):
                found = {entry.name: entry for entry in os.scandir(folder)}
                for name, entry in sorted(found.items()):
                    stem, suffix = os.path.splitext(name)
                    if suffix == ".parquet" or (suffix == ".jsonl" and f"{stem}.parquet" not in found):
                        with suppress(FileNotFoundError):
                            if entry.is_file():
                                present[Path(entry.path)] = _State.of(entry.stat())
        longest: dict[str, Path] = {}
        for path, state in present.items():
            if path.stem not in longest or state.size > present[longest[path.stem]].size:
                longest[path.stem] = path
        return {path: present[path] for path in longest.values()}

    def _look_at(self, path: Path, number: int, state: _State, changes: Changes) -> None:
        known, end = self._states.get(number), self._ends.pop(number, None)
        self._states[number] = state
        try:
            with path.open("rb") as file:
                if known and end is not None and known.inode == state.inode:
                    growth = state.size - known.size
                    if 0 < growth <= LONGEST_TAIL_BYTES and _before(file, known.size) == end:
                        tail = os.pread(file.fileno(), growth, known.size)
                        changes.tails.append((number, tail))
                        self._remember(number, (end + tail)[-END_BYTES:])
                        return
                self._remember(number, _before(file, state.size))
        except OSError as error:
            changes.unreadable[number] = f"The file cannot be read: {error.strerror}."
        else:
            changes.whole.append(Source(number, path))
        if known:
            changes.drop.append(number)

    def _remember(self, number: int, end: bytes) -> None:
        if not end or end.endswith(b"\n"):
            self._ends[number] = end


def _before(file: BinaryIO, size: int) -> bytes:
    """The last bytes of the first ``size`` bytes."""
    start = max(0, size - END_BYTES)
    return os.pread(file.fileno(), size - start, start)
