"""Whether a model fits into memory, and how long its conversations may then be."""

from dataclasses import dataclass

from evaluation.models import GgufInfo

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


class NotEnoughMemoryError(Exception):
    """The message is a sentence for the user, with the figures."""


@dataclass(frozen=True)
class MemoryPlan:
    """What a worker may allocate."""

    context_tokens: int
    """Longest conversation."""
    total_tokens: int
    """KV cache of all conversations together."""


def plan_memory(base: GgufInfo, available_bytes: int) -> MemoryPlan:
    """The largest plan that fits. Raises ``NotEnoughMemoryError``."""
    fixed = int(base.size_bytes * WEIGHTS_FACTOR) + PROCESS_BYTES
    context = min(CONTEXT_TOKENS, base.context_length)
    while True:
        total = CONVERSATIONS * context
        needed = fixed + total * base.kv_bytes_per_token
        if needed <= available_bytes:
            return MemoryPlan(context, total)
        if context <= SMALLEST_CONTEXT_TOKENS:
            raise NotEnoughMemoryError(
                f"{base.name} needs about {gigabytes(needed)} of memory, but only {gigabytes(max(0, available_bytes))} "
                "is free. Choose a smaller model or quantization, or close other programs."
            )
        context //= 2


def gigabytes(size_bytes: int) -> str:
    """``0.81 GB``: decimal, as file sizes are given."""
    return f"{size_bytes / 1e9:.2f} GB"
