"""Which KV cache a conversation uses, and how much of it can be kept.

Every conversation has a slot of its own, so that its next turn reads only what is new, whoever spoke in between. While
an answer is written the slot has a context, which doubles when it is full. In between only the used part of the cache
is kept, so memory follows what conversations really hold. When they exceed their share, the one
unused for longest is forgotten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evaluation.engine.llama import Context, LlamaError, State

SMALLEST_CONTEXT_TOKENS = 256
MAX_SLOTS = 16


class ContextFullError(Exception):
    """No more tokens fit; the message is a sentence for the user."""


@dataclass(eq=False)
class Slot:
    """One conversation's cache and what it holds."""

    owner: str | None
    adapter: tuple[str, float] | None
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    """The rendered text behind ``tokens``, as far as it is known to belong to them."""
    batch_starts: list[int] = field(default_factory=list)
    """Positions at which a computed batch began."""
    context: Context | None = None
    """While an answer is written."""
    state: State | None = None
    """The cache in between."""

    @property
    def size(self) -> int:
        """Tokens of KV cache it takes up."""
        return self.context.n_ctx if self.context else len(self.tokens)

    def match(self, text: str, tokenize: Callable[[str], list[int]]) -> list[int]:
        """Tokens of a prompt given as text. What continues this slot's text keeps the very tokens the model wrote,
        which need not be those that the tokenizer would choose for the same text."""
        if self.text and text.startswith(self.text):
            return self.tokens + tokenize(text[len(self.text) :])
        return tokenize(text)

    def reusable(self, prompt: Sequence[int]) -> int:
        """How many of the slot's tokens can stay for ``prompt``, of which the last token is always computed.

        Reading resumes where a batch began before. Batches of other sizes round differently, so this is what makes the
        same seed give the same text when an answer is asked for again.
        """
        common = 0
        for ours, theirs in zip(self.tokens, prompt[:-1], strict=False):
            if ours != theirs:
                break
            common += 1
        return max((start for start in [*self.batch_starts, len(self.tokens)] if start <= common), default=0)

    def compute(self, tokens: Sequence[int]) -> bool:
        """Add tokens to the cache; False when aborted, then nothing was added. Raises ``LlamaError``."""
        assert self.context
        try:
            computed = self.context.decode(tokens)
        except LlamaError:
            self.truncate(0)  # what the cache holds now is anybody's guess
            raise
        if not computed:
            self.truncate(len(self.tokens))
            return False
        self.batch_starts.append(len(self.tokens))
        self.tokens.extend(tokens)
        return True

    def truncate(self, length: int) -> None:
        """Forget everything from ``length`` on; models that can't forget a part forget all."""
        assert self.context
        length = length if self.context.truncate(length) else 0
        self.tokens = self.tokens[:length]
        self.batch_starts = [start for start in self.batch_starts if start < length]
        self.text = ""


class Slots:
    """The slots of one base model."""

    def __init__(self, new_context: Callable[[int, tuple[str, float] | None], Context], limit: int, total: int) -> None:
        """``limit``: tokens of one conversation at most; ``total``: tokens of all of them at most."""
        self._new_context = new_context
        self.limit, self._total = limit, total
        self._slots: list[Slot] = []  # least recently used first

    def acquire(self, owner: str | None, adapter: tuple[str, float] | None) -> Slot:
        """This owner's slot as it was left, or an empty one. It has no context yet, see :meth:`make_room`."""
        ours = (s for s in self._slots if not s.context and s.owner == owner is not None and s.adapter == adapter)
        slot = next(ours, None) or Slot(owner, adapter)
        self._slots = [*(other for other in self._slots if other is not slot), slot]
        return slot

    def make_room(self, slot: Slot, tokens: int) -> None:
        """Make ``slot`` have a context of at least this many tokens. Raises ``ContextFullError``, ``LlamaError``."""
        if slot.context and slot.context.n_ctx >= tokens:
            return
        if tokens > self.limit:
            raise ContextFullError(f"The context of {self.limit:,} tokens is full.")
        size = SMALLEST_CONTEXT_TOKENS
        while size < max(tokens, len(slot.tokens)):
            size *= 2
        size = min(size, self.limit)
        self._forget_others(slot, size)
        self.release(slot)
        slot.context = self._new_context(size, slot.adapter)
        if slot.state and not slot.context.restore(slot.state):
            slot.truncate(0)
        slot.state = None

    def release(self, slot: Slot) -> None:
        """Free the context and keep what it holds."""
        if slot.context:
            slot.state = slot.context.save()
            slot.context.free()
            slot.context = None

    def _forget_others(self, slot: Slot, size: int) -> None:
        """Let idle conversations go until ``slot`` can have ``size`` tokens. Raises ``ContextFullError``."""
        others = [other for other in self._slots if other is not slot]
        while sum(other.size for other in others) + size > self._total or len(others) >= MAX_SLOTS:
            idle = next((other for other in others if not other.context), None)
            if idle is None:
                raise ContextFullError(
                    f"The {self._total:,} tokens of context that fit in memory are all used by answers being written; "
                    "try again when they are done."
                )
            others.remove(idle)
        self._slots = [*others, slot]
