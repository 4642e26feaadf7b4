"""The runs in a file, put together row by row."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from training.importers.fields import field_of, is_unknown, number, seconds, whole
from training.runlog import Base, LogEntry, with_each_step_once

MOST_ENTRIES = 1_000_000

SUMMARY = "with the summary of the training"
NO_LOSS = "without a loss"
NO_STEP = "without a step"
NO_NUMBER = "with a loss that is not a number"
REPEATED = "logged again later, as after a resume"

_LOSSES = {"train": "loss", "eval": "eval_loss"}

Row = Mapping[str, Any]
"""Names as the source spells them -> values as it writes them, numbers or text."""


class ImporterError(Exception):
    """Nothing can be imported; the message tells the user what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Facts:
    """What a source says about its run beside the log. Unknown is absent."""

    base: Base | None = None
    method: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Sections with the settings that are known, named as in a recipe."""
    started_at: float | None = None
    """UTC seconds since 1970."""
    ended_at: float | None = None
    notes: tuple[str, ...] = ()
    """Sentences."""

    def and_of(self, other: "Facts") -> "Facts":
        """These facts, with what they lack from the other ones."""
        sections = [*self.recipe, *(section for section in other.recipe if section not in self.recipe)]
        return Facts(
            base=self.base or other.base,
            method=self.method or other.method,
            recipe={name: {**other.recipe.get(name, {}), **self.recipe.get(name, {})} for name in sections},
            started_at=self.started_at or other.started_at,
            ended_at=self.ended_at or other.ended_at,
            notes=self.notes + other.notes,
        )


@dataclass
class FoundRun:
    """One run of a file, while it is being read."""

    entries: list[LogEntry] = field(default_factory=list)
    reached: int = 0
    """The last step that the file speaks of."""
    steps: int | None = None
    """Steps that were to be made."""
    ended: bool = False
    """Whether the training says that it ended by itself."""


class Found:
    """Collects rows. A log that starts again at its beginning is another run; one that goes back only a part of the
    way was resumed from a checkpoint, and then its later rows count."""

    def __init__(self) -> None:
        self._runs = [FoundRun()]
        self._first: dict[str, int] = {}
        self._last_step = -1
        self._new_table = False
        self._count = 0
        self.skipped: Counter[str] = Counter()
        """Rows that were left out, by reason."""

    def table(self) -> None:
        """What follows stands in a table of its own."""
        self._new_table = True

    def progress(self, step: int | None, total: int | None) -> None:
        """How far the current run came, of how many steps."""
        run = self._runs[-1]
        run.reached = max(run.reached, step or 0)
        run.steps = total or run.steps

    def ended(self) -> None:
        """The training says that it ended by itself."""
        self._runs[-1].ended = True

    def add(self, row: Row) -> None:
        """Read a row, which may hold a training step, an evaluation, both or neither."""
        values: dict[str, Any] = {}
        for name, value in row.items():
            if (known := field_of(name)) and not is_unknown(value):
                values.setdefault(known, value)
        step = whole(values.get("step"))
        if "train_runtime" in row:  # it names the mean loss train_loss, which elsewhere is that of a step
            self.ended()
            self.skipped[SUMMARY] += 1
        elif reason := self._append_entries(step, values):
            self.skipped[reason] += 1
        self.progress(step, whole(values.get("total_steps")))

    def runs(self) -> list[FoundRun]:
        """Those with entries, each step once, tokens counted through."""
        for run in self._runs:
            once = list(with_each_step_once(run.entries))
            self.skipped[REPEATED] += len(run.entries) - len(once)
            run.entries = list(_counted_through(once))
        self.skipped += Counter()  # forgets reasons that did not occur
        return [run for run in self._runs if run.entries]

    def _append_entries(self, step: int | None, values: Row) -> str | None:
        """Keep what a row holds, or say why it holds nothing."""
        stated = {kind: values[name] for kind, name in _LOSSES.items() if name in values}
        losses = {kind: loss for kind, value in stated.items() if (loss := number(value)) is not None}
        if not losses:
            return NO_NUMBER if stated else NO_LOSS
        if step is None:
            return NO_STEP
        if len(losses) == 2 and any(map(math.isnan, losses.values())) and not all(map(math.isnan, losses.values())):
            # A table of training and evaluation rows, in which NaN fills the cells that a row does not have.
            losses = {kind: loss for kind, loss in losses.items() if not math.isnan(loss)}
        if "train" in losses:
            self._append(
                LogEntry(
                    step=step,
                    kind="train",
                    loss=losses["train"],
                    epoch=number(values.get("epoch")),
                    learning_rate=number(values.get("learning_rate")),
                    grad_norm=number(values.get("grad_norm")),
                    tokens=whole(values.get("tokens")),
                    elapsed_s=seconds(values.get("elapsed_s")),
                    mean_token_accuracy=number(values.get("mean_token_accuracy")),
                    entropy=number(values.get("entropy")),
                )
            )
        if "eval" in losses:
            self._append(
                LogEntry(
                    step=step,
                    kind="eval",
                    loss=losses["eval"],
                    epoch=number(values.get("epoch")),
                    mean_token_accuracy=number(values.get("eval_mean_token_accuracy")),
                    entropy=number(values.get("eval_entropy")),
                )
            )
        return None

    def _append(self, entry: LogEntry) -> None:
        first = self._first.get(entry.kind)
        goes_back = entry.step < self._last_step or (self._new_table and entry.step == self._last_step)
        if first is not None and entry.step <= first and goes_back:
            self._runs.append(FoundRun())
            self._first.clear()
        self._new_table = False
        self._first.setdefault(entry.kind, entry.step)
        self._last_step = entry.step
        self._runs[-1].entries.append(entry)
        self._count += 1
        if self._count > MOST_ENTRIES:
            raise ImporterError(
                f"The file holds more than {MOST_ENTRIES:,} logged steps: keep every tenth or so, and import that."
            )


def _counted_through(entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
    """A Trainer counts tokens from the last resume."""
    before, last = 0, 0
    for entry in entries:
        if entry.tokens is not None:
            if before + entry.tokens < last:
                before = last
            last = before + entry.tokens
            entry = replace(entry, tokens=last)
        yield entry
