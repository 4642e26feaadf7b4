"""The responses on disk: append-only JSON lines, one file per writing process, so that no process waits for another.

    store = ResponseStore(settings.results_dir / "responses", published=PUBLISHED_DIR / "responses")
    store.append(response)          # on disk when it returns
    store.frame()                   # one row per response, for charts
    store.read().problems           # the lines that are not responses, and why

``results/README.md`` describes the stored form.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from evaluation import response_table
from evaluation.record_folder import Appender, Problem, StoreError, find_records, patterns, read_records
from evaluation.record_json import encodable, read_json_line, to_json_line, to_json_text
from evaluation.records import Response
from evaluation.response_table import ConversationSummary

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ConversationSummary",
    "Problem",
    "ReadResult",
    "ResponseStore",
    "StoreError",
    "encodable",
    "from_json_line",
    "to_json_line",
    "to_json_text",
]


@dataclass(frozen=True)
class ReadResult:
    """Everything a folder holds."""

    responses: tuple[Response, ...]
    """Oldest first."""
    problems: tuple[Problem, ...]


class ResponseStore:
    """The responses in one folder. All methods may be called from any thread, and from a forked process.

    ``read``, ``frame`` and ``of_benchmark`` also give the responses in ``published``, a folder never written to.
    """

    def __init__(
        self, folder: Path, published: Path | None = None, lock: AbstractContextManager[object] | None = None
    ) -> None:
        """``lock``: held while a response is written."""
        self.folder = folder
        self.published = published
        self._appender = Appender(folder, "The answer", lock)

    def append(self, response: Response) -> None:
        """Save a response; on disk when this returns. Raises ``StoreError``; a later call may work again."""
        self._appender.append(response)

    def read(self) -> ReadResult:
        """Every response, and every line that is not one with the reason. A missing folder holds nothing."""
        responses, problems = read_records(Response, self._folders())
        return ReadResult(tuple(sorted(responses, key=lambda r: (r.submitted_at, r.id))), tuple(problems))

    def frame(self) -> "pd.DataFrame":
        """One row per response, oldest first: the fields and derived figures of ``Response``, flat.

        Columns and their types are the same for an empty folder. Lines that are not responses are left out;
        ``read`` names them.
        """
        try:
            return response_table.frame(*patterns(self._folders()))
        except duckdb.Error:  # a file went away meanwhile, or is damaged
            return response_table.frame(*patterns(self._folders(), check=True))

    def of_benchmark(self, benchmark: str) -> tuple[Response, ...]:
        """The responses of one benchmark, warm-ups and failed ones included, oldest first."""
        found = find_records(Response, self._folders(), "cell.benchmark", benchmark)
        return tuple(sorted(found, key=lambda r: (r.submitted_at, r.id)))

    def conversations(self, limit: int = 50) -> list[ConversationSummary]:
        """The latest conversations of the arena, newest first."""
        try:
            return response_table.conversations(*patterns([self.folder]), limit)
        except duckdb.Error:
            return response_table.conversations(*patterns([self.folder], check=True), limit)

    def conversation(self, conversation: str) -> tuple[Response, ...]:
        """The responses of one conversation by round, pane and attempt; empty when it is not known."""
        found = find_records(Response, [self.folder], "place.conversation", conversation)
        placed = [(r.place, r) for r in found if r.place]
        return tuple(r for _, r in sorted(placed, key=lambda p: (p[0].round, p[0].pane, p[0].attempt)))

    def _folders(self) -> list[Path]:
        return [self.folder, *([self.published] if self.published else [])]


def from_json_line(line: bytes) -> Response:
    """Read a stored response. Raises ``ValueError`` with a sentence when the line is not one."""
    return read_json_line(Response, line)
