"""What the engine and its worker processes say to each other: one JSON object per line over a socket."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from evaluation.records import Message, Sampling


@dataclass(frozen=True)
class Task:
    """One answer to write, as the worker sees it."""

    id: int
    messages: tuple[Message, ...]
    sampling: Sampling
    template_date: date
    adapter: tuple[str, float] | None
    """Path and scale."""
    owner: str | None
    """Whose KV cache to continue: a conversation's pane; None for an answer that starts afresh."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"template_date": self.template_date.isoformat()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Task":
        sampling = Sampling(**data["sampling"] | {"stop": tuple(data["sampling"]["stop"])})
        return cls(
            id=data["id"],
            messages=tuple(Message(**message) for message in data["messages"]),
            sampling=sampling,
            template_date=date.fromisoformat(data["template_date"]),
            adapter=tuple(data["adapter"]) if data["adapter"] else None,
            owner=data["owner"],
        )


@dataclass
class Progress:
    """Counts and times of an answer so far; times are ``time.monotonic()`` seconds, the same clock in all processes."""

    prompt_tokens: int | None = None
    prompt_tokens_read: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int = 0
    started_at: float | None = None
    first_token_at: float | None = None
    prompt_busy_s: float = 0.0
    decode_busy_s: float = 0.0


class Channel:
    """A socket that carries JSON objects. Sending is safe from any thread, receiving from one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Raises ``OSError`` when the other side is gone."""
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            self._connection.sendall(data)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Messages until the other side is gone."""
        with self._connection.makefile("rb") as lines:
            try:
                for line in lines:
                    if line.endswith(b"\n"):  # else the sender died while writing
                        yield json.loads(line)
            except OSError:
                return

    def close(self) -> None:
        self._connection.close()
