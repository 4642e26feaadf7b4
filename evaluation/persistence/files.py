"""Which files of a folder of results are kept in a data set, and which of them are known to be there.

Changes are told by size, inode and time stamp being different, never by one time being later: clocks may be wrong.
Whether a file is another machine's is told by its being read-only: text is, when it was fetched, and who changes it
here replaces it by a file that is not.
"""

import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.hf_api import RepoFile

from evaluation.record_folder import FETCHED, is_fetched

_LINES = ("responses/*.jsonl", "losses/*.jsonl", "votes/*.jsonl")
"""Records: these files only ever grow."""
_PLACES = (
    *_LINES,
    *("responses/*.parquet", "losses/*.parquet", "votes/*.parquet"),
    *("benchmarks/*/benchmark.json", "benchmarks/*/progress.json"),
    *("runs/*/run.json", "runs/*/log.jsonl", "runs/*/adapter.gguf", "runs/*/adapter/*"),
)
"""Not the checkpoints and merged models, which are large and can be made again, nor what is hidden or half-written."""
_TEXT = (".json", ".jsonl")


def _name(places: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(place).replace(r"\*", "[^/.][^/]*") for place in places))


_IS_KEPT, _GROWS = _name(_PLACES), _name(_LINES)


@dataclass(frozen=True)
class _State:
    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "_State":
        status = path.stat()
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class ChangedFile:
    """One whose present content the data set lacks."""

    name: str
    """Path in the folder of results, and in the data set."""
    path: Path
    state: _State

    @property
    def is_text(self) -> bool:
        return self.path.suffix in _TEXT

    def content(self) -> bytes | Path:
        """What to push: of lines the whole ones, of what may be large the path. Raises ``OSError``."""
        if not self.is_text:
            return self.path
        content = self.path.read_bytes()
        return content[: content.rfind(b"\n", 0, self.state.size) + 1] if self.path.suffix == ".jsonl" else content


class KeptFiles:
    """Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._there: dict[str, tuple[_State | None, int]] = {}
        """Files of the data set: what they were here at that time, and how many bytes of them are there."""

    def changed(self) -> list[ChangedFile]:
        """Those to be pushed."""
        return [
            ChangedFile(name, path, state)
            for name, path, state in self._look(_PLACES)
            if self._there.get(name, (None, 0))[0] != state
        ]

    def confirm(self, file: ChangedFile, size: int) -> None:
        """So many bytes of it are there now."""
        self._note(file.name, file.state, size)

    def forget(self) -> None:
        """The data set is another one."""
        with self._lock:
            self._there.clear()

    def unsaved(self) -> int:
        """Records that the data set lacks."""
        count = 0
        for name, path, state in self._look(_LINES):
            with self._lock:
                there = self._there.get(name, (None, 0))[1]
            if state.size > there:
                with suppress(OSError), path.open("rb") as file:
                    file.seek(there)
                    count += file.read().count(b"\n")
        return count

    def missing(self, remote: Iterable[RepoFile]) -> list[RepoFile]:
        """Of the data set's files those to be fetched; the others are the same here, or this machine's count.

        Of records the longer file counts. Of others nobody can tell which is newer: one that was changed here stays,
        and is pushed. Lines that were turned into Parquet are not fetched.
        """
        there = {file.path: file for file in remote if _IS_KEPT.fullmatch(file.path)}

        def turned(name: str) -> bool:
            parquet = f"{name.removesuffix('.jsonl')}.parquet"
            return name.endswith(".jsonl") and (parquet in there or (self.folder / parquet).exists())

        return [file for name, file in there.items() if not turned(name) and not self._is_here(file)]

    def take(self, file: RepoFile, fetched: Path) -> None:
        """Put a fetched file in its place, unless what is there now is no part of it. Raises ``OSError``."""
        path, grows = self.folder / file.path, _GROWS.fullmatch(file.path)
        if path.exists() and not (fetched.read_bytes().startswith(path.read_bytes()) if grows else is_fetched(path)):
            return self._note(file.path, _State.of(path) if grows else None, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in _TEXT:
            with suppress(OSError):  # some file systems know no such thing
                fetched.chmod(FETCHED)
        os.replace(fetched, path)
        self._note(file.path, _State.of(path), file.size)

    def _is_here(self, remote: RepoFile) -> bool:
        path, grows = self.folder / remote.path, _GROWS.fullmatch(remote.path)
        try:
            state = _State.of(path)
            begins_so = _begins_with(path, remote)
            newer_there = state.size < remote.size if grows else is_fetched(path)
        except FileNotFoundError:
            return False
        same = begins_so and state.size == remote.size
        # Not pushed while the newer one has not come, nor over records that are not in it.
        pushed = not same and (begins_so if grows else not newer_there)
        self._note(remote.path, None if pushed else state, remote.size if begins_so or newer_there else 0)
        return same or not newer_there

    def _note(self, name: str, state: _State | None, size: int) -> None:
        with self._lock:
            self._there[name] = state, size

    def _look(self, places: tuple[str, ...]) -> Iterator[tuple[str, Path, _State]]:
        for place in places:
            for path in sorted(self.folder.glob(place)):
                name = path.relative_to(self.folder).as_posix()
                if _IS_KEPT.fullmatch(name) and path.is_file():
                    with suppress(OSError):
                        yield name, path, _State.of(path)


def _begins_with(path: Path, remote: RepoFile) -> bool:
    """Whether the whole of the data set's file is what the one here begins with."""
    digest = hashlib.sha256() if remote.lfs else hashlib.sha1(b"blob %d\0" % remote.size)  # large ones, and git's way
    left = remote.size
    with path.open("rb") as file:
        while part := file.read(min(left, 2**20)):
            digest.update(part)
            left -= len(part)
    return not left and digest.hexdigest() == (remote.lfs.sha256 if remote.lfs else remote.blob_id)
