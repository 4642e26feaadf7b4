"""How many threads llama.cpp computes with, and how they wait for each other.

Between two operations of a model the threads wait for each other, by default in a loop that keeps the core busy. When
anything else runs on the machine (the browser, the server), a waiting thread then takes the core that the thread it
waits for needs, and speed collapses. Waiting briefly and then sleeping costs little when the machine is idle and lets
the scheduler sort it out when it is not; ``make bench`` measures both.
"""

import os

from evaluation.host import available_cores
from evaluation.settings import PROJECT_ROOT

SPIN_COUNT = 300
"""Rounds of libgomp's waiting loop before a thread sleeps (its default is 300,000)."""
MAX_THREADS = 8
"""Decoding is limited by memory, not by more cores than this."""


def worker_threads() -> int:
    """Whole cores this process may use, at least one (``ENGINE_THREADS`` overrides)."""
    chosen = os.environ.get("ENGINE_THREADS", "")
    return int(chosen) if chosen.isdigit() and int(chosen) > 0 else max(1, min(MAX_THREADS, int(available_cores())))


def worker_environment() -> dict[str, str]:
    """Environment of a worker process; the OpenMP library and the allocator read it when they are loaded."""
    path = os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
    defaults = {
        "GOMP_SPINCOUNT": str(SPIN_COUNT),
        # KV caches come and go: each as a mapping of its own, so that its memory goes back when it is freed.
        "MALLOC_MMAP_THRESHOLD_": str(256 * 2**10),
    }
    return defaults | os.environ | {"PYTHONPATH": path}
