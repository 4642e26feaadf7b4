"""The responses on disk: append-only JSON lines, one file per writing process, so that no process waits for another.

    store = ResponseStore(settings.results_dir / "responses", published=PUBLISHED_DIR / "responses")
    store.append(response)          # on disk when it returns
    store.frame()                   # one row per response, for charts
    store.read().problems           # the lines that are not responses, and why

``results/README.md`` describes the stored form.
"""

import dataclasses
import errno
import glob
import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from evaluation import response_table
from evaluation.host import host
from evaluation.records import FORMAT_VERSION, Response
from evaluation.response_table import ConversationSummary
from training.runlog import append_whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ConversationSummary", "Problem", "ReadResult", "ResponseStore", "StoreError"]


class StoreError(Exception):
    """A response could not be saved; the message tells the user where, why and what to do."""


@dataclass(frozen=True)
class Problem:
    """A line of the store that is not a response."""

    path: Path
    line: int
    """Counted from 1; 0 when the whole file could not be read."""
    reason: str
    """One sentence."""


@dataclass(frozen=True)
class ReadResult:
    """Everything a folder holds."""

    responses: tuple[Response, ...]
    """Oldest first."""
    problems: tuple[Problem, ...]


class ResponseStore:
    """The responses in one folder. All methods may be called from any thread, and from a forked process.

    ``read`` and ``frame`` also give the responses in ``published``, a folder that is never written to.
    """

    def __init__(self, folder: Path, published: Path | None = None) -> None:
        self.folder = folder
        self.published = published
        self._writer = _Writer(folder)

    def append(self, response: Response) -> None:
        """Save a response; on disk when this returns. Raises ``StoreError``; a later call may work again."""
        if self._writer.pid != os.getpid():
            self._writer = _Writer(self.folder)
        try:
            self._writer.append(to_json_line(response))
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(
                f"The answer could not be saved in {self.folder}: {reason}. {_remedy(error.errno)}"
            ) from error

    def read(self) -> ReadResult:
        """Every response, and every line that is not one with the reason. A missing folder holds nothing."""
        responses: list[Response] = []
        problems: list[Problem] = []
        for path in self._all_files():
            try:
                for number, line in _lines(path):
                    try:
                        responses.append(from_json_line(line))
                    except ValueError as error:
                        problems.append(Problem(path, number, str(error)))
            except OSError as error:
                problems.append(Problem(path, 0, f"The file cannot be read: {error.strerror}."))
        return ReadResult(tuple(sorted(responses, key=lambda r: (r.submitted_at, r.id))), tuple(problems))

    def frame(self) -> "pd.DataFrame":
        """One row per response, oldest first: the fields and derived figures of ``Response``, flat.

        Columns and their types are the same for an empty folder. Lines that are not responses are left out;
        ``read`` names them.
        """
        return response_table.frame(_readable(self._all_files()))

    def conversations(self, limit: int = 50) -> list[ConversationSummary]:
        """The latest conversations of the arena, newest first."""
        return response_table.conversations(_readable(self._files()), limit)

    def conversation(self, conversation: str) -> tuple[Response, ...]:
        """The responses of one conversation by round, pane and attempt; empty when it is not known."""
        needle = to_json_text(conversation).encode()
        found = []
        for path in self._files():
            with suppress(OSError):
                for _, line in _lines(path):
                    if needle in line:  # parsing every line of a large store would take seconds
                        with suppress(ValueError):
                            found.append(from_json_line(line))
        placed = [(r.place, r) for r in found if r.place is not None and r.place.conversation == conversation]
        return tuple(r for _, r in sorted(placed, key=lambda p: (p[0].round, p[0].pane, p[0].attempt)))

    def _files(self) -> list[Path]:
        return _response_files(self.folder)

    def _all_files(self) -> list[Path]:
        return self._files() + (_response_files(self.published) if self.published else [])


class _Writer:
    """The file of one process. It is opened for each record: a folder that was moved, deleted or mounted again
    while the process runs is noticed at the next record, not lost with an old descriptor."""

    def __init__(self, folder: Path) -> None:
        self.pid = os.getpid()
        self._path = folder / f"{host().key}-{uuid.uuid4().hex}.jsonl"
        self._lock = threading.Lock()

    def append(self, line: bytes) -> None:
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                self._write(descriptor, line)
            finally:
                os.close(descriptor)

    @staticmethod
    def _write(descriptor: int, line: bytes) -> None:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line  # an earlier record was cut short and could not be taken back
        append_whole(descriptor, line)


@dataclass(frozen=True)
class _Envelope:
    format: int


_ENVELOPE = TypeAdapter(_Envelope)
_RESPONSE = TypeAdapter(Response)


def to_json_line(response: Response) -> bytes:
    """The stored form of a response: one line of UTF-8 JSON with its newline."""
    return f"{to_json_text(dataclasses.asdict(response))}\n".encode()


def to_json_text(value: Any, indent: int | None = None) -> str:
    """JSON of plain values, always encodable."""
    return encodable(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent))


def encodable(text: str) -> str:
    """The text with U+FFFD for half surrogate pairs, which a program can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def from_json_line(line: bytes) -> Response:
    """Read a stored response. Raises ``ValueError`` with a sentence when the line is not one."""
    try:
        version = _ENVELOPE.validate_json(line, strict=True).format
        if version > FORMAT_VERSION:
            raise ValueError(
                f"The record was written by a newer version of this program (format {version}, "
                f"this version reads up to {FORMAT_VERSION}); update to read it."
            )
        return _RESPONSE.validate_json(line, strict=True)
    except ValidationError as error:
        raise ValueError(_reason(error, line)) from None


def _reason(error: ValidationError, line: bytes) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "json_invalid" and not line.endswith(b"\n"):
        return "The last line is cut off, because the program or the machine stopped while it was written."
    if problem["type"] == "json_invalid" or not field:
        return "The line is not a response record."
    if problem["type"] == "missing":
        return f"The field {field} is missing."
    return f"The field {field} is not valid: {problem['msg']}."


def _response_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jsonl") if path.is_file())


def _readable(files: list[Path]) -> list[str]:
    """Files for DuckDB, which takes names for patterns and stops at a file that it may not open."""
    return [glob.escape(str(path)) for path in files if os.access(path, os.R_OK)]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines with their newline, blank ones left out."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _remedy(code: int | None) -> str:
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Free some disk space; the next answer is saved again as soon as there is room."
    return "Make this folder writable, or name another one in RESULTS_DIR."
