"""Rows of measured ratios, printed as the Markdown table that the README quotes."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from evaluation.engine.threads import SPIN_COUNT, worker_threads
from evaluation.host import host
from evaluation.models import ChatModel


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    target: str
    """Such as ``≥ 0.97``; empty: there is none."""
    measured: float
    n: int
    detail: str = ""

    @property
    def met(self) -> bool:
        if not self.target:
            return True
        bound = float(self.target[1:].split()[0])
        return self.measured >= bound if self.target.startswith("≥") else self.measured <= bound


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the pairwise ratios: each pair was measured back to back, so slow drift cancels."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def medians(numerators: Sequence[float], denominators: Sequence[float], unit: str, digits: int = 1) -> str:
    """``87.1 of 86.0 tokens/s``: what stands behind a ratio."""
    return f"{statistics.median(numerators):.{digits}f} of {statistics.median(denominators):.{digits}f} {unit}"


def show(row: Row) -> None:
    """Print progress while the rest is measured."""
    print(f"{'ok  ' if row.met else 'MISS'} {row.what}: {row.measured:.3g} ({row.target}) {row.detail}", flush=True)


Measure = Callable[[list[ChatModel]], Iterator[Row]]


def measure_all(measures: Sequence[Measure], models: list[ChatModel]) -> None:
    """Show each row when it is known, and all of them as a table at the end."""
    rows: list[Row] = []
    for measure in measures:
        for row in measure(models):
            show(row)
            rows.append(row)
    print_table(rows)


def print_table(rows: Sequence[Row]) -> None:
    machine = host()
    print(f"\n{date.today()}: {machine.cpu}, {machine.cores:g} cores, {machine.memory_bytes / 2**30:.0f} GiB, ", end="")
    print(f"{machine.system}, {machine.engine}, {worker_threads()} threads, GOMP_SPINCOUNT={SPIN_COUNT}\n")
    print("| what | target | measured | n | |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        detail = row.detail if row.met else f"{row.detail} (missed)"
        print(f"| {row.what} | {row.target} | {row.measured:.3g} | {row.n} | {detail} |")
