"""Being asked to stop: by Ctrl-C, or by the page's Cancel (SIGTERM)."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """By the user."""


class StopRequest:
    """While it is entered, both signals only set ``asked``; a second one raises ``KeyboardInterrupt`` at once."""

    def __init__(self) -> None:
        self.asked = False
        self._interruptible = False

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """In this block, which waits and changes nothing, the first signal already raises."""
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        at_once = self.asked or self._interruptible
        self.asked = True
        if at_once:
            raise KeyboardInterrupt
