"""All that answers: models whose files are here, and endpoints, behind one door."""

from collections.abc import Callable

from evaluation.engine.api import Generation, GenerationRequest
from evaluation.engine.engine import Engine
from evaluation.engine.remote import EndpointEngine
from evaluation.models import ChatModel, Model
from evaluation.records import Response


class Engines:
    """Answers requests with whatever model they name. Thread-safe; one per server process."""

    def __init__(self, record: Callable[[Response], None] | None = None) -> None:
        """``record`` is given every response that is to be kept, also stopped and failed ones, before its generation is
        done. What it raises becomes the generation's ``save_error``."""
        self._local, self._endpoints = Engine(record), EndpointEngine(record)

    def submit(self, request: GenerationRequest) -> Generation:
        """Start or queue an answer. Raises ``RuntimeError`` after ``close``."""
        return (self._local if isinstance(request.model, ChatModel) else self._endpoints).submit(request)

    def ready(self, model: Model) -> bool:
        """Whether it could answer at once: its process lives, or its server answered last time."""
        return self._local.ready(model) if isinstance(model, ChatModel) else self._endpoints.ready(model)

    @property
    def busy(self) -> bool:
        """Whether an answer is being written, or waits for that."""
        return self._local.busy or self._endpoints.busy

    def release_idle(self) -> None:
        """Give back the memory of models that nobody uses."""
        self._local.release_idle()

    def worker_pids(self) -> dict[str, int]:
        """Process id of every living worker, by content hash of its base model."""
        return self._local.worker_pids()

    def close(self) -> None:
        """Cancel everything and end all worker processes."""
        self._endpoints.close()
        self._local.close()
