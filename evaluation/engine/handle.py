"""The state of one submitted request, and the handle its caller holds."""

import threading
import time
from typing import TYPE_CHECKING, Any

from ulid import ULID

from evaluation.engine.api import GenerationRequest, Snapshot, State
from evaluation.engine.memory import gigabytes
from evaluation.engine.process import WorkerProcess
from evaluation.engine.wire import Progress, Task
from evaluation.host import host
from evaluation.models import ChatModel
from evaluation.records import FinishReason, Response
from evaluation.text_figures import text_figures

if TYPE_CHECKING:
    from evaluation.engine.engine import Engine


class RunningGeneration:
    """See ``api.Generation`` for the public part. The engine changes the rest, under its lock."""

    def __init__(self, engine: "Engine", number: int, request: GenerationRequest, model: ChatModel) -> None:
        self._engine, self._request, self.number, self.model = engine, request, number, model
        self._done = threading.Event()
        self._response: Response | None = None
        self._save_error: str | None = None
        self.submitted_at = time.monotonic()
        self.ended_at: float | None = None
        self.heard_at = self.submitted_at
        """When it got the turn or its worker last reported on it."""
        self.worker: WorkerProcess | None = None
        self.waits_for_memory = False
        self.task_sent = False
        self.cancelling = False
        self.shared = False
        self.load_s: float | None = None
        self.reason: FinishReason | None = None
        self.error: str | None = None
        self._texts: list[str] = []
        self._progress = Progress()
        self._peak_memory_bytes: int | None = None
        self._open_ended_turn = False

    # -- for the caller --------------------------------------------------------------------------------------------

    @property
    def request(self) -> GenerationRequest:
        return self._request

    def snapshot(self) -> Snapshot:
        return self._engine.snapshot(self)

    def cancel(self) -> None:
        self._engine.cancel(self)

    def wait(self, timeout_s: float | None = None) -> Response:
        if not self._done.wait(timeout_s) or self._response is None:
            raise TimeoutError(f"no answer within {timeout_s} s")
        return self._response

    # -- for the engine --------------------------------------------------------------------------------------------

    def take_turn(self, quantum_s: float | None) -> None:
        """Let the worker compute; without a quantum until it is asked to yield."""
        assert self.worker
        message: dict[str, Any] = {"do": "turn", "id": self.number, "quantum_s": quantum_s}
        if not self.task_sent:
            message["task"] = self._task().to_json()
            self.task_sent = True
        self._open_ended_turn = quantum_s is None
        self.heard_at = time.monotonic()
        self.worker.send(message)

    def ask_to_yield(self) -> None:
        if self._open_ended_turn and self.worker:
            self._open_ended_turn = False
            self.worker.send({"do": "yield"})

    def update(self, message: dict[str, Any]) -> None:
        """Take in what the worker reports."""
        self.heard_at = time.monotonic()
        self._texts.append(message["text"])
        self._progress = Progress(**message["progress"])
        self._peak_memory_bytes = message.get("peak_memory_bytes")

    def complete(self, response: Response, save_error: str | None) -> None:
        self._response, self._save_error = response, save_error
        self._done.set()

    def _task(self) -> Task:
        request, model = self._request, self.model
        adapter, place = model.adapter, request.place
        return Task(
            id=self.number,
            messages=request.messages,
            sampling=request.sampling,
            template_date=request.template_date,
            adapter=(str(adapter.path), model.adapter_scale) if adapter else None,
            owner=f"{place.conversation}/{place.pane}" if place else None,
        )

    def describe(self, queue_place: int | None) -> Snapshot:
        return Snapshot(
            state=self._state(queue_place),
            text="".join(self._texts),
            queue_place=queue_place,
            detail=self._detail(),
            prompt_tokens=self._progress.prompt_tokens,
            prompt_tokens_read=self._progress.prompt_tokens_read,
            completion_tokens=self._progress.completion_tokens,
            response=self._response,
            save_error=self._save_error,
        )

    def _state(self, queue_place: int | None) -> State:
        if self._done.is_set():
            return "done"
        if queue_place is not None:
            return "queued"
        if self.worker is None or self.worker.state != "ready":
            return "waiting" if self.waits_for_memory else "loading"
        if self._progress.completion_tokens:
            return "writing"
        return "reading" if self._progress.prompt_tokens else "waiting"

    def _detail(self) -> str | None:
        base = self.model.base
        if self.waits_for_memory:
            return f"Waiting until there is memory for {base.name} ({gigabytes(base.size_bytes)})."
        if self.worker and self.worker.state in ("starting", "started"):
            return f"Starting a process for {base.name}."
        if self.worker and self.worker.state == "loading":
            return f"Loading {base.name} ({gigabytes(base.size_bytes)})."
        return None

    def to_response(self) -> Response:
        """The record of this answer. Monotonic times become UTC times by one common offset."""
        assert self.reason and self.ended_at is not None
        progress, request, worker = self._progress, self._request, self.worker
        offset = time.time() - time.monotonic()

        def utc(moment: float | None) -> float | None:
            return None if moment is None else round(moment + offset, 6)

        answered = progress.first_token_at is not None
        text = "".join(self._texts)
        return Response(
            id=str(ULID()),
            origin=request.origin,
            host=host(),
            model=request.model.ref,
            messages=request.messages,
            sampling=request.sampling,
            template_date=request.template_date.isoformat(),
            text=text,
            finish_reason=self.reason,
            error=self.error,
            submitted_at=round(self.submitted_at + offset, 6),
            started_at=utc(progress.started_at),
            first_token_at=utc(progress.first_token_at),
            ended_at=round(self.ended_at + offset, 6),
            prompt_busy_s=progress.prompt_busy_s if answered else None,
            decode_busy_s=progress.decode_busy_s if answered else None,
            load_s=self.load_s,
            prompt_tokens=progress.prompt_tokens,
            cached_tokens=progress.cached_tokens,
            completion_tokens=progress.completion_tokens,
            shared=self.shared,
            threads=worker.threads if worker and answered else None,
            context_length=worker.plan.context_tokens if worker and worker.plan else None,
            peak_memory_bytes=self._peak_memory_bytes,
            place=request.place,
            text_figures=text_figures(text),
        )
