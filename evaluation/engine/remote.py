"""Answers of endpoints: the protocol of the engine, carried out by a server somewhere else."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ulid import ULID

from evaluation.endpoints import EndpointModel
from evaluation.endpoints.answer import Answer
from evaluation.engine.api import Generation, GenerationRequest, Snapshot, State
from evaluation.records import FinishReason, Response
from evaluation.text_figures import text_figures

STALL_S = 60.0
"""A server that has sent nothing for so long is given up."""
CLOSE_S = 2.0
"""How long closing waits for the last records."""


class EndpointEngine:
    """Asks endpoints, every answer in a thread of its own. Thread-safe."""

    def __init__(self, record: Callable[[Response], None] | None = None, stall_s: float = STALL_S) -> None:
        """``record`` as in ``Engine``."""
        self._record, self._stall_s = record, stall_s
        self._lock = threading.Lock()
        self._running: set[RemoteGeneration] = set()
        self._reached: set[str] = set()  # keys of models that answered last time
        self._refused: dict[str, set[str]] = {}  # settings that a server does not take, by key of the model
        self._closed = False

    def submit(self, request: GenerationRequest) -> Generation:
        """Start an answer. Raises ``RuntimeError`` after ``close``."""
        with self._lock:
            if self._closed:
                raise RuntimeError("The engine is closed.")
            generation = RemoteGeneration(request, self._stall_s, self._refused, self._finish)
            self._running.add(generation)
        generation.start()
        return generation

    def ready(self, model: EndpointModel) -> bool:
        """Whether its server did what it was asked last time, be it to say that a prompt is too long."""
        with self._lock:
            return model.key in self._reached

    @property
    def busy(self) -> bool:
        """Whether an answer is being waited for."""
        with self._lock:
            return bool(self._running)

    def close(self) -> None:
        """Cancel everything; what there is gets recorded."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for generation in running:
            generation.cancel()
        end = time.monotonic() + CLOSE_S
        for generation in running:
            with suppress(TimeoutError):
                generation.wait(max(0.0, end - time.monotonic()))

    def _finish(self, generation: "RemoteGeneration", response: Response) -> str | None:
        """Record the response; why that was not possible."""
        save_error = None
        if self._record and generation.request.keep:
            try:
                self._record(response)
            except Exception as error:  # whatever happens to the store, the answer is shown
                save_error = str(error)
        with self._lock:
            self._running.discard(generation)
            if response.finish_reason == "error":
                self._reached.discard(response.model.key)
            elif response.finish_reason != "cancelled":
                self._reached.add(response.model.key)
        return save_error


class RemoteGeneration:
    """One answer of an endpoint; see ``api.Generation``."""

    def __init__(
        self,
        request: GenerationRequest,
        stall_s: float,
        refused: dict[str, set[str]],
        finish: Callable[["RemoteGeneration", Response], str | None],
    ) -> None:
        """``refused``: settings that servers do not take, by key of the model; added to."""
        assert isinstance(request.model, EndpointModel)
        self._request, self._model, self._endpoint = request, request.model, request.model.endpoint
        self._stall_s, self._refused, self._finish = stall_s, refused, finish
        self._answer = Answer()
        self._submitted_at = time.monotonic()
        self._response: Response | None = None
        self._save_error: str | None = None
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._cancelling = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asking: asyncio.Task[tuple[FinishReason, str | None]] | None = None

    def start(self) -> None:
        """Begin; to be called once."""
        threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True).start()

    # -- for the caller --------------------------------------------------------------------------------------------

    @property
    def request(self) -> GenerationRequest:
        return self._request

    def snapshot(self) -> Snapshot:
        done = self._done.is_set()
        return Snapshot(
            state="done" if done else self._state(),
            text=self._answer.text,
            detail=None if done else f"Waiting for the endpoint {self._endpoint.name}.",
            response=self._response if done else None,
            save_error=self._save_error,
        )

    def cancel(self) -> None:
        with self._lock:
            self._cancelling = True
            if self._loop and self._asking:
                with suppress(RuntimeError):  # it has just ended
                    self._loop.call_soon_threadsafe(self._asking.cancel)

    def wait(self, timeout_s: float | None = None) -> Response:
        if not self._done.wait(timeout_s) or self._response is None:
            raise TimeoutError(f"no answer within {timeout_s} s")
        return self._response

    # -- in its thread ---------------------------------------------------------------------------------------------

    def _state(self) -> State:
        if self._answer.pieces:
            return "writing"
        return "reading" if self._answer.started_at else "waiting"

    async def _run(self) -> None:
        with self._lock:
            self._loop, self._asking = asyncio.get_running_loop(), asyncio.create_task(self._ask())
            if self._cancelling:
                self._asking.cancel()
        reason: FinishReason
        try:
            reason, error = await self._asking
        except asyncio.CancelledError:
            reason, error = "cancelled", None
        except Exception as fault:  # as when a library can't be loaded: without an end, the answer would hang for ever
            name, reason = self._endpoint.name, "error"
            error = f"The endpoint {name} could not be asked, because of a fault here ({type(fault).__name__})."
        response = self._to_response(reason, error)
        self._save_error = self._finish(self, response)
        self._response = response
        self._done.set()

    async def _ask(self) -> tuple[FinishReason, str | None]:
        from evaluation.endpoints.outcome import outcome  # half a second; a worker and most installations need it never

        self._submitted_at = time.monotonic()  # that half second is not the endpoint's
        request, refused = self._request, self._refused.setdefault(self._model.key, set())
        benchmark = request.origin == "benchmark"
        return await outcome(
            self._endpoint, request.messages, request.sampling, benchmark, refused, self._stall_s, self._answer
        )

    def _to_response(self, reason: FinishReason, error: str | None) -> Response:
        """The record. Monotonic times become UTC times by one common offset."""
        answer, request = self._answer, self._request
        offset = time.time() - time.monotonic()

        def utc(moment: float | None) -> float | None:
            return None if moment is None else round(moment + offset, 6)

        prompt_s = decode_s = None
        if answer.started_at is not None and answer.first_at is not None and answer.last_at is not None:
            prompt_s, decode_s = answer.first_at - answer.started_at, answer.last_at - answer.first_at
        server, text = answer.server_figures(), answer.text
        return Response(
            id=str(ULID()),
            origin=request.origin,
            host=self._model.host,
            model=self._model.ref,
            messages=request.messages,
            sampling=request.sampling,
            template_date=None,
            text=text,
            finish_reason=reason,
            error=error,
            submitted_at=round(self._submitted_at + offset, 6),
            started_at=utc(answer.started_at),
            first_token_at=utc(answer.first_at),
            ended_at=round(time.time(), 6),
            prompt_busy_s=prompt_s,
            decode_busy_s=decode_s,
            prompt_tokens=server.prompt_tokens,
            cached_tokens=server.cached_tokens,
            completion_tokens=server.completion_tokens,
            place=request.place,
            text_figures=text_figures(text),
            server=server,
        )
