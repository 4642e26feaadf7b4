"""Whether a file of the hub would run on this machine."""

from dataclasses import dataclass

from evaluation.engine.memory import NotEnoughMemoryError, fixed_bytes, gigabytes, least_bytes, plan_memory
from evaluation.host import memory_available_bytes, memory_limit_bytes
from evaluation.hub.files import HubFile
from evaluation.hub.header import HubHeader


@dataclass(frozen=True)
class Fit:
    """Whether a file can run on this machine."""

    fits: bool | None
    """``True`` also where other programs must end first; ``None`` when it can't be said."""
    needed_bytes: int | None
    """Weights, KV cache and process for the smallest context that is allowed."""
    available_bytes: int
    context_tokens: int | None
    """Longest conversation that fits."""
    sentence: str


@dataclass(frozen=True)
class _Ahead:
    """A model before it is here."""

    name: str
    size_bytes: int
    context_length: int
    kv_bytes_per_token: int


def judge(file: HubFile, header: HubHeader | None) -> Fit:
    """From a file's size and, where it could be read, its header."""
    available_bytes, machine_bytes = memory_available_bytes(), memory_limit_bytes()
    if file.kind == "unusable":
        return Fit(None, None, available_bytes, None, file.reason or "It can't be used.")
    if header and header.kind == "other":
        sentence = "It is not a GGUF file, whatever its name says: choose another one."
        return Fit(False, None, available_bytes, None, sentence)
    if file.kind == "peft" or (header.kind if header else file.kind) == "adapter":
        sentence = f"An adapter: it takes about {gigabytes(file.size_bytes)} beside its base model."
        return Fit(file.size_bytes < machine_bytes, file.size_bytes, available_bytes, None, sentence)
    if not header or header.context_length is None or header.kv_bytes_per_token is None:
        return _by_weights(file, available_bytes, machine_bytes)
    model = _Ahead(file.path, file.size_bytes, header.context_length, header.kv_bytes_per_token)
    return _by_plan(model, available_bytes, machine_bytes)


def _by_plan(model: _Ahead, available_bytes: int, machine_bytes: int) -> Fit:
    needed_bytes = least_bytes(model)
    needed, available, machine = map(gigabytes, (needed_bytes, available_bytes, machine_bytes))
    try:
        context_tokens = plan_memory(model, machine_bytes).context_tokens
    except NotEnoughMemoryError:
        sentence = (
            f"Does not fit: it needs at least {needed} of memory, and this machine has {machine}. "
            "Choose a smaller model or quantization."
        )
        return Fit(False, needed_bytes, available_bytes, None, sentence)
    try:
        context_tokens = plan_memory(model, available_bytes).context_tokens
    except NotEnoughMemoryError:
        sentence = (
            f"Fits this machine, but not now: it needs at least {needed} of memory, and {available} of {machine} "
            "is free. Idle models make room by themselves; if that is not enough, close other programs."
        )
    else:
        sentence = (
            f"Fits: it needs at least {needed} of memory, and {available} is free, "
            f"enough for conversations of {context_tokens:,} tokens."
        )
    return Fit(True, needed_bytes, available_bytes, context_tokens, sentence)


def _by_weights(file: HubFile, available_bytes: int, machine_bytes: int) -> Fit:
    needed_bytes = fixed_bytes(file.size_bytes)
    needed, available, machine = map(gigabytes, (needed_bytes, available_bytes, machine_bytes))
    if needed_bytes > machine_bytes:
        sentence = (
            f"Does not fit: its weights alone need about {needed} of memory, and this machine has {machine}. "
            "Choose a smaller model or quantization."
        )
        return Fit(False, needed_bytes, available_bytes, None, sentence)
    sentence = (
        f"Its weights need about {needed} of memory, and {available} is free; "
        "what its conversations need besides could not be read from the file."
    )
    return Fit(None, needed_bytes, available_bytes, None, sentence)
