"""What the command line prints: tables, questions, and a line that shows a download's progress."""

import sys
import time
from collections.abc import Sequence

from evaluation.hub.job import Download
from evaluation.sizes import duration, shown_size

QUIET_S = 10.0
"""Between two lines of progress where they cannot be written over each other."""


def plain(text: str) -> str:
    """What a file or the hub states, without anything that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def table(head: Sequence[str], rows: Sequence[Sequence[str | None]], numbers: Sequence[int] = ()) -> str:
    """Columns as wide as they must be; those in ``numbers`` are set flush right. Unknown is ``–``."""
    lines = [list(head), *([plain(cell) if cell else "–" for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def set_out(line: Sequence[str]) -> str:
        cells = (
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join(map(set_out, lines))


def agreed(question: str) -> bool:
    """Whether who sits at the terminal says yes; nobody does where there is none."""
    try:
        return input(f"{question} [y/N] ").strip().casefold() in ("y", "yes")
    except EOFError:
        print()
        return False


class Line:
    """The progress of a download: one line of a terminal, written over and over; in a log, a new one now and then."""

    def __init__(self) -> None:
        self._over = sys.stdout.isatty()
        self._last_s = -QUIET_S

    def tell(self, download: Download) -> None:
        if self._over:
            print(f"\r\033[K{_progress(download)}", end="", flush=True)
        elif time.monotonic() - self._last_s >= QUIET_S:
            self._last_s = time.monotonic()
            print(_progress(download), flush=True)

    def close(self) -> None:
        if self._over:
            print("\r\033[K", end="", flush=True)


def _progress(download: Download) -> str:
    if download.state != "running":
        return f"{download.state.capitalize()} …"
    percent = 100 * download.done_bytes // max(1, download.size_bytes)
    parts = [f"{percent}% of {shown_size(download.size_bytes)}"]
    if download.speed_bytes_s is not None:
        parts.append(f"{shown_size(round(download.speed_bytes_s))}/s")
    if download.left_s is not None:
        parts.append(f"{duration(download.left_s)} left")
    return ", ".join(parts)
