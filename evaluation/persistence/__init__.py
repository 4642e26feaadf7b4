"""Records outlive a machine whose disk does not: they go to a data set of the hub and come back at the start.

    persistence = Persistence(results_dir, "user/arena-results")
    persistence.restore()                     # before the first record is read
    store = ResponseStore(folder, lock=persistence.lock)
    persistence.start()
    persistence.close()                       # pushes what is left

A record is on the disk before anybody is told that it is saved, and on the hub some seconds later. Whatever the hub
does, the records on the disk stay and are tried again. A process that is told to end (SIGTERM) pushes what it has; one
that is killed (SIGKILL) loses what it wrote since its last push, if its disk is gone, too.

``results/README.md`` describes the data set.
"""

import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from evaluation.persistence.faults import fault_sentence, retry_after_s
from evaluation.persistence.files import KeptFiles
from evaluation.persistence.scheduler import RecordScheduler

__all__ = ["Kept", "Persistence"]

RESTORE_PATIENCE_S = 20.0
"""So long the first visitor waits for the earlier records; when there are many, the rest comes while the app runs."""
PUSH_DELAY_S = 3.0
"""From a record to its push, so that the answers of one round share a commit."""
COMMITS_AT_ONCE, COMMITS_PER_HOUR = 10, 45
"""The hub takes some 128 commits an hour, and two Spaces may share a data set: after a few at will, one every 80 s."""
LAST_PUSH_S = 8.0
"""A process that must end waits no longer for the hub: it would be killed."""


@dataclass(frozen=True)
class Kept:
    """How well the records are kept at the moment."""

    dataset: str
    unsaved: int
    """Records that are on this machine's disk only."""
    pushed_at: float | None
    """Last success, UTC s since 1970; ``None`` when this process has not pushed yet."""
    fault: str | None
    """What went wrong last and what to do, as a sentence; ``None`` when nothing did."""
    notice: str | None = None
    """What an owner should know although nothing is wrong now, as a sentence."""


class Persistence:
    """Of one process. Thread-safe."""

    def __init__(self, results_dir: Path, dataset: str) -> None:
        self._dataset = dataset
        self._asked, self._started, self._tried, self._closing, self._closed = (threading.Event() for _ in range(5))
        self._lock = _RecordLock(self._asked)
        self._files = KeptFiles(results_dir)
        self._scheduler: RecordScheduler | None = None
        self._budget = _Budget()
        self._failures = 0
        self._pushed_at: float | None = None
        self._fault: str | None = None
        # Not one of a pool's: Python waits for those when it ends, however long the hub keeps them.
        self._thread = threading.Thread(target=self._work, name="persistence", daemon=True)

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Held while a record is written, so that no half line is pushed. Its release asks for a push."""
        return self._lock

    def restore(self) -> None:
        """Bring back the records of all earlier processes. Never raises because of the hub; see ``state``.

        Returns when they are here, or when they will come later: the hub does not answer, or there are many.
        """
        self._thread.start()
        self._tried.wait(RESTORE_PATIENCE_S)

    def start(self) -> None:
        """Push what is new from now on, in the background; after ``restore``."""
        self._started.set()
        self._asked.set()

    def close(self) -> None:
        """Push what is left, for at most ``LAST_PUSH_S``, and stop."""
        self._closing.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join(LAST_PUSH_S)
        self._closed.set()
        if self._scheduler:
            self._scheduler.stop()

    def state(self) -> Kept:
        """Looks at the files of records, which takes some milliseconds."""
        notice = self._scheduler.notice if self._scheduler else None
        if self._fault is None and not (self._scheduler and self._scheduler.restored):
            notice = f"Earlier records are still being fetched from the data set {self._dataset}."
        return Kept(self._dataset, self._files.unsaved(), self._pushed_at, self._fault, notice)

    def _work(self) -> None:
        while not self._closing.is_set():
            pause_s = self._try()
            self._tried.set()
            if pause_s:
                self._closing.wait(pause_s)
            else:
                self._asked.wait()
                self._closing.wait(PUSH_DELAY_S)
                self._closing.wait(self._budget.wait_s())
        if self._try() and not self._closed.wait(1):
            self._try()

    def _try(self) -> float:
        """Whatever is to be done; seconds until it should be tried again, 0 when all is well."""
        self._asked.clear()
        faults = []
        for step in (self._bring_back, self._push):  # what cannot be fetched keeps nothing from being pushed
            try:
                step()
            except Exception as error:  # of any kind: this thread must not die, and later it may work
                faults.append(error)
        self._failures = self._failures + 1 if faults else 0
        self._fault = fault_sentence(faults[0], self._dataset) if faults else None
        return retry_after_s(faults[0], self._failures) if faults else 0.0

    def _bring_back(self) -> None:
        if self._scheduler is None:
            self._scheduler = RecordScheduler(
                self._dataset, self._files, self._lock.plain, self._closing, self._asked.set, self._committed
            )
        if not self._scheduler.restored:
            self._scheduler.restore()

    def _push(self) -> None:
        if self._scheduler and self._started.is_set():
            self._scheduler.push_to_hub()

    def _committed(self) -> None:
        self._budget.spend()
        self._pushed_at = time.time()


class _RecordLock(AbstractContextManager[None]):
    def __init__(self, written: threading.Event) -> None:
        self.plain = threading.Lock()
        self._written = written

    def __enter__(self) -> None:
        self.plain.acquire()

    def __exit__(self, *error: object) -> None:
        self.plain.release()
        self._written.set()


class _Budget:
    """Of commits. By a clock that nobody sets."""

    def __init__(self) -> None:
        self._left, self._at_s = float(COMMITS_AT_ONCE), time.monotonic()

    def wait_s(self) -> float:
        """Until the next commit."""
        now_s = time.monotonic()
        earned = (now_s - self._at_s) * COMMITS_PER_HOUR / 3600
        self._left, self._at_s = min(self._left + earned, COMMITS_AT_ONCE), now_s
        return max(0.0, 1 - self._left) * 3600 / COMMITS_PER_HOUR

    def spend(self) -> None:
        self._left -= 1
