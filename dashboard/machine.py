"""Who computes on this machine: what starts here must not slow down what runs, nor be slowed by it."""

from dashboard import services
from evaluation.benchmark.folder import Benchmark
from training.launch import training_now


class Taken(Exception):
    """Somebody else computes; the message is a sentence for the user."""


def why_taken(running: Benchmark | None) -> str | None:
    """Why neither a benchmark nor a training can be started now, as a sentence; ``None`` when both can."""
    if running is not None:
        return "A benchmark is running: wait for its end, or cancel it."
    if training_now(services.settings().results_dir) is not None:
        return "A model is being trained: wait for its end, or interrupt it."
    if services.engine().busy:
        return "The arena is answering somebody: wait until it is done."
    return None


def take() -> None:
    """Make sure that nobody else computes; the arena's idle models give their memory back. Raises ``Taken``."""
    if reason := why_taken(services.running_benchmark()):
        raise Taken(reason)
    services.engine().release_idle()
