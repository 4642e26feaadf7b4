"""Carries out a plan: block by block, cell by cell, whatever happens to a model on the way.

| what happens | what follows |
| --- | --- |
| a model refuses a prompt | the cell is stored as a failure with its reason |
| a model's process dies in a cell | the same; a new process is warmed up |
| it dies, or can't load the model, ``PATIENCE`` times in a row | the rest of its block is stored as failures |
| a model's file is gone | its cells are stored as failures |
| an endpoint fails | as when a model's process dies: it is asked for a warm-up before the next cell |
| an endpoint is not in the file any more | the benchmark does not begin: nobody knows whose failures to store |
| cancelled | the answer being written is not stored; what is stored counts when it is resumed |
| something can't be stored | the benchmark stops: nothing is measured that isn't kept |
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

from ulid import ULID

from evaluation.benchmark.disturbance import Meter
from evaluation.benchmark.estimate import TimeLeft, seconds_per_answer
from evaluation.benchmark.folder import BenchmarkError, Progress, held
from evaluation.benchmark.loss_runner import LossRunner
from evaluation.benchmark.plan import Block, Plan, blocks
from evaluation.benchmark.stop import Stopped, StopRequest
from evaluation.benchmark.tracker import Tracker, is_flawed
from evaluation.endpoints import EndpointModel, is_served
from evaluation.engine import Engines, GenerationRequest
from evaluation.host import host
from evaluation.models import ChatModel, Model
from evaluation.prompt_sets import Prompt
from evaluation.records import Cell, Host, Message, Response, Sampling
from evaluation.store import ResponseStore, StoreError

PATIENCE = 3
"""Deaths of a model's process, or loads that failed, in a row after which the rest of its block is given up: each may
take minutes."""
POLL_S = 0.2
"""How soon a request to stop is noticed."""
WARM_UP = (Message("user", "Say hello in one short sentence."),)
WARM_UP_NAME = "warm-up"
"""Stands for the prompt set and the prompt in the cell of a warm-up."""
WARM_UP_TOKENS = 16


class Runner:
    """Runs one benchmark in this process; use it once."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        results_dir: Path,
        models: Mapping[str, Model],
        watch: Callable[[Progress], None],
        again: bool = False,
    ) -> None:
        """``models``: those found on this machine and the endpoints it knows, by key. ``watch`` is told the progress
        before each cell. ``again``: do also what failed or was disturbed."""
        self._plan, self._folder, self._results_dir, self._models = plan, folder, results_dir, models
        self._again = again
        self._store = ResponseStore(results_dir / "responses")
        self._stop = StopRequest()
        expected_s, _ = seconds_per_answer(plan, [self._store.folder])
        self._tracker = Tracker(plan, folder, TimeLeft(plan, expected_s), watch)
        self._recorder = _CellRecorder(self._store)

    def run(self) -> Progress:
        """Do everything that is not stored yet; returns how it ended. Raises ``BenchmarkError`` when it can't begin."""
        if self._plan.host.key != host().key:
            raise BenchmarkError(
                f"The benchmark {self._plan.name} was begun on another machine or with another engine "
                f"({self._plan.host.cpu}, {self._plan.host.engine}): start a new one here."
            )
        with self._stop, held(self._results_dir, self._folder):
            try:
                reason = self._do_all()
            except (Stopped, KeyboardInterrupt):
                return self._tracker.end("cancelled", None)
            except (StoreError, BenchmarkError) as error:
                return self._tracker.end("failed", str(error))
            except Exception as error:
                self._tracker.end("failed", f"The benchmark stopped at a fault of this program: {error!r}")
                raise
            return self._tracker.end("finished", reason)

    def _do_all(self) -> str | None:
        """Returns a sentence when answer losses are missing in the end."""
        for response in self._store.of_benchmark(self._plan.id):
            self._tracker.take_in(response)
        work = [(block, cells) for block in blocks(self._plan) if (cells := list(self._to_do(block)))]
        for block, cells in work:
            if is_served(block.model) and block.model.key not in self._models:
                raise BenchmarkError(
                    f"The endpoint {block.model.name} is not in the file of endpoints any more: add it again, then "
                    "resume."
                )
            self._tracker.loads_left[block.model.key] += 1
            self._tracker.answers_left[block.model.key] += len(cells)
        losses = LossRunner(self._plan, self._results_dir, self._models, self._tracker, self._stop, self._again)
        for block, cells in work:
            model = self._models.get(block.model.key)
            if model is None:
                reason = f"The model {block.model.name} is not here any more: put its file back."
                self._give_up(block, cells, self._plan.host, reason)
            else:
                self._fill(block, model, cells)
            self._tracker.loads_left[block.model.key] -= 1
        return losses.measure_all()

    def _to_do(self, block: Block) -> Iterator[tuple[Cell, Prompt]]:
        for name, prompt in self._plan.prompts:
            cell = Cell(self._plan.id, name, prompt.id, block.repeat, prompt.kind)
            stored = self._tracker.stored(block.model, cell)
            if stored is None or (self._again and is_flawed(stored)):
                yield cell, prompt

    def _fill(self, block: Block, model: Model, cells: Sequence[tuple[Cell, Prompt]]) -> None:
        """One block: every cell gets a record. Raises ``Stopped``, ``StoreError``, ``BenchmarkError``."""
        there = model.host if isinstance(model, EndpointModel) else self._plan.host
        if isinstance(model, ChatModel):
            drop_from_page_cache(model)
        with closing(Engines(record=self._recorder.record)) as engine:
            deaths: list[str] = []  # in a row: why it is not ready any more
            for number, (cell, prompt) in enumerate(cells):
                self._tracker.tell(_now(self._plan, block))
                if len(deaths) == PATIENCE:
                    reason = f"Not tried after {PATIENCE} failures in a row, the last of which was: {deaths[-1]}"
                    self._give_up(block, cells[number:], there, reason)
                    break
                if not engine.ready(model):
                    warm_up = self._answer(engine, model, self._warm_up(block), WARM_UP)
                    if warm_up.error and not engine.ready(model):
                        deaths.append(warm_up.error)
                        self._give_up(block, [(cell, prompt)], there, warm_up.error)
                        continue
                response = self._answer(engine, model, cell, prompt.messages)
                self._tracker.finished(response)
                deaths = [*deaths, response.error] if response.error and not engine.ready(model) else []

    def _warm_up(self, block: Block) -> Cell:
        return Cell(self._plan.id, WARM_UP_NAME, WARM_UP_NAME, block.repeat, warm_up=True)

    def _answer(self, engine: Engines, model: Model, cell: Cell, messages: tuple[Message, ...]) -> Response:
        """Ask and wait; returns the record that was stored. Raises ``Stopped``, ``StoreError``."""
        if self._stop.asked:
            raise Stopped
        today = date.fromisoformat(self._plan.template_date)
        request = GenerationRequest(model, messages, self._sampling(cell), today, origin="benchmark")
        self._recorder.expect(cell)
        generation = engine.submit(request)
        while True:
            with suppress(TimeoutError):
                response = generation.wait(POLL_S)
                break
            if self._stop.asked:
                generation.cancel()
        if response.finish_reason == "cancelled":
            raise Stopped
        if save_error := generation.snapshot().save_error:
            raise StoreError(save_error)
        assert self._recorder.recorded
        return self._recorder.recorded

    def _sampling(self, cell: Cell) -> Sampling:
        sampling = replace(self._plan.sampling, seed=self._plan.sampling.seed + cell.repeat)
        return replace(sampling, max_tokens=min(WARM_UP_TOKENS, sampling.max_tokens)) if cell.warm_up else sampling

    def _give_up(self, block: Block, cells: Sequence[tuple[Cell, Prompt]], there: Host, reason: str) -> None:
        """Store cells as failures that nobody tried; ``there``: where they would have been. Raises ``StoreError``."""
        for cell, prompt in cells:
            now = time.time()
            response = Response(
                id=str(ULID()),
                origin="benchmark",
                host=there,
                model=block.model,
                messages=prompt.messages,
                sampling=self._sampling(cell),
                template_date=self._plan.template_date,
                text="",
                finish_reason="error",
                submitted_at=now,
                ended_at=now,
                error=reason,
                cell=cell,
            )
            self._store.append(response)
            self._tracker.finished(response)


class _CellRecorder:
    """Adds to an answer which cell it fills and what else the machine did meanwhile, then stores it."""

    def __init__(self, store: ResponseStore) -> None:
        self._store = store
        self._cell: Cell | None = None
        self._meter = Meter()
        self.recorded: Response | None = None

    def expect(self, cell: Cell) -> None:
        """The next answer fills this cell, and starts now."""
        self._cell, self.recorded = cell, None
        self._meter.begin()

    def record(self, response: Response) -> None:
        """Called by the engine, before it says that the answer is done. Raises ``StoreError``."""
        assert self._cell
        if response.finish_reason == "cancelled":
            return
        cell = self._cell
        if response.server is None:  # what this machine does is nothing to a server elsewhere, or is the server's work
            meanwhile = self._meter.end(response.threads or 1)
            cell = replace(
                cell,
                others_cores=meanwhile.others_cores,
                stolen_cores=meanwhile.stolen_cores,
                disturbed=meanwhile.disturbed,
            )
        self.recorded = replace(response, cell=cell)
        self._store.append(self.recorded)


def drop_from_page_cache(model: ChatModel) -> None:
    """So that the next load reads from the disk, as after a restart. The kernel takes it as advice: what another
    process has mapped stays, and what a virtual machine's host keeps is out of reach."""
    for path in (model.base.path, *([model.adapter.path] if model.adapter else [])):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def _now(plan: Plan, block: Block) -> str:
    return f"Repeat {block.repeat + 1} of {plan.repeats}: {block.model.name}"
