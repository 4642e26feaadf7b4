"""How far a download is, how fast it goes, and the way to stop it from another thread."""

import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

WINDOW_S = 5.0
"""The speed is that of so many last seconds."""


class Cancelled(Exception):
    """Somebody does not want it any more."""


class Progress:
    """Of one download; written by its thread, read and cancelled by others."""

    def __init__(self, done_bytes: int = 0) -> None:
        self.done_bytes = done_bytes
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._samples: deque[tuple[float, int]] = deque()
        """Monotonic s and bytes."""

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        """What the thread waits for, a connection among it, ends at once."""
        with self._lock:
            self._stop.set()
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raises ``Cancelled``."""
        if self._stop.is_set():
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Raises ``Cancelled``."""
        if self._stop.wait(seconds):
            raise Cancelled

    @contextmanager
    def reading(self, response: httpx.Response) -> Iterator[None]:
        """``cancel`` ends the response meanwhile."""
        with self._lock:
            self.check()
            self._socket = response.extensions["network_stream"].get_extra_info("socket")
        try:
            yield
        finally:
            with self._lock:
                self._socket = None

    def at(self, done_bytes: int) -> None:
        """So much is there now."""
        with self._lock:
            now = time.monotonic()
            self.done_bytes = done_bytes
            if self._samples and done_bytes < self._samples[-1][1]:  # it starts over
                self._samples.clear()
            self._samples.append((now, done_bytes))
            while self._samples[0][0] < now - WINDOW_S and len(self._samples) > 2:
                self._samples.popleft()

    def speed_bytes_s(self) -> float | None:
        """Over the last seconds; ``None`` while too little is known."""
        with self._lock:
            if len(self._samples) < 2:
                return None
            first, last = self._samples[0], self._samples[-1]
            waited_s = max(time.monotonic(), last[0]) - first[0]
            return (last[1] - first[1]) / waited_s if waited_s > 0.2 else None
