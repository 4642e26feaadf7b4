"""One answer being written: read the prompt, then token by token, in as many turns as it takes."""

import codecs
import time
from collections.abc import Callable

from evaluation.engine.llama import CHUNK_TOKENS, Model, Sampler
from evaluation.engine.prompt import PromptFormat
from evaluation.engine.slots import ContextFullError, Slot, Slots
from evaluation.engine.wire import Progress, Task
from evaluation.records import FinishReason

EXPECTED_ANSWER_TOKENS = 512
"""Room made for an answer beforehand: growing in its middle would cost a pause."""


class Writer:
    """Writes the answer to one task. Use: :meth:`work` until it returns a finish reason, then :meth:`close`."""

    def __init__(self, task: Task, model: Model, form: PromptFormat, slots: Slots) -> None:
        self.task, self.progress = task, Progress()
        self.error: str | None = None
        self._model, self._form, self._slots = model, form, slots
        self._slot: Slot | None = None
        self._sampler: Sampler | None = None
        self._prompt: list[int] = []
        self._text = AnswerText(task.sampling.stop)
        self._rendered = ""
        self._next = -1

    def take_text(self) -> str:
        """The text that has become certain since the last call."""
        return self._text.take()

    def work(self, pause: Callable[[], bool]) -> FinishReason | None:
        """Compute until the answer ends or, between two steps, ``pause()`` is true; None when there is more to do.

        Raises ``LlamaError``, ``PromptError``.
        """
        progress, began = self.progress, time.monotonic()
        if progress.started_at is None:
            progress.started_at = began
        try:
            reason: FinishReason | None = None
            if progress.first_token_at is None:
                reason = self._read(pause)
                now = time.monotonic()
                progress.prompt_busy_s += (progress.first_token_at or now) - began
                began = progress.first_token_at or now
            if reason is None and progress.first_token_at is not None:
                reason = self._write(pause, began)
        except ContextFullError as full:
            self.error, reason = str(full), "context"
        return reason

    def _read(self, pause: Callable[[], bool]) -> FinishReason | None:
        if self._slot is None:
            self._begin()
        slot, prompt, progress = self._slot, self._prompt, self.progress
        assert slot
        while len(slot.tokens) < len(prompt):
            chunk = prompt[len(slot.tokens) : len(slot.tokens) + CHUNK_TOKENS]
            if not slot.compute(chunk):
                return "cancelled"
            progress.prompt_tokens_read = len(slot.tokens)
            if len(slot.tokens) < len(prompt) and pause():
                return None
        return self._sample()

    def _begin(self) -> None:
        """Find the conversation's slot and what of the prompt is in it already."""
        task = self.task
        self._rendered = self._form.render(task.messages, task.template_date)
        self._slot = slot = self._slots.acquire(task.owner, task.adapter)
        tokens = slot.match(self._rendered, lambda text: self._form.tokens(text, self._model.tokenize))
        prompt = self._model.with_leading_token(tokens)
        self.progress.prompt_tokens = len(prompt)
        if len(prompt) >= self._slots.limit:
            raise ContextFullError(
                f"The prompt has {len(prompt):,} tokens, but the context holds only {self._slots.limit:,} and the "
                "answer needs room too. Shorten the message or clear the conversation."
            )
        reusable = slot.reusable(prompt)
        expected = min(task.sampling.max_tokens, EXPECTED_ANSWER_TOKENS)
        self._slots.make_room(slot, min(len(prompt) + expected, self._slots.limit))
        slot.truncate(reusable)
        self.progress.cached_tokens = self.progress.prompt_tokens_read = len(slot.tokens)
        self._prompt = prompt
        self._sampler = Sampler(self._model, task.sampling, prompt)

    def _write(self, pause: Callable[[], bool], began: float) -> FinishReason | None:
        """Token by token; busy time counts up to the last token, not to the end-of-turn token behind it."""
        slot, progress = self._slot, self.progress
        assert slot
        before = progress.decode_busy_s
        while not pause():
            self._slots.make_room(slot, len(slot.tokens) + 1)
            if not slot.compute([self._next]):
                return "cancelled"
            counted = progress.completion_tokens
            reason = self._sample()
            if progress.completion_tokens > counted:
                progress.decode_busy_s = before + time.monotonic() - began
            if reason:
                return reason
        progress.decode_busy_s = before + time.monotonic() - began
        return None

    def _sample(self) -> FinishReason | None:
        """Choose the next token and add its text; a reason when it ends the answer."""
        assert self._slot and self._slot.context and self._sampler
        self._next = token = self._sampler.sample(self._slot.context)
        if self.progress.first_token_at is None:
            self.progress.first_token_at = time.monotonic()
        if self._model.ends_answer(token):
            return "stop"
        self.progress.completion_tokens += 1
        if self._text.add(self._model.piece(token)):
            return "stop"
        return "length" if self.progress.completion_tokens >= self.task.sampling.max_tokens else None

    def close(self) -> str:
        """Give the slot back for the next turn; the rest of the text."""
        rest = self._text.finish()
        if self._slot:
            if len(self._slot.tokens) >= len(self._prompt) > 0:
                # The slot holds every token but the last sampled one; its text is known when that one is in, too.
                self._slot.text = self._rendered + self._text.decoded(len(self._slot.tokens) - len(self._prompt))
            self._slots.release(self._slot)
            self._slot = None
        if self._sampler:
            self._sampler.free()
            self._sampler = None
        return rest


class AnswerText:
    """Bytes of tokens to text: whole characters only, ending before the first stop string."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = tuple(s for s in stop if s)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pieces: list[bytes] = []
        self._pending = ""
        self._ready = ""

    def add(self, piece: bytes) -> bool:
        """Add a token's bytes; True when a stop string has come."""
        self._pieces.append(piece)
        self._pending += self._decoder.decode(piece)
        at = min((i for s in self._stop if (i := self._pending.find(s)) >= 0), default=-1)
        if at >= 0:
            self._ready, self._pending, self._stop = self._ready + self._pending[:at], "", ()
            return True
        held = self._held()
        cut = len(self._pending) - held
        self._ready, self._pending = self._ready + self._pending[:cut], self._pending[cut:]
        return False

    def _held(self) -> int:
        """Length of the end of the text that may be the beginning of a stop string."""
        longest = min(len(self._pending), max((len(s) for s in self._stop), default=0))
        return next((n for n in range(longest, 0, -1) if any(s.startswith(self._pending[-n:]) for s in self._stop)), 0)

    def take(self) -> str:
        ready, self._ready = self._ready, ""
        return ready

    def finish(self) -> str:
        """What was held back; bytes of an unfinished character are dropped."""
        self._ready, self._pending = self._ready + self._pending, ""
        return self.take()

    def decoded(self, tokens: int) -> str:
        """Text of the first tokens, whole, stop strings included."""
        return b"".join(self._pieces[:tokens]).decode(errors="replace")
