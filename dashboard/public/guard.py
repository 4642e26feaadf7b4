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
        self._all_asked_at: deque[float] = deque()
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
                for asked_at in (self._asked_at.setdefault(visitor, deque()), self._all_asked_at):
                    asked_at.append(self._clock_s())
                self._unfinished.setdefault(visitor, []).append(generation)

            yield note

    def left(self, visitor: str) -> int:
        """Answers that the visitor may ask for at this moment, as far as the hour goes."""
        with self._lock:
            self._forget()
            return self.limits.answers_per_hour - len(self._asked_at.get(visitor, ()))

    def _check(self, visitor: str, answers: int, characters: int) -> None:
        limits = self.limits
        if characters > limits.prompt_characters:
            raise Refused(
                f"That is {characters:,} characters, and a prompt may have {limits.prompt_characters:,} here. Make it "
                "shorter."
            )
        self._check_hour("One visitor", limits.answers_per_hour, self._asked_at.get(visitor, deque()), answers)
        at_once = len(self._unfinished.get(visitor, ()))
        if at_once + answers > limits.answers_at_once:
            raise Refused(
                f"You have {counted(at_once, 'answer')} under way and ask for {answers} more; one visitor may have "
                f"{limits.answers_at_once} at once. Wait for the others, or stop them."
            )
        under_way = sum(map(len, self._unfinished.values()))
        if under_way and under_way + answers > limits.queue:
            are = "answer is" if under_way == 1 else "answers are"
            raise Refused(f"The queue is full: {under_way} {are} under way. Ask again in a minute.")
        self._check_hour("All visitors together", limits.answers_per_hour_in_all, self._all_asked_at, answers)

    def _check_hour(self, who: str, limit: int, asked_at: deque[float], answers: int) -> None:
        left = limit - len(asked_at)
        if answers <= left:
            return
        said = f"{who} may ask for {counted(limit, 'answer')} an hour"
        if answers > limit:
            raise Refused(f"{said}, and this asks for {answers}. Choose fewer panes.")
        rest = f"{left} {'is' if left == 1 else 'are'} left" if left else "they are used up"
        wait_s = asked_at[answers - left - 1] + HOUR_S - self._clock_s()
        fewer = " Ask fewer panes, or ask" if left else " Ask"
        raise Refused(f"{said}, and {rest}.{fewer} again in {counted(math.ceil(wait_s / 60), 'minute')}.")

    def _forget(self) -> None:
        """What is an hour old counts no more, nor does what is done; of a visitor without either nothing is kept."""
        since = self._clock_s() - HOUR_S
        for asked_at in (self._all_asked_at, *self._asked_at.values()):
            while asked_at and asked_at[0] <= since:
                asked_at.popleft()
        self._asked_at = {visitor: asked_at for visitor, asked_at in self._asked_at.items() if asked_at}
        for visitor, generations in list(self._unfinished.items()):
            self._unfinished[visitor] = [each for each in generations if each.snapshot().state != "done"]
        self._unfinished = {visitor: left for visitor, left in self._unfinished.items() if left}
