"""How far a running benchmark is: counted, timed, written to ``progress.json``, and told to whoever watches."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from evaluation.benchmark.estimate import TimeLeft
from evaluation.benchmark.folder import BenchmarkError, Progress, Status, write_progress
from evaluation.benchmark.plan import Plan
from evaluation.records import Cell, ModelRef, Response

CellKey = tuple[str, str, str, int]
"""Model key, prompt set, prompt, repeat."""


def cell_key(model: ModelRef, cell: Cell) -> CellKey:
    return model.key, cell.prompt_set, cell.prompt, cell.repeat


def has_failed(response: Response) -> bool:
    """Whether there is no complete answer."""
    return response.finish_reason not in ("stop", "length")


def is_disturbed(response: Response) -> bool:
    return response.cell is not None and response.cell.disturbed


def is_flawed(response: Response) -> bool:
    """Whether it measures less than was asked for: failed, disturbed, or by a model that had to be loaded for it, as
    after its process died between two answers."""
    return has_failed(response) or is_disturbed(response) or bool(response.cold)


class Tracker:
    """Counts cells by their best record. ``answers_left``, ``loads_left`` and ``references_left`` hold what is still
    to be done, by model key; whoever does it keeps the last two up to date."""

    def __init__(self, plan: Plan, folder: Path, time_left: TimeLeft, watch: Callable[[Progress], None]) -> None:
        self._plan, self._folder, self._time_left, self._watch = plan, folder, time_left, watch
        self._stored: dict[CellKey, Response] = {}
        self.answers_left: Counter[str] = Counter()
        self.loads_left: Counter[str] = Counter()
        self.references_left: Counter[str] = Counter()

    def take_in(self, response: Response) -> None:
        """A record of an earlier process, or of this one. The newest counts, but a flawed one never in
        place of a good one: a clock that was set back tells the wrong order."""
        if response.cell and not response.cell.warm_up:
            key = cell_key(response.model, response.cell)
            if (old := self._stored.get(key)) is None or is_flawed(old) or not is_flawed(response):
                self._stored[key] = response
            if not has_failed(response):
                self._time_left.took(response.model.key, response.ended_at - response.submitted_at)

    def finished(self, response: Response) -> None:
        """A cell has been filled."""
        self.take_in(response)
        self.answers_left[response.model.key] -= 1

    def stored(self, model: ModelRef, cell: Cell) -> Response | None:
        """The record that counts for a cell, if there is one."""
        return self._stored.get(cell_key(model, cell))

    def tell(self, now: str) -> None:
        """Write how far it is. Raises ``BenchmarkError``."""
        left_s = self._time_left.seconds(self.answers_left, self.loads_left, self.references_left)
        progress = self._progress("running", now=now, seconds_left=left_s)
        # Cells that are done anew are stored already.
        progress = replace(progress, done=self._plan.cells - self.answers_left.total())
        write_progress(self._folder, progress)
        self._watch(progress)

    def end(self, status: Status, reason: str | None) -> Progress:
        """Write how it ended, where that is possible: on a full disk it is not, and then the old state stays."""
        progress = self._progress(status, reason=reason)
        with suppress(BenchmarkError):
            write_progress(self._folder, progress)
        return progress

    def _progress(
        self, status: Status, now: str | None = None, seconds_left: float | None = None, reason: str | None = None
    ) -> Progress:
        return Progress(
            status=status,
            done=len(self._stored),
            total=self._plan.cells,
            failed=sum(map(has_failed, self._stored.values())),
            disturbed=sum(map(is_disturbed, self._stored.values())),
            now=now,
            seconds_left=seconds_left,
            updated_at=time.time(),
            reason=reason,
        )
