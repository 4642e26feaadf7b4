"""The part of a file that is on disk, with the hash of its content."""

import hashlib
from pathlib import Path
from types import TracebackType

from evaluation.hub.progress import Progress

BLOCK_BYTES = 1 << 20


class Part:
    """A context manager, used by one thread."""

    def __init__(self, path: Path, progress: Progress) -> None:
        """Reads what is there. Raises ``OSError``, and ``Cancelled`` meanwhile."""
        self._progress = progress
        self._hash = hashlib.sha256()
        self._file = path.open("ab+", buffering=0)
        try:
            self._file.seek(0)
            while block := self._file.read(BLOCK_BYTES):
                progress.check()
                self._hash.update(block)
            self.size_bytes = self._file.tell()
        except BaseException:
            self._file.close()
            raise
        progress.at(self.size_bytes)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def append(self, block: bytes) -> None:
        """Raises ``OSError``, for example when the disk is full."""
        written = 0
        while written < len(block):
            written += self._file.write(block[written:]) or 0
        self._hash.update(block)
        self.size_bytes += len(block)
        self._progress.at(self.size_bytes)

    def restart(self) -> None:
        """Throw away what there is."""
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self._progress.at(0)

    def __enter__(self) -> "Part":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
