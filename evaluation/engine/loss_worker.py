"""The process that measures answer losses: it loads one model, with its adapter if it has one, and goes through a list.

Started by ``answer_losses`` as ``python -m evaluation.engine.loss_worker FD``, with a socket as file descriptor FD. It
is sent one message with everything, and sends back one for each reference answer, in order.

A prompt is rendered and tokenized as for an answer, leading token included. The reference behind it is tokenized as
plain text; the token that would end the answer is not counted.
"""

import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.engine.llama import CHUNK_TOKENS, Abort, Context, LlamaError, Model
from evaluation.engine.loss import MeasuredLoss
from evaluation.engine.prompt import PromptError, PromptFormat
from evaluation.engine.slots import SMALLEST_CONTEXT_TOKENS
from evaluation.engine.wire import Channel
from evaluation.records import Message


class Measurer:
    """Measures the losses of one model."""

    def __init__(self, request: dict[str, Any]) -> None:
        """Load the model. Raises ``LlamaError``, ``PromptError``."""
        self._model = model = Model(Path(request["path"]))
        self._form = PromptFormat(
            request["chat_template"], model.control_tokens, bos=model.bos_text, eos=model.eos_text
        )
        self._today = date.fromisoformat(request["template_date"])
        self._adapter = tuple(request["adapter"]) if request["adapter"] else None
        self._threads, self._limit = request["threads"], request["context_tokens"]
        self._context: Context | None = None

    def measure(self, messages: tuple[Message, ...], reference: str) -> MeasuredLoss:
        """The loss of one reference answer to a prompt. Raises ``LlamaError``, ``PromptError``."""
        rendered = self._form.render(messages, self._today)
        prompt = self._model.with_leading_token(self._form.tokens(rendered, self._model.tokenize))
        answer = self._model.tokenize(reference)
        size = len(prompt) + len(answer)
        if not (prompt and answer):
            return MeasuredLoss(None, None, "The prompt or the reference answer is empty.")
        if size > self._limit:
            sentence = f"Prompt and reference answer have {size:,} tokens, but the context holds only {self._limit:,}."
            return MeasuredLoss(None, None, sentence)
        context = self._empty_context(size)
        for chunk in _chunks(prompt[:-1]):
            computed = context.decode(chunk)
            assert computed  # nobody aborts
        loss_nats, expected = 0.0, iter(answer)
        for chunk in _chunks([*prompt[-1:], *answer[:-1]]):
            logits = context.logits(chunk)
            assert logits is not None
            loss_nats += _loss_nats(logits, [next(expected) for _ in chunk])
        if not math.isfinite(loss_nats):
            name = self._model.path.name
            return MeasuredLoss(None, None, f"{name} gives no probabilities for this answer; it may be damaged.")
        return MeasuredLoss(loss_nats, len(answer))

    def _empty_context(self, size: int) -> Context:
        if self._context is None or self._context.n_ctx < size:
            if self._context:
                self._context.free()
                self._context = None
            n_ctx = min(self._limit, max(SMALLEST_CONTEXT_TOKENS, 2 ** math.ceil(math.log2(size))))
            self._context = Context(self._model, n_ctx, self._threads, Abort(), self._adapter)
        self._context.truncate(0)
        return self._context


def _chunks(tokens: list[int]) -> Iterator[list[int]]:
    return (tokens[start : start + CHUNK_TOKENS] for start in range(0, len(tokens), CHUNK_TOKENS))


def _loss_nats(logits: NDArray[np.float32], expected: list[int]) -> float:
    """Sum of the negative log-likelihoods of the expected tokens, row by row."""
    scores = logits.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    likelihoods = scores[np.arange(len(expected)), expected] - np.log(np.exp(scores).sum(axis=1))
    return -float(likelihoods.sum())


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends this process
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    incoming = iter(channel)
    request = next(incoming)
    threading.Thread(target=_end_with_the_parent, args=[incoming], daemon=True).start()
    for measured in _measured(request):
        channel.send(asdict(measured))


def _measured(request: dict[str, Any]) -> Iterator[MeasuredLoss]:
    try:
        measurer = Measurer(request)
    except (LlamaError, PromptError) as error:
        yield from [MeasuredLoss(None, None, str(error))] * len(request["references"])
        return
    for each in request["references"]:
        try:
            yield measurer.measure(tuple(Message(**message) for message in each["messages"]), each["reference"])
        except (LlamaError, PromptError) as error:
            yield MeasuredLoss(None, None, str(error))


def _end_with_the_parent(incoming: Iterator[dict[str, Any]]) -> None:
    for _ in incoming:
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
