"""Sees to it that strangers keep the limits: who has asked for how much lately, and how many wait.

Nothing of this is stored. A visitor is a hash that means nothing to any other process, and the clock is one that only
goes forward, so that setting the machine's time locks nobody out and lets nobody in.
"""

import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

from dashboard.public.limits import Limits
from evaluation.engine.api import Generation
from evaluation.leaderboard.wording import counted

HOUR_S = 3600.0


class Refused(Exception):
    """Nobody is asked; the message says why, and when or how it can be done, in sentences."""


class Guard:
    """One per server process. All methods may be called from any thread."""

    def __init__(self, limits: Limits, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock_s = clock_s
        self._salt = secrets.token_bytes(16)
        self._lock = threading.RLock()
        self._asked_at: dict[str, deque[float]] = {}
        """By visitor, the answers of the last hour, oldest first."""
        self._unfinished: dict[str, list[Generation]] = {}

    def visitor(self, address: str) -> str:
        """Stands for an address."""
        return blake2b(address.encode(), key=self._salt, digest_size=16).hexdigest()

    @contextmanager
    def asking(self, visitor: str, answers: int, characters: int) -> Iterator[Callable[[Generation], None]]:
        """Allow so many answers to a prompt of so many characters, and note each that is given to what this yields.

        Raises ``Refused``, when nothing may be asked. Others wait meanwhile, so that all limits hold exactly.
        """
        with self._lock:
            self._forget()
            self._check(visitor, answers, characters)

            def note(generation: Generation) -> None:
                self._asked_at.setdefault(visitor, deque()).append(self._clock_s())
                self._unfinished.setdefault(visitor, []).append(generation)

            yield note

    def left(self, visitor: str) -> int:
        """Answers that the visitor may ask for at this moment, as far as the hour goes."""
        with self._lock:
            self._forget()
            return self.limits.answers_per_hour - len(self._asked_at.get(visitor, ()))

    def _check(self, visitor: str, answers: int, characters: int) -> None:
        limits, asked_at = self.limits, self._asked_at.get(visitor, deque())
        if characters > limits.prompt_characters:
            raise Refused(
                f"That is {characters:,} characters, and a prompt may have {limits.prompt_characters:,} here. Make it "
                "shorter."
            )
        left = limits.answers_per_hour - len(asked_at)
        if answers > left:
            free_at = asked_at[answers - left - 1] + HOUR_S if answers <= limits.answers_per_hour else math.inf
            raise Refused(self._hour_is_full(answers, left, free_at - self._clock_s()))
        at_once = len(self._unfinished.get(visitor, ()))
        if at_once + answers > limits.answers_at_once:
            raise Refused(
                f"You have {counted(at_once, 'answer')} under way and ask for {answers} more; one visitor may have "
                f"{limits.answers_at_once} at once. Wait for the others, or stop them."
            )
        waiting = sum(each.snapshot().state == "queued" for mine in self._unfinished.values() for each in mine)
        if waiting and waiting + answers > limits.queue:
            are = "answer is" if waiting == 1 else "answers are"
            raise Refused(f"The queue is full: {waiting} {are} waiting. Ask again in a minute.")

    def _hour_is_full(self, answers: int, left: int, wait_s: float) -> str:
        said = f"One visitor may ask for {counted(self.limits.answers_per_hour, 'answer')} an hour"
        rest = f"{left} of yours {'is' if left == 1 else 'are'} left" if left else "you have used yours up"
        if math.isinf(wait_s):
            return f"{said}, and this asks for {answers}. Choose fewer panes."
        fewer = " Ask fewer panes, or ask" if left else " Ask"
        return f"{said}, and {rest}.{fewer} again in {counted(math.ceil(wait_s / 60), 'minute')}."

    def _forget(self) -> None:
        """What is an hour old counts no more, nor does what is done; of a visitor without either nothing is kept."""
        since = self._clock_s() - HOUR_S
        for visitor, asked_at in list(self._asked_at.items()):
            while asked_at and asked_at[0] <= since:
                asked_at.popleft()
            if not asked_at:
                del self._asked_at[visitor]
        for visitor, generations in list(self._unfinished.items()):
            left = [each for each in generations if each.snapshot().state != "done"]
            if left:
                self._unfinished[visitor] = left
            else:
                del self._unfinished[visitor]
