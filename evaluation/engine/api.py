"""What a caller of the engine sees: a request, the handle of a running generation, and its snapshots."""

from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

from evaluation.models import Model
from evaluation.records import Message, Origin, Place, Response, Sampling

State = Literal["queued", "loading", "waiting", "reading", "writing", "done"]
"""``queued``: others are served first, see ``queue_place``; ``loading``: the model is being loaded; ``waiting``:
another pane has the turn; ``reading``: the prompt is processed; ``writing``: tokens are coming; ``done``: see
``response``."""


@dataclass(frozen=True)
class GenerationRequest:
    """One answer to be written by one model."""

    model: Model
    messages: tuple[Message, ...]
    """Ends with a user's message."""
    sampling: Sampling
    template_date: date
    """The date that templates see as today; pinned so that a conversation does not change overnight."""
    origin: Origin = "arena"
    place: Place | None = None
    keep: bool = True
    """Whether the response is recorded; a visitor may ask for one that is not."""


@dataclass(frozen=True)
class Snapshot:
    """The state of a generation at one moment."""

    state: State
    text: str = ""
    """The answer so far; only ever grows."""
    queue_place: int | None = None
    """1 = next, while ``queued``."""
    detail: str | None = None
    """A sentence on what is going on, for example which model is being loaded and how large it is."""
    prompt_tokens: int | None = None
    prompt_tokens_read: int | None = None
    """Of those, how many are in the context by now (reused ones included); for a progress bar."""
    completion_tokens: int = 0
    response: Response | None = None
    """Set when ``done``; by then the response has been given to the recorder, if it is to be kept."""
    save_error: str | None = None
    """Why the recorder could not store the response, as a sentence."""


class Generation(Protocol):
    """Handle of a submitted request. All methods may be called from any thread."""

    @property
    def request(self) -> GenerationRequest: ...

    def snapshot(self) -> Snapshot: ...

    def cancel(self) -> None:
        """Stop and record what there is as ``cancelled``. Harmless when done."""

    def wait(self, timeout_s: float | None = None) -> Response:
        """Block until done. Raises ``TimeoutError`` after ``timeout_s`` seconds."""
