"""What else the machine did while an answer was written, and whether that left the model the cores it needs.

| figure | definition |
| --- | --- |
| others' cores | (CPU time of the whole machine - CPU time of this process and its children) / seconds |
| stolen cores | time that the hypervisor ran something else while a core of this machine had work / seconds |
| disturbed | cores of the machine - others' - stolen < threads of the model - ``SLACK_CORES`` |

In a container the counters of the machine show the whole of it, other containers included, and so do its cores: only
when the machine as a whole has fewer cores left than the model has threads, the model suffered. What the counters do
not show is another program in the same container that uses up the container's quota.
"""

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import psutil

SLACK_CORES = 0.15
"""A machine is never quite idle; this much costs a model a few percent at most."""
SHORTEST_S = 0.5
"""The counters tick every 10 ms on each core: over shorter times they say nothing. A shorter answer is judged by this
time up to its end."""


@dataclass(frozen=True)
class CpuTimes:
    """Seconds since some time in the past, at one moment."""

    at: float
    """``time.monotonic()``."""
    cores: int
    """Of the machine that the counters are about."""
    busy_s: float
    """Of all cores together."""
    stolen_s: float
    own_s: float
    """Of this process and all that it started, also those that have ended."""


@dataclass(frozen=True)
class Disturbance:
    """``None``: the time was too short, or a counter went backwards."""

    others_cores: float | None
    stolen_cores: float | None
    disturbed: bool


class Meter:
    """Watches the machine while one answer after the other is written."""

    def __init__(self) -> None:
        self._begun: deque[CpuTimes] = deque(maxlen=100)

    def begin(self) -> None:
        """An answer starts now."""
        self._begun.append(cpu_times())

    def end(self, threads: int) -> Disturbance:
        """What happened to the last answer begun, whose model has so many threads."""
        now = cpu_times()
        long_ago = (earlier for earlier in reversed(self._begun) if now.at - earlier.at >= SHORTEST_S)
        return disturbance(next(long_ago, self._begun[0]), now, threads)


def cpu_times() -> CpuTimes:
    """The counters now."""
    cores = psutil.cpu_times(percpu=True)
    busy_s = sum(core.user + core.nice + core.system + core.irq + core.softirq for core in cores)
    own_s = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended, and its time is now in its parent's
            times = process.cpu_times()
            own_s += times.user + times.system + times.children_user + times.children_system
    return CpuTimes(time.monotonic(), len(cores), busy_s, sum(core.steal for core in cores), own_s)


def disturbance(before: CpuTimes, after: CpuTimes, threads: int) -> Disturbance:
    """What happened between two moments to a model with so many threads."""
    seconds = after.at - before.at
    busy_s, stolen_s, own_s = (
        after.busy_s - before.busy_s,
        after.stolen_s - before.stolen_s,
        after.own_s - before.own_s,
    )
    if seconds < SHORTEST_S or min(busy_s, stolen_s, own_s) < 0:
        return Disturbance(None, None, disturbed=False)
    # Ticks of the machine and of the processes are not the same ones: a little less than nothing is nothing.
    others_cores = max(0.0, busy_s - own_s) / seconds
    stolen_cores = stolen_s / seconds
    free_cores = after.cores - others_cores - stolen_cores
    return Disturbance(round(others_cores, 3), round(stolen_cores, 3), free_cores < threads - SLACK_CORES)
