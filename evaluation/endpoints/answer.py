"""The answer of an endpoint while it comes: its text, its moments by this machine's clock, what the server counts."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evaluation.records import FinishReason, ServerFigures

if TYPE_CHECKING:
    from huggingface_hub import ChatCompletionStreamOutput

_MS = 1e-3
APART_S = 5e-4
"""What comes sooner after what came before was sent together with it, and is only being read. So of a server that
writes more than 4,000 tokens/s the speed stays unknown."""


class Answer:
    """Fed with the chunks of a stream by one thread, and read by others."""

    def __init__(self) -> None:
        self.started_at: float | None = None
        """``time.monotonic()``, as the others: when the request was sent."""
        self.first_at: float | None = None
        """When the first token came, also one of a thought that is not part of the text."""
        self.last_at: float | None = None
        self.chunks = 0
        """Those with a part of the answer or of a thought."""
        self.arrivals = 0
        """The same, those counted as one that came together."""
        self._arrived_at = 0.0
        self.pieces: list[str] = []
        self.finish: str | None = None
        """Why it ended, as the server calls it; ``None``: it has not."""
        self.refused: tuple[str, ...] = ()
        """Settings that the server does not take."""
        self._usage: Mapping[str, Any] = {}
        self._timings: Mapping[str, Any] = {}

    def begin(self) -> None:
        """The request is sent now."""
        self.started_at = time.monotonic()

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def take(self, chunk: "ChatCompletionStreamOutput") -> None:
        """Take in a chunk. One that is not as it should be raises ``AttributeError`` or ``TypeError``."""
        # By attribute: what the protocol does not know is missing in the copies that a chunk holds by key.
        for name in ("usage", "timings"):
            if isinstance(value := getattr(chunk, name, None), Mapping):
                setattr(self, f"_{name}", value)
        for choice in (chunk.choices or [])[:1]:
            delta: Mapping[str, Any] = choice.delta or {}
            content = delta.get("content")
            if content or delta.get("reasoning") or delta.get("reasoning_content"):
                self._note_arrival(time.monotonic())
            if isinstance(content, str):
                self.pieces.append(content)
            self.finish = choice.finish_reason or self.finish

    def _note_arrival(self, now: float) -> None:
        self.first_at, self.last_at = self.first_at or now, now
        self.chunks += 1
        if now - self._arrived_at >= APART_S:
            self.arrivals, self._arrived_at = self.arrivals + 1, now

    @property
    def finish_reason(self) -> FinishReason | None:
        """``None``: the answer has no end, or one that is a failure."""
        if self.finish in (None, "content_filter", "abort", "error"):
            return None
        return "length" if self.finish == "length" else "stop"

    def server_figures(self) -> ServerFigures:
        """What the server says of its work."""
        usage, timings = self._usage, self._timings
        details = usage.get("prompt_tokens_details")
        cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
        cached = _count(timings.get("cache_n")) if cached is None else cached
        prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        if prompt is None and (read := _count(timings.get("prompt_n"))) is not None:
            prompt = read + (cached or 0)
        return ServerFigures(
            prompt_tokens=prompt,
            completion_tokens=_count(timings.get("predicted_n")) if completion is None else completion,
            cached_tokens=cached,
            prompt_s=_seconds(timings.get("prompt_ms")),
            decode_s=_seconds(timings.get("predicted_ms")),
            refused_settings=self.refused,
            arrivals=self.arrivals,
        )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**53 else None


def _seconds(milliseconds: Any) -> float | None:
    fine = isinstance(milliseconds, int | float) and 0 <= milliseconds < 1e12
    return round(milliseconds * _MS, 6) if fine else None
