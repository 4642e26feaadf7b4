"""Answer loss through the engine's own model, template and tokenizer, in a process of its own.

for measured in answer_losses(model, [(messages, reference), ...], template_date): ...
"""

import queue
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from evaluation.engine.memory import NotEnoughMemoryError, plan_memory
from evaluation.engine.process import WorkerProcess
from evaluation.host import memory_available_bytes
from evaluation.models import ChatModel
from evaluation.records import Message


@dataclass(frozen=True)
class MeasuredLoss:
    """Of one reference answer."""

    loss_nats: float | None
    """Sum over the tokens."""
    tokens: int | None
    error: str | None = None


def answer_losses(
    model: ChatModel, references: Sequence[tuple[tuple[Message, ...], str]], template_date: date
) -> Iterator[MeasuredLoss]:
    """One result per reference, in order, each as soon as it is known. Never raises because of the model: what can't
    be measured has a sentence as ``error``; when the process dies, so have the rest. Closing the iterator ends the
    process."""
    try:
        plan = plan_memory(model.base, memory_available_bytes())
    except NotEnoughMemoryError as error:
        yield from [MeasuredLoss(None, None, str(error))] * len(references)
        return
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
                "context_tokens": plan.context_tokens,
                "adapter": (str(model.adapter.path), model.adapter_scale) if model.adapter else None,
                "template_date": template_date.isoformat(),
                "references": [
                    {"messages": [asdict(message) for message in messages], "reference": reference}
                    for messages, reference in references
                ],
            }
        )
        for done in range(len(references)):
            message = inbox.get()
            if message is None:
                yield from [MeasuredLoss(None, None, worker.last_words())] * (len(references) - done)
                return
            yield MeasuredLoss(**message)
    finally:
        worker.kill()
