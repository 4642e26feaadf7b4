"""A scripted stand-in for the engine: the same public door, answers that follow a script and the clock."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ulid import ULID

from evaluation.engine.api import GenerationRequest, Snapshot
from evaluation.models import Adapter, ChatModel, GgufInfo
from evaluation.records import FinishReason, Host, Response

HOST = Host("host-key", "Test CPU", 2.0, 8 * 2**30, "Linux", "scripted engine")
TEXT = "The sky is blue because air scatters short wavelengths of sunlight more than long ones."


def chat_model(
    name: str, adapter_run: str | None = None, finished_at: float | None = None, size_bytes: int = 98_000_000
) -> ChatModel:
    """A model that exists on paper only; base and fine-tune of the same name share their base."""
    base = GgufInfo(
        path=Path(f"{name}.gguf"),
        sha256=f"sha-of-{name}",
        name=name,
        architecture="llama",
        quantization="Q4_1",
        parameters=135_000_000,
        size_bytes=size_bytes,
        context_length=2048,
        license="apache-2.0",
        chat_template="{{ messages }}",
        kv_bytes_per_token=1024,
    )
    adapter = None
    if adapter_run:
        adapter = Adapter(Path("adapter.gguf"), f"sha-of-{adapter_run}", adapter_run, 9_800_000, finished_at)
    key = f"{name}-{adapter_run}" if adapter_run else name
    return ChatModel(
        key=key.lower().replace(" ", "-"),
        name=f"{name} + {adapter_run}" if adapter_run else name,
        base=base,
        adapter=adapter,
    )


@dataclass(frozen=True)
class Script:
    """How a model behaves."""

    text: str = TEXT
    tokens_per_s: float = float("inf")
    """A token is a word here; 0 writes nothing until it is cancelled."""
    queued_s: float = 0.0
    loading_s: float = 0.0
    reading_s: float = 0.0
    error: str | None = None
    """The answer ends with this sentence instead of its last word."""
    save_error: str | None = None


@dataclass
class FakeGeneration:
    """Follows its script by the clock; a thread is not needed."""

    request: GenerationRequest
    script: Script
    record: Callable[[Response], None]
    submitted_at: float = field(default_factory=time.time)
    response: Response | None = None
    cancelled_at: float | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def snapshot(self) -> Snapshot:
        with self.lock:
            now = time.time()
            phases = (self.script.queued_s, self.script.loading_s, self.script.reading_s)
            starts = [self.submitted_at + sum(phases[:n]) for n in range(4)]
            words = self._words(now - starts[3])
            complete = len(words) == len(self.script.text.split(" "))
            if self.response is None and (complete or self.cancelled_at is not None):
                self._end(starts, words)
            if self.response is not None:
                return Snapshot(
                    "done",
                    text=self.response.text,
                    prompt_tokens=self.response.prompt_tokens,
                    completion_tokens=self.response.completion_tokens,
                    response=self.response,
                    save_error=self.script.save_error,
                )
            if now < starts[1]:
                return Snapshot("queued", queue_place=3)
            if now < starts[2]:
                return Snapshot("loading", detail=f"Loading {self.request.model.name}, 98 MB.")
            if now < starts[3]:
                done = (now - starts[2]) / self.script.reading_s
                return Snapshot("reading", prompt_tokens=2000, prompt_tokens_read=int(2000 * done))
            return Snapshot("writing", text=" ".join(words), completion_tokens=len(words))

    def _words(self, elapsed_s: float) -> list[str]:
        # The script's own spacing is kept, so that Markdown stays Markdown.
        words = self.script.text.split(" ")
        if elapsed_s <= 0:
            return []
        written = elapsed_s * self.script.tokens_per_s
        return words if written >= len(words) else words[: int(written)]

    def _end(self, starts: list[float], words: list[str]) -> None:
        reason: FinishReason = "stop"
        if self.cancelled_at is not None:
            reason = "cancelled"
        elif self.script.error is not None:
            reason, words = "error", words[:-1]
        ended_at = time.time()
        self.response = Response(
            id=str(ULID()),
            origin=self.request.origin,
            host=getattr(self.request.model, "host", HOST),
            model=self.request.model.ref,
            messages=self.request.messages,
            sampling=self.request.sampling,
            template_date=self.request.template_date.isoformat(),
            text=" ".join(words),
            finish_reason=reason,
            submitted_at=self.submitted_at,
            ended_at=ended_at,
            error=self.script.error if reason == "error" else None,
            started_at=starts[2],
            first_token_at=starts[3] if words else None,
            prompt_busy_s=0.25 if words else None,
            decode_busy_s=max(ended_at - starts[3], 0.1) if words else None,
            prompt_tokens=45,
            cached_tokens=32,
            completion_tokens=len(words),
            place=self.request.place,
        )
        if self.script.save_error is None and self.request.keep:
            self.record(self.response)

    def cancel(self) -> None:
        with self.lock:
            if self.response is None and self.cancelled_at is None:
                self.cancelled_at = time.time()
                self.snapshot()

    def wait(self, timeout_s: float | None = None) -> Response:
        deadline = time.monotonic() + (timeout_s if timeout_s is not None else float("inf"))
        while self.snapshot().response is None:
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.01)
        assert self.response is not None
        return self.response


class FakeEngine:
    """Remembers what it was asked; ``scripts`` says how each model, by its key, behaves."""

    def __init__(self, record: Callable[[Response], None] = lambda response: None, **scripts: Script) -> None:
        self.record = record
        self.scripts: dict[str, Script] = scripts
        self.generations: list[FakeGeneration] = []
        self.released = False
        """Whether idle models gave their memory back."""

    def submit(self, request: GenerationRequest) -> FakeGeneration:
        script = self.scripts.get(request.model.key, self.scripts.get("default", Script()))
        generation = FakeGeneration(request, script, self.record)
        self.generations.append(generation)
        return generation

    @property
    def busy(self) -> bool:
        return any(generation.snapshot().state != "done" for generation in self.generations)

    def release_idle(self) -> None:
        self.released = True

    @property
    def requests(self) -> list[GenerationRequest]:
        return [generation.request for generation in self.generations]

    def close(self) -> None:
        for generation in self.generations:
            generation.cancel()
