"""Whether a model fits into memory, and how long its conversations may then be."""

from dataclasses import dataclass
from typing import Protocol

CONTEXT_TOKENS = 8192
"""Longest conversation, where the model and the memory allow it."""
SMALLEST_CONTEXT_TOKENS = 2048
"""Below this a model is refused rather than loaded."""
CONVERSATIONS = 2
"""Full-length conversations that fit at once; shorter ones are more."""
WEIGHTS_FACTOR = 1.15
"""Memory of the weights / size of the file: part of them is rearranged into a second copy, while the first can go."""
PROCESS_BYTES = 150 * 2**20
"""An interpreter with llama.cpp and its buffers, without weights and KV cache."""


class Weights(Protocol):
    """What must be known of a model to say what it needs; ``evaluation.models.GgufInfo`` is one."""

    @property
    def name(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def context_length(self) -> int: ...
    @property
    def kv_bytes_per_token(self) -> int: ...


class NotEnoughMemoryError(Exception):
    """The message is a sentence for the user, with the figures."""


@dataclass(frozen=True)
class MemoryPlan:
    """What a worker may allocate."""

    context_tokens: int
    """Longest conversation."""
    total_tokens: int
    """KV cache of all conversations together."""


def fixed_bytes(size_bytes: int) -> int:
    """What a file of this size takes before the first token."""
    return int(size_bytes * WEIGHTS_FACTOR) + PROCESS_BYTES


def plan_memory(base: Weights, available_bytes: int) -> MemoryPlan:
    """The largest plan that fits. Raises ``NotEnoughMemoryError``."""
    for context in _contexts(base.context_length):
        if _needed_bytes(base, context) <= available_bytes:
            return MemoryPlan(context, CONVERSATIONS * context)
    needed, available = gigabytes(least_bytes(base)), gigabytes(max(0, available_bytes))
    raise NotEnoughMemoryError(
        f"{base.name} needs about {needed} of memory, but only {available} is free. "
        "Choose a smaller model or quantization, or close other programs."
    )


def least_bytes(base: Weights) -> int:
    """Memory below which ``plan_memory`` refuses."""
    return _needed_bytes(base, _contexts(base.context_length)[-1])


def _contexts(trained_tokens: int) -> list[int]:
    """Lengths of conversations to try, longest first."""
    contexts = [min(CONTEXT_TOKENS, trained_tokens)]
    while contexts[-1] > SMALLEST_CONTEXT_TOKENS:
        contexts.append(contexts[-1] // 2)
    return contexts


def _needed_bytes(base: Weights, context_tokens: int) -> int:
    return fixed_bytes(base.size_bytes) + CONVERSATIONS * context_tokens * base.kv_bytes_per_token


def gigabytes(size_bytes: int) -> str:
    """``0.81 GB``: decimal, as file sizes are given."""
    return f"{size_bytes / 1e9:.2f} GB"
