"""Who computes now: at any moment one answer does, so that busy time is an answer's own and cores are not fought for.

Up to ``ACTIVE`` answers take turns, the panes of one arena among them; others queue in the order they came.
"""

from collections import deque
from typing import Generic, TypeVar

ACTIVE = 4
QUANTUM_S = 0.2
"""Length of a turn when others are waiting: short enough that panes seem to write at once."""

T = TypeVar("T")


class Turns(Generic[T]):
    """Bookkeeping only: the caller acts on it and holds a lock around every call."""

    def __init__(self) -> None:
        self._queue: deque[T] = deque()
        self._active: deque[T] = deque()  # next in turn first
        self.holder: T | None = None

    def add(self, item: T) -> None:
        self._queue.append(item)
        self._admit()

    def remove(self, item: T) -> None:
        """Take a finished or cancelled item out, wherever it stands."""
        for place in (self._queue, self._active):
            if item in place:
                place.remove(item)
        if self.holder is item:
            self.holder = None
        self._admit()

    def queue_place(self, item: T) -> int | None:
        """1 = next to be admitted; None when admitted already."""
        return self._queue.index(item) + 1 if item in self._queue else None

    @property
    def active(self) -> tuple[T, ...]:
        """Admitted items, next in turn first."""
        return tuple(self._active)

    @property
    def everyone(self) -> tuple[T, ...]:
        return tuple(self._active) + tuple(self._queue)

    @property
    def contended(self) -> bool:
        return len(self._active) > 1

    def give(self, item: T) -> None:
        """Give the turn to an active item; it moves to the end of the round."""
        assert self.holder is None and item in self._active
        self._active.remove(item)
        self._active.append(item)
        self.holder = item

    def give_back(self) -> None:
        self.holder = None

    def _admit(self) -> None:
        while self._queue and len(self._active) < ACTIVE:
            self._active.append(self._queue.popleft())
