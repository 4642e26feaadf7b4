"""The engine: requests in, recorded responses out. It decides which worker lives and which answer is computed now."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from evaluation.engine.api import Generation, GenerationRequest, Snapshot
from evaluation.engine.handle import RunningGeneration
from evaluation.engine.memory import MemoryPlan, NotEnoughMemoryError, plan_memory
from evaluation.engine.process import WorkerProcess
from evaluation.engine.turns import QUANTUM_S, Turns
from evaluation.host import memory_available_bytes
from evaluation.models import ChatModel
from evaluation.records import FinishReason, Response

CANCEL_PATIENCE_S = 2.0
"""A worker that has not obeyed a cancellation by then hangs, and is killed."""
STALL_S = 180.0
"""A worker that has the turn and has said nothing for so long hangs, too. A step takes seconds; the first one may take
a minute, when weights still come from a slow disk."""


class Engine:
    """Answers requests with local models. Thread-safe; one per server process."""

    def __init__(self, record: Callable[[Response], None] | None = None) -> None:
        """``record`` is given every response that is to be kept, also stopped and failed ones, before its generation is
        done. What it raises becomes the generation's ``save_error``."""
        self._record_response = record
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._workers: dict[str, WorkerProcess] = {}  # by content hash of the base
        self._turns: Turns[RunningGeneration] = Turns()
        self._finished: list[RunningGeneration] = []  # to be recorded once the lock is free
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, request: GenerationRequest) -> Generation:
        """Start or queue an answer. Raises ``RuntimeError`` after ``close``."""
        with self._changing():
            if self._closed.is_set():
                raise RuntimeError("The engine is closed.")
            assert isinstance(request.model, ChatModel), "an endpoint has an engine of its own"
            generation = RunningGeneration(self, next(self._numbers), request, request.model)
            self._turns.add(generation)
        return generation

    def close(self) -> None:
        """Cancel everything and end all worker processes."""
        with self._changing():
            self._closed.set()
            for generation in self._turns.everyone:
                self._finish(generation, "cancelled")
            for worker in list(self._workers.values()):
                self._discard(worker)

    def worker_pids(self) -> dict[str, int]:
        """Process id of every living worker, by content hash of its base model."""
        with self._lock:
            return {key: worker.pid for key, worker in self._workers.items()}

    def ready(self, model: ChatModel) -> bool:
        """Whether a process for its base lives."""
        with self._lock:
            return model.base.sha256 in self._workers

    @property
    def busy(self) -> bool:
        """Whether an answer is being written, or waits for that."""
        with self._lock:
            return bool(self._turns.everyone)

    def release_idle(self) -> None:
        """End the workers nobody uses, so that others have their memory; the next request starts them anew."""
        with self._changing():
            for worker in list(self._workers.values()):
                if not self._users(worker):
                    self._discard(worker)

    # -- what generations ask ------------------------------------------------------------------------------------

    def cancel(self, generation: RunningGeneration) -> None:
        with self._changing():
            worker = generation.worker
            if generation.reason or generation.cancelling:
                return
            if worker and generation.task_sent:
                generation.cancelling = True
                worker.send({"do": "cancel", "id": generation.number})
                watchdog = threading.Timer(CANCEL_PATIENCE_S, self._end_if_deaf, [generation])
                watchdog.daemon = True
                watchdog.start()
                return
            self._finish(generation, "cancelled")
            if worker and worker.state == "loading" and not self._users(worker):
                self._discard(worker)  # loading a large model for nobody would keep the cores busy

    def snapshot(self, generation: RunningGeneration) -> Snapshot:
        with self._lock:
            return generation.describe(self._turns.queue_place(generation))

    def _end_if_deaf(self, generation: RunningGeneration) -> None:
        with self._lock:
            if generation.reason is None and generation.worker:
                generation.worker.kill("The model did not react to Stop, so its process was ended.")

    def _watch(self) -> None:
        """Nobody may have to wait for a worker that hangs."""
        while not self._closed.wait(STALL_S / 10):
            with self._lock:
                holder = self._turns.holder
                if holder and holder.worker and time.monotonic() - holder.heard_at > STALL_S:
                    holder.worker.kill(f"The model did nothing for {STALL_S:.0f} s, so its process was ended.")

    # -- what workers report -------------------------------------------------------------------------------------

    def _on_message(self, worker: WorkerProcess, message: dict[str, Any]) -> None:
        with self._changing():
            generation = next((g for g in self._turns.active if g.number == message.get("id")), None)
            match message["is"]:
                case "started":
                    worker.state = "started"
                case "loaded":
                    worker.state = "ready"
                    for waiting in self._users(worker):
                        waiting.load_s = time.monotonic() - max(worker.spawned_at, waiting.submitted_at)
                case "unusable":
                    for waiting in self._users(worker):
                        self._finish(waiting, "error", message["error"])
                    self._discard(worker)
                case "progress" if generation:
                    generation.update(message)
                case "paused" if generation:
                    self._turns.give_back()
                case "finished" if generation:
                    generation.update(message)
                    self._finish(generation, message["reason"], message["error"])

    def _on_death(self, worker: WorkerProcess) -> None:
        with self._changing():
            worker.state = "dead"
            if self._workers.get(worker.base.sha256) is worker:
                del self._workers[worker.base.sha256]
            reason = worker.last_words()
            for generation in self._users(worker):
                if generation.cancelling:
                    self._finish(generation, "cancelled")
                else:
                    self._finish(generation, "error", f"{reason} Ask again: the model is then started anew.")

    # -- deciding ------------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change the state, decide what happens next, then record what has ended without holding anybody up."""
        with self._lock:
            yield
            self._advance()
            finished, self._finished = self._finished, []
        for generation in finished:
            self._record(generation)

    def _advance(self) -> None:
        """Give the turn to the next answer that can use it; a model being loaded has the turn, too."""
        for generation in self._turns.active:
            generation.shared = generation.shared or self._turns.contended
            if generation.worker is None:
                generation.worker = self._worker_for(generation)
        if any(worker.state == "loading" for worker in self._workers.values()):
            return
        if self._turns.holder is not None:
            if self._turns.contended:
                self._turns.holder.ask_to_yield()
            return
        for generation in self._turns.active:
            worker = generation.worker
            if worker and worker.state == "started":
                if self._load(worker):
                    return
                if generation.reason:  # refused: that made room for others
                    return self._advance()
            elif worker and worker.state == "ready":
                self._turns.give(generation)
                return generation.take_turn(QUANTUM_S if self._turns.contended else None)

    def _worker_for(self, generation: RunningGeneration) -> WorkerProcess:
        base = generation.model.base
        if base.sha256 not in self._workers:
            self._workers[base.sha256] = WorkerProcess(base, self._on_message, self._on_death)
        return self._workers[base.sha256]

    def _load(self, worker: WorkerProcess) -> bool:
        """Start loading if there is memory; False when it has to wait for others' memory, or is refused."""
        users = self._users(worker)
        try:
            worker.plan = plan = self._plan(worker)
        except NotEnoughMemoryError as error:
            if any(w is not worker and w.state == "ready" and self._users(w) for w in self._workers.values()):
                for generation in users:
                    generation.waits_for_memory = True
                return False
            for generation in users:
                self._finish(generation, "error", str(error))
            self._discard(worker)
            return False
        for generation in users:
            generation.waits_for_memory = False
        worker.state = "loading"
        worker.send(
            {
                "do": "load",
                "path": str(worker.base.path),
                "chat_template": worker.base.chat_template,
                "threads": worker.threads,
                "context_tokens": plan.context_tokens,
                "total_tokens": plan.total_tokens,
            }
        )
        return True

    def _plan(self, worker: WorkerProcess) -> MemoryPlan:
        """Fit the model in, letting go of idle models, least recently used first. Raises NotEnoughMemoryError."""
        idle = [w for w in self._workers.values() if w.state == "ready" and not self._users(w)]
        idle.sort(key=lambda w: w.last_used_at, reverse=True)
        while True:
            try:
                return plan_memory(worker.base, memory_available_bytes())
            except NotEnoughMemoryError:
                if not idle:
                    raise
                self._discard(idle.pop())

    def _users(self, worker: WorkerProcess) -> list[RunningGeneration]:
        return [generation for generation in self._turns.everyone if generation.worker is worker]

    def _discard(self, worker: WorkerProcess) -> None:
        """End a worker that nobody uses any more; the next request for its model starts another."""
        del self._workers[worker.base.sha256]
        worker.kill()

    # -- ending --------------------------------------------------------------------------------------------------

    def _finish(self, generation: RunningGeneration, reason: FinishReason, error: str | None = None) -> None:
        generation.ended_at = time.monotonic()
        generation.reason, generation.error = reason, error
        if generation.worker:
            generation.worker.last_used_at = generation.ended_at
        self._turns.remove(generation)
        self._finished.append(generation)

    def _record(self, generation: RunningGeneration) -> None:
        response, save_error = generation.to_response(), None
        if self._record_response and generation.request.keep:
            try:
                self._record_response(response)
            except Exception as error:  # whatever happens to the store, the answer is shown
                save_error = str(error)
        generation.complete(response, save_error)
