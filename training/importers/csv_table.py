"""A table as CSV, as pandas, a spreadsheet or Weights & Biases save it."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from training.importers.fields import EVALUATION_LOSS_NAMES, LOSS_NAMES, STEP_NAMES, field_of
from training.importers.found import Facts, Found, ImporterError

KIND = "CSV"
_LOSSES = ", ".join((*LOSS_NAMES, *EVALUATION_LOSS_NAMES))
LOOKED_FOR = f"a column of losses ({_LOSSES}) and one of steps ({', '.join(STEP_NAMES)})"
HEADER_WITHIN_LINES = 20
NO_STEPS = "The file names no steps: its rows are numbered from 1."


def read(path: Path, found: Found) -> Facts:
    """Read a table whose columns are separated by commas, semicolons or tabs. Raises ``ImporterError``."""
    with path.open(encoding=_encoding(path), errors="replace", newline="") as file:
        lines = iter(file)
        above = list(islice(lines, HEADER_WITHIN_LINES))
        delimiter, start = _header(path, above)
        try:
            return _read_rows(path, csv.reader(_chain(above[start:], lines), delimiter=delimiter), found)
        except csv.Error as error:
            raise ImporterError(f"{path} is not a CSV file ({error}): save the table as CSV again.") from None


def _read_rows(path: Path, rows: Iterator[list[str]], found: Found) -> Facts:
    header = [name.strip() for name in next(rows)]
    fields = [field_of(name) for name in header]
    for field, columns in Counter(filter(None, fields)).items():
        if columns > 1 and field in ("loss", "eval_loss"):
            names = ", ".join(name for name, each in zip(header, fields, strict=True) if each == field)
            raise ImporterError(f"{path} has several columns for the same loss ({names}): keep one, and import again.")
    numbered = "step" not in fields
    number = 0
    for cells in rows:
        if not any(cells):
            continue
        if [cell.strip() for cell in cells] == header:  # tables one below the other
            found.table()
            number = 0
            continue
        number += 1
        row = dict(zip(header, cells, strict=False))
        found.add({**row, "step": number} if numbered else row)
    return Facts(notes=(NO_STEPS,) if numbered else ())


def _header(path: Path, lines: list[str]) -> tuple[str, int]:
    """The sign between columns, and the number of the line that names them."""
    for number, line in enumerate(lines):
        delimiter = max(",;\t", key=line.count)
        if {field_of(name) for name in next(csv.reader([line], delimiter=delimiter), [])} & {"loss", "eval_loss"}:
            return delimiter, number
    columns = lines[0].strip()[:200] if lines else "nothing"
    raise ImporterError(f"{path} has no column of losses. Looked for {LOOKED_FOR}; its first line is: {columns}")


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _chain(first: Iterable[str], rest: Iterable[str]) -> Iterator[str]:
    yield from first
    yield from rest
