"""What stands in the table: one row per model, each figure a median with its interval, never a bare number that looks
sure."""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from evaluation.leaderboard.board import EXACT, PER_LOAD, Board, Row
from evaluation.leaderboard.figures import BY_KEY, FIGURES, Figure, shown, shown_range
from evaluation.leaderboard.view import View

if TYPE_CHECKING:
    import pandas as pd

BEST_MARK = "★"


def heading(figure: Figure) -> str:
    """Label and unit, for example ``Latency, s``."""
    return f"{figure.label}, {figure.unit}" if figure.unit and figure.unit != figure.label.lower() else figure.label


def known_figures(board: Board) -> list[Figure]:
    """Those that at least one row has."""
    return [figure for figure in FIGURES if any(figure.key in row.figures for row in board.rows)]


def median_text(row: Row, figure: Figure) -> str:
    """``1.84``; ``–`` when unknown."""
    interval = row.figures.get(figure.key)
    return shown(replace(figure, unit=""), interval.median if interval else None)


def sureness(row: Row, figure: Figure) -> tuple[str, ...]:
    """What stands beside a median: ``1.79–1.90``; without an interval ``n = 3``.

    The n also stands where it is not the row's number of prompts, and nowhere for what has no sampling error.
    """
    interval = row.figures.get(figure.key)
    if interval is None or figure.key == EXACT:
        return ()
    if interval.low is None or interval.high is None:
        return (f"n = {interval.n}",)
    ends = shown_range(replace(figure, unit=""), interval.low, interval.high)
    return (ends,) if interval.n == row.prompts else (ends, f"n = {interval.n}")


def cell_text(row: Row, figure: Figure, best: bool) -> str:
    """Both on one line: ``1.84 (1.79–1.90)``; ``1.84 (n = 3)``."""
    beside = ", ".join(sureness(row, figure))
    text = f"{median_text(row, figure)} ({beside})" if beside else median_text(row, figure)
    return f"{BEST_MARK} {text}" if best else text


def median(row: Row, figure: Figure) -> float | None:
    """In the unit that is shown: what rows are sorted by."""
    interval = row.figures.get(figure.key)
    return None if interval is None else interval.median * figure.scale


def legend(board: Board, keys: Collection[str], where: str = "in brackets") -> str:
    """What the numbers mean, for a table of these figures; ``where`` the intervals stand."""
    loads = ", those of load time and memory over loads" if set(PER_LOAD).intersection(keys) else ""
    means = "; a mean of the share that ended by itself" if "ended" in keys else ""
    parts = [f"Medians over prompts{loads}{means}; {where} the 95% interval."]
    if any(interval.low is None for row in board.rows for key, interval in row.figures.items() if key != EXACT):
        parts.append("Where an n stands instead, there are too few values for an interval.")
    if board.best:
        parts.append(f"{BEST_MARK} is better than every other model: the intervals do not overlap.")
    elif not board.same_prompts:
        parts.append("No figure is marked as best: the models have not all answered the same prompts.")
    elif len(board.answered) > 1:
        parts.append("No figure is marked as best: the intervals overlap, or there are none.")
    return " ".join(parts)


def tidy(view: View) -> "pd.DataFrame":
    """For programs: one row per model and figure, in the units that the table shows."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "host": view.host.key,
                "model_key": row.model_key,
                "model": view.labels[row.model_key],
                "quantization": row.quantization,
                "adapter_run": row.adapter_run,
                "figure": key,
                "unit": BY_KEY[key].unit,
                "median": interval.median * BY_KEY[key].scale,
                "low": None if interval.low is None else interval.low * BY_KEY[key].scale,
                "high": None if interval.high is None else interval.high * BY_KEY[key].scale,
                "n": interval.n,
                "answers": row.answers,
                "best": view.measured.board.best.get(key) == row.model_key,
            }
            for row in view.measured.board.rows
            for key, interval in row.figures.items()
        ]
    )
