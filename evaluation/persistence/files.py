"""Which files of a folder of results are kept in a data set, and which of them are known to be there.

Changes are told by size, inode and time stamp being different, never by one time being later: clocks may be wrong.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash, sha_fileobj

_RECORDS = ("responses", "losses", "votes")
_PLACES = (*(f"{folder}/*" for folder in _RECORDS), "benchmarks/*/*", "runs/*/*", "runs/*/adapter/*")
_KEPT = re.compile(
    r"(responses|losses|votes)/[^/.][^/]*\.(jsonl|parquet)"
    r"|benchmarks/[^/.][^/]*/(benchmark|progress)\.json"
    r"|runs/[^/.][^/]*/(run\.json|log\.jsonl|adapter\.gguf|adapter/[^/.][^/]*)"
)
"""Not the checkpoints and merged models, which are large and can be made again, nor what is hidden or half-written."""


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
        return self.path.suffix in (".jsonl", ".json")

    def content(self) -> bytes | Path:
        """What to push: of lines the whole ones, of what may be large the path. Raises ``OSError``."""
        if not self.is_text:
            return self.path
        with self.path.open("rb") as file:
            content = file.read(self.state.size)
        return content[: content.rfind(b"\n") + 1] if self.path.suffix == ".jsonl" else content


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
        """The data set holds nothing."""
        with self._lock:
            self._there.clear()

    def known(self) -> set[str]:
        """Names of the files that the data set has."""
        with self._lock:
            return set(self._there)

    def unsaved(self) -> int:
        """Records that the data set lacks."""
        count = 0
        for name, path, state in self._look(tuple(f"{folder}/*.jsonl" for folder in _RECORDS)):
            with self._lock:
                there = self._there.get(name, (None, 0))[1]
            if state.size > there:
                with suppress(OSError), path.open("rb") as file:
                    file.seek(there)
                    count += file.read().count(b"\n")
        return count

    def missing(self, remote: list[RepoFile]) -> list[RepoFile]:
        """Of the data set's files those to be fetched; the others are the same here, or this machine's count.

        A file of lines only ever grows, so the longer one counts. Of others nobody can tell which is newer: the one
        that is here stays, and is pushed. Lines that were turned into Parquet are not fetched.
        """
        names = {file.path for file in remote}

        def turned(name: str) -> bool:
            parquet = f"{name.removesuffix('.jsonl')}.parquet"
            return name.endswith(".jsonl") and (parquet in names or (self.folder / parquet).exists())

        kept = [file for file in remote if _KEPT.fullmatch(file.path) and not turned(file.path)]
        return [file for file in kept if not self._is_here(file)]

    def take(self, file: RepoFile, fetched: Path) -> None:
        """Put a fetched file in its place, unless what is there now is no part of it. Raises ``OSError``."""
        path = self.folder / file.path
        if path.exists() and not fetched.read_bytes().startswith(path.read_bytes()):
            return self._note(file.path, None, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(fetched, path)
        self._note(file.path, _State.of(path), file.size)

    def _is_here(self, remote: RepoFile) -> bool:
        path = self.folder / remote.path
        try:
            state = _State.of(path)
            longer_there = state.size < remote.size and path.suffix == ".jsonl"
            same = state.size == remote.size and _same_content(path, remote)
        except FileNotFoundError:
            return False
        # A shorter one must not be pushed while the longer one has not come.
        self._note(remote.path, state if same or longer_there else None, min(state.size, remote.size))
        return not longer_there

    def _note(self, name: str, state: _State | None, size: int) -> None:
        with self._lock:
            self._there[name] = state, size

    def _look(self, places: tuple[str, ...]) -> Iterator[tuple[str, Path, _State]]:
        for place in places:
            for path in sorted(self.folder.glob(place)):
                name = path.relative_to(self.folder).as_posix()
                if _KEPT.fullmatch(name):
                    with suppress(OSError):
                        yield name, path, _State.of(path)


def _same_content(path: Path, remote: RepoFile) -> bool:
    if remote.lfs is None:
        return git_hash(path.read_bytes()) == remote.blob_id
    with path.open("rb") as file:
        return sha_fileobj(file).hex() == remote.lfs.sha256
