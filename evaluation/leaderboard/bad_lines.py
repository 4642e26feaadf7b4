"""Which lines of damaged files are no records, and why."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evaluation.record_folder import Problem
from evaluation.record_json import read_json_line

MOST_BYTES = 64 * 2**20
"""Of so much each line is looked at, a second or two; of larger files the lines are only counted."""
MOST_LINES = 200
"""So many are named; the others are counted."""


def problems_in(kind: Any, files: Sequence[tuple[Path, int]]) -> Iterator[Problem]:
    """Of each file with the number of its lines that are no records: the lines, each with its sentence."""
    bytes_left, lines_left = MOST_BYTES, MOST_LINES
    for path, count in files:
        try:
            size = path.stat().st_size
            if path.suffix == ".jsonl" and size <= bytes_left and count <= lines_left:
                bytes_left -= size
                lines_left -= count
                if found := list(_lines(kind, path)):
                    yield from found
                    continue
        except OSError:
            pass  # it has just gone
        yield Problem(path, 0, f"{count:,} of its lines are no records that this version can read.")


def _lines(kind: Any, path: Path) -> Iterator[Problem]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    read_json_line(kind, line)
                except ValueError as error:
                    yield Problem(path, number, str(error))
