"""What a training cell of a notebook left in its output: the Trainer's table of losses, or the rows it printed."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from training.importers import json_file
from training.importers.fields import field_of, whole
from training.importers.found import Facts, Found

KIND = "notebook"
LOOKED_FOR = "outputs with a table Step / Training Loss (/ Validation Loss), or printed rows such as {'loss': 1.2}"
COUNTED = "The output names no steps: they were counted, and may be off where not every step was logged."
LATEST = "Beside each evaluation the notebook shows the training loss that was logged last."

_KEYS = {"cells", "outputs", "worksheets", "output_type", "name", "text", "data", "text/html", "text/plain", "html"}
_PRINTED_ROW = re.compile(r"\{'[^{}]*\}")
_PRINTED_VALUE = re.compile(r"'([^']+)': *('[^']*'|[^,{}]+)")
# "[60/60 01:23, Epoch 1/2]" above a table, "10/60 [00:12<01:02" beside printed rows.
_TABLE_PROGRESS = re.compile(r"\[\s*(\d+)/(\d+)\s[^\]]*?Epoch\s+[\d.]+/(\d+)\]")
_PRINTED_PROGRESS = re.compile(r"(\d+)/(\d+) \[")


def read(path: Path, found: Found) -> Facts:
    """Read every output in the order of the notebook. Raises ``ImporterError``."""
    content = json_file.load(path, _KEYS.__contains__)
    notes: dict[str, None] = {}
    for outputs in _outputs(content):
        shown = [html for output in outputs for html in _texts(output, "text/html", "html")]
        read_in = [note for html in shown for note in _read_tables(html, found)]
        if not read_in:  # a cell that shows a table may print the same rows
            read_in = list(_read_printed("".join(text for output in outputs for text in _texts(output, "text")), found))
        notes |= dict.fromkeys(filter(None, read_in))
    return Facts(notes=tuple(notes))


def _outputs(content: Any) -> Iterator[list[dict[str, Any]]]:
    """The outputs of each cell; notebooks of format 3 keep their cells in worksheets."""
    if isinstance(content, dict):
        for sheet in content.get("worksheets") or [content]:
            cells = sheet.get("cells") if isinstance(sheet, dict) else None
            for cell in cells if isinstance(cells, list) else ():
                if isinstance(cell, dict) and isinstance(cell.get("outputs"), list):
                    yield [output for output in cell["outputs"] if isinstance(output, dict)]


def _texts(output: dict[str, Any], *names: str) -> Iterator[str]:
    """Texts of an output, which the format allows to be split into lines."""
    data = output.get("data")
    for place in (output, data if isinstance(data, dict) else {}):
        for name in names:
            text = place.get(name)
            if isinstance(text, list):
                text = "".join(part for part in text if isinstance(part, str))
            if isinstance(text, str):
                yield text


def _read_tables(html: str, found: Found) -> Iterator[str | None]:
    """For each table that was read, what to know about it."""
    parser = _Tables()
    parser.feed(html)
    progress = _TABLE_PROGRESS.search(html)
    reached, steps, epochs = map(whole, progress.groups()) if progress else (None, None, None)
    for header, *rows in filter(None, parser.tables):
        fields = {field_of(name) for name in header}
        if not fields & {"loss", "eval_loss"} or not fields & {"step", "epoch"}:
            continue
        found.table()
        for cells in rows:
            row: dict[str, Any] = dict(zip(header, cells, strict=False))
            if "step" not in fields and steps and epochs:  # evaluated once per epoch
                epoch = next((whole(row.get(name)) for name in header if field_of(name) == "epoch"), None)
                row["step"] = None if epoch is None else round(epoch * steps / epochs)
            found.add(row)
        found.progress(reached, steps)
        yield LATEST if {"loss", "eval_loss"} <= fields else None


class _Tables(HTMLParser):
    """Tables as rows of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][-1][-1] += data.strip()


def _read_printed(text: str, found: Found) -> Iterator[str]:
    rows = [_printed_row(match[0]) for match in _PRINTED_ROW.finditer(text)]
    rows = [row for row in rows if {field_of(name) for name in row} & {"loss", "eval_loss"} or "train_runtime" in row]
    if not rows:
        return
    found.table()
    reached, steps = _printed_progress(text)
    numbered = not any(field_of(name) == "step" for row in rows for name in row)
    lines = sum("loss" in row for row in rows)
    every, step = _log_every(lines, reached), 0
    for row in rows:
        step += every if "loss" in row else 0
        found.add({**row, "step": step} if numbered and lines else row)
    found.progress(reached, steps)
    if numbered and lines:
        yield COUNTED


def _printed_row(text: str) -> dict[str, Any]:
    return {name: value.strip().strip("'") for name, value in _PRINTED_VALUE.findall(text)}


def _printed_progress(text: str) -> tuple[int | None, int | None]:
    """How far the training's bar came, of how many steps; the bars of evaluations have other totals."""
    bars = [(whole(done), whole(total)) for done, total in _PRINTED_PROGRESS.findall(text)]
    if not bars:
        return None, None
    steps = bars[0][1]
    return max(done or 0 for done, total in bars if total == steps), steps


def _log_every(lines: int, reached: int | None) -> int:
    """Steps per printed row: what divides the steps made evenly, else what alone explains so many rows, else 1."""
    if not lines or not reached:
        return 1
    if reached % lines == 0:
        return reached // lines
    fitting = [every for every in range(1, reached // lines + 1) if reached // every == lines]
    return fitting[0] if len(fitting) == 1 else 1
