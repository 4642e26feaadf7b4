"""Answer loss through the engine's own model, template and tokenizer, in a process of its own.

for measured in answer_losses(model, [(messages, reference), ...], template_date): ...
"""

import queue
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from evaluation.engine.memory import NotEnoughMemoryError, plan_memory
from evaluation.engine.process import WorkerProcess
from evaluation.host import memory_available_bytes
from evaluation.models import ChatModel
from evaluation.records import Message

PATIENCE = 3
"""Deaths of the process in a row after which the rest is given up: each may take minutes."""

Reference = tuple[tuple[Message, ...], str]
"""A prompt, and the answer to it that was not written by the model."""


@dataclass(frozen=True)
class MeasuredLoss:
    """Of one reference answer."""

    loss_nats: float | None
    """Sum over the tokens."""
    tokens: int | None
    error: str | None = None


def answer_losses(
    model: ChatModel, references: Sequence[Reference], template_date: date
) -> Generator[MeasuredLoss, None, None]:
    """One result per reference, in order, each as soon as it is known. Never raises because of the model: what can't
    be measured has a sentence as ``error``. When the process dies, that costs the reference it was at, and another
    process measures the rest, up to ``PATIENCE`` times without a result in between. Closing the iterator ends the
    process."""
    try:
        context_tokens = plan_memory(model.base, memory_available_bytes()).context_tokens
    except NotEnoughMemoryError as error:
        yield from [MeasuredLoss(None, None, str(error))] * len(references)
        return
    left, deaths = deque(references), 0
    while left:
        before = len(left)
        last_words = yield from _in_one_process(model, left, template_date, context_tokens)
        if last_words is None:
            return
        deaths = deaths + 1 if len(left) == before else 1
        left.popleft()
        yield MeasuredLoss(None, None, last_words)
        if deaths == PATIENCE:
            reason = f"Not tried after {PATIENCE} failures in a row, the last of which was: {last_words}"
            yield from [MeasuredLoss(None, None, reason)] * len(left)
            return


def _in_one_process(
    model: ChatModel, left: deque[Reference], template_date: date, context_tokens: int
) -> Generator[MeasuredLoss, None, str | None]:
    """Measures the references, taking each from ``left``, and returns ``None``; when the process dies, why."""
    inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    worker = WorkerProcess(
        model.base,
        on_message=lambda _, message: inbox.put(message),
        on_death=lambda _: inbox.put(None),
        module="evaluation.engine.loss_worker",
    )
    try:
        worker.send(
            {
                "path": str(model.base.path),
                "chat_template": model.base.chat_template,
                "threads": worker.threads,
                "context_tokens": context_tokens,
                "adapter": (str(model.adapter.path), model.adapter_scale) if model.adapter else None,
                "template_date": template_date.isoformat(),
                "references": [
                    {"messages": [asdict(message) for message in messages], "reference": reference}
                    for messages, reference in left
                ],
            }
        )
        while left:
            message = inbox.get()
            if message is None:
                return worker.last_words()
            left.popleft()
            yield MeasuredLoss(**message)
        return None
    finally:
        worker.kill()
