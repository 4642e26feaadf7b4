"""Rows with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.leaderboard.figures import BY_KEY, FIGURES
from evaluation.statistics import Interval, mean_interval, median_interval

if TYPE_CHECKING:
    import pandas as pd

PER_LOAD = ("load_s", "peak_memory_bytes")
"""Figures of a model's loads, not of its answers to a prompt."""
INTERVALS = {"ended": mean_interval}
"""A share is no median of shares, of which most are 0 or 1."""
EXACT = "size_bytes"
"""The figure that has no sampling error."""


@dataclass(frozen=True)
class Row:
    """One model on one host."""

    model_key: str
    name: str
    quantization: str
    adapter_run: str | None
    answers: int
    """Counted answers."""
    prompts: int
    """Prompts they answer: the n of the intervals."""
    failed: int
    left_out: dict[str, int]
    """Reason -> answers."""
    figures: dict[str, Interval]
    """By key of ``FIGURES``; a figure that is unknown is absent."""
    settings: frozenset[tuple[float | None, int]] = frozenset()
    """(temperature, max tokens) of the counted answers: more than one makes lengths and times a mixture. ``None``: the
    server refused the temperature, and used its own."""


@dataclass(frozen=True)
class Board:
    """The rows of one selection, the fastest (latency at 150 words, else latency) first."""

    rows: tuple[Row, ...]
    best: dict[str, str]
    """Figure -> key of the model that is better than every other one there, by intervals that do not overlap; figures
    for which that can't be said are absent."""
    same_prompts: bool
    """Whether all rows answer the same prompts; models without any answer that counts are left aside."""

    @property
    def answered(self) -> tuple[Row, ...]:
        """Rows with answers: those that can be compared."""
        return tuple(row for row in self.rows if row.prompts)


def make_board(cells: "pd.DataFrame", models: "pd.DataFrame") -> Board:
    """From ``Answers.cells`` and ``Answers.models`` of one selection."""
    own = dict(iter(cells.groupby("model_key")))
    rows = sorted((_row(model, own.get(str(model["model_key"]))) for _, model in models.iterrows()), key=_speed)
    prompts = {frozenset(group["prompt_key"]) for group in own.values()}
    same_prompts = len(prompts) <= 1
    answered = [row for row in rows if row.prompts]
    best = _best(cells, answered) if same_prompts and len(answered) > 1 else {}
    return Board(tuple(rows), best, same_prompts)


def pareto_front(board: Board, cost: str = "latency_150_s", quality: str = "bits_per_byte") -> tuple[str, ...]:
    """Keys of the models that no other one beats in both (by their medians), cheapest first; rows without either figure
    take no part."""
    points = {
        row.model_key: (_signed(cost, row.figures[cost]), _signed(quality, row.figures[quality]))
        for row in board.rows
        if cost in row.figures and quality in row.figures
    }

    def beaten(own: tuple[float, float]) -> bool:
        return any(other != own and other[0] <= own[0] and other[1] <= own[1] for other in points.values())

    return tuple(key for key, point in sorted(points.items(), key=lambda each: each[1]) if not beaten(point))


def _row(model: "pd.Series", cells: "pd.DataFrame | None") -> Row:
    values: dict[str, Sequence[float]] = {key: model[key] for key in PER_LOAD}
    if cells is not None:
        values |= {figure.key: list(cells[figure.key]) for figure in FIGURES if figure.key in cells}
    intervals = {key: INTERVALS.get(key, median_interval)(_known(each)) for key, each in values.items()}
    if _known([model[EXACT]]):
        intervals[EXACT] = Interval(float(model[EXACT]), None, None, 1)
    adapter_run = model["adapter_run"]
    return Row(
        model_key=str(model["model_key"]),
        name=str(model["model_name"]),
        quantization=str(model["quantization"]),
        adapter_run=adapter_run if isinstance(adapter_run, str) else None,
        answers=int(model["answers"]),
        prompts=0 if cells is None else cells["prompt_key"].nunique(),
        failed=int(model["failed"]),
        left_out=dict(model["left_out"]),
        figures={figure.key: found for figure in FIGURES if (found := intervals.get(figure.key))},
        settings=frozenset(model["settings"]),
    )


def _best(cells: "pd.DataFrame", rows: Sequence[Row]) -> dict[str, str]:
    best = {}
    for figure in FIGURES:
        if not figure.better:
            continue
        intervals = _on_common_prompts(cells, rows, figure.key)
        ranges = [(ends, key) for key, interval in intervals.items() if (ends := _range(figure.key, interval))]
        if len(ranges) == len(rows):
            (first, winner), (second, _) = sorted(ranges)[:2]
            if first[1] < second[0]:
                best[figure.key] = winner
    return best


def _on_common_prompts(cells: "pd.DataFrame", rows: Sequence[Row], figure: str) -> dict[str, Interval]:
    """Intervals by model. Where a figure is unknown for some prompts of a model, these prompts count for no model."""
    if figure not in cells or cells[figure].notna().all():
        return {row.model_key: row.figures[figure] for row in rows if figure in row.figures}
    table = cells.pivot(index="prompt_key", columns="model_key", values=figure).dropna()
    intervals = {str(key): median_interval(list(column)) for key, column in table.items()}
    return {key: interval for key, interval in intervals.items() if interval}


def _range(figure: str, interval: Interval) -> tuple[float, float] | None:
    """Low and high, turned so that less is better; ``None`` without an interval."""
    sign = -BY_KEY[figure].better
    if figure == EXACT:
        return sign * interval.median, sign * interval.median
    if interval.low is None or interval.high is None:
        return None
    return min(sign * interval.low, sign * interval.high), max(sign * interval.low, sign * interval.high)


def _signed(figure: str, interval: Interval) -> float:
    """The median, turned so that less is better; of a figure that is neither good nor bad, less is."""
    return interval.median * -(BY_KEY[figure].better or -1)


def _known(values: Sequence[float]) -> list[float]:
    return [float(each) for each in values if each is not None and math.isfinite(each)]


def _speed(row: Row) -> tuple[int, float, str]:
    """Rows by latency at 150 words, then those of which only latency is known, then the others."""
    for place, key in enumerate(("latency_150_s", "latency_s")):
        if key in row.figures:
            return place, row.figures[key].median, row.name
    return 2, 0.0, row.name
