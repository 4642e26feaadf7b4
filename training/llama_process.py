"""What llama.cpp makes of GGUF files, asked of a process of its own: a damaged file may end that one, not this.

The process reads a request as JSON from its standard input and writes its result into a file:

    python -m training.llama_process < request.json
"""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import LlamaFileType
from numpy.typing import NDArray

from training.provenance import usable_cores
from training.settings import PROJECT_ROOT

Probabilities = NDArray[np.float32]
_ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR


class LlamaError(Exception):
    """llama.cpp refused or crashed; the message is a sentence for the user."""


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt and the tokens that the training side makes of it."""

    text: str
    tokens: tuple[int, ...]


def next_tokens(
    model: Path, adapter: Path | None, prompts: Sequence[Prompt], positions: int, result: Path
) -> Probabilities:
    """Probabilities of the next token after each of the last ``positions`` tokens of each prompt.

    Shape (prompts, positions, vocabulary). ``result`` is a file that may be overwritten. Raises ``LlamaError``, also
    when llama.cpp makes other tokens of a prompt's text.
    """
    _ask(
        "next_tokens",
        model=str(model),
        adapter=str(adapter) if adapter else None,
        prompts=[asdict(prompt) for prompt in prompts],
        positions=positions,
        result=str(result),
    )
    found: Probabilities = np.load(result)
    return found


def quantize(source: Path, result: Path, file_type: LlamaFileType) -> None:
    """Write a model in another quantization, if need be after it was dequantized. Raises ``LlamaError``."""
    _ask("quantize", source=str(source), result=str(result), file_type=int(file_type))


def _ask(task: str, **request: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name],
        cwd=PROJECT_ROOT,
        # llama.cpp's threads spin while they wait for each other, which takes long when anything else runs.
        env=os.environ | {"OMP_WAIT_POLICY": "passive"},
        input=json.dumps({"task": task, **request}),
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode == _REFUSED:
        raise LlamaError(done.stderr.strip().splitlines()[-1])
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise LlamaError(f"llama.cpp ended unexpectedly (exit status {done.returncode}: {reason[0]}).")


# What follows runs in that process, the only one that loads llama.cpp.

_REFUSED = 3


def _next_tokens(
    model: str, adapter: str | None, prompts: list[dict[str, Any]], positions: int, result: str, errors: list[str]
) -> None:
    import llama_cpp as C

    parameters = C.llama_model_default_params()
    parameters.n_gpu_layers = 0
    weights = C.llama_model_load_from_file(os.fsencode(model), parameters)
    if not weights:
        raise LlamaError(f"llama.cpp could not load {Path(model).name}: {_reason(errors)}.")
    vocabulary = C.llama_model_get_vocab(weights)
    for prompt in prompts:
        _check_tokens(vocabulary, prompt["text"], prompt["tokens"])
    context = _context(weights, max(len(prompt["tokens"]) for prompt in prompts))
    if adapter is not None:
        loaded = C.llama_adapter_lora_init(weights, os.fsencode(adapter))
        if not loaded:
            raise LlamaError(f"llama.cpp could not load {Path(adapter).name}: {_reason(errors)}.")
        C.llama_set_adapters_lora(context, (C.llama_adapter_lora_p_ctypes * 1)(loaded), 1, (ctypes.c_float * 1)(1.0))
    size = C.llama_vocab_n_tokens(vocabulary)
    np.save(result, np.stack([_softmax(_logits(context, prompt["tokens"], positions, size)) for prompt in prompts]))


def _check_tokens(vocabulary: Any, text: str, expected: list[int]) -> None:
    import llama_cpp as C

    data = text.encode()
    tokens = (C.llama_token * (len(data) + 8))()
    count = C.llama_tokenize(vocabulary, data, len(data), tokens, len(tokens), False, True)
    if count < 0 or tokens[:count] != expected:
        raise LlamaError(
            f"llama.cpp makes other tokens of the prompt {text!r} than the tokenizer that the model was trained with: "
            f"{tokens[: max(count, 0)]} instead of {expected}."
        )


def _context(weights: Any, n_ctx: int) -> Any:
    """Room for one prompt, read in one batch."""
    import llama_cpp as C

    parameters = C.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = n_ctx
    parameters.n_threads = parameters.n_threads_batch = _threads()
    parameters.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_DISABLED  # as PEFT computes it
    context = C.llama_init_from_model(weights, parameters)
    if not context:
        raise LlamaError(f"There was no memory for a context of {n_ctx} tokens.")
    return context


def _logits(context: Any, tokens: list[int], positions: int, vocabulary_size: int) -> NDArray[np.float32]:
    import llama_cpp as C

    C.llama_memory_clear(C.llama_get_memory(context), True)
    batch = C.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for index, token in enumerate(tokens):
        batch.token[index], batch.pos[index] = token, index
        batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
        batch.logits[index] = index >= len(tokens) - positions
    if status := C.llama_decode(context, batch):
        raise LlamaError(f"llama.cpp failed while computing a prompt (status {status}).")
    logits = np.ctypeslib.as_array(C.llama_get_logits(context), (positions, vocabulary_size)).copy()
    C.llama_batch_free(batch)
    return logits


def _softmax(logits: NDArray[np.float32]) -> Probabilities:
    powers: Probabilities = np.exp(logits - logits.max(axis=-1, keepdims=True))
    total: Probabilities = powers.sum(axis=-1, keepdims=True)
    return powers / total


def _quantize(source: str, result: str, file_type: int, errors: list[str]) -> None:
    import llama_cpp as C

    parameters = C.llama_model_quantize_default_params()
    parameters.ftype, parameters.allow_requantize = file_type, True
    parameters.nthread = _threads()
    if status := C.llama_model_quantize(os.fsencode(source), os.fsencode(result), ctypes.byref(parameters)):
        raise LlamaError(f"llama.cpp could not quantize {Path(source).name} (status {status}): {_reason(errors)}.")


def _threads() -> int:
    """More than the container's quota allows would wait for each other."""
    return max(1, int(usable_cores()))


def _reason(errors: list[str]) -> str:
    """What went wrong, without llama.cpp's function names in front."""
    return errors[0].split(": ", 1)[-1].rstrip(".") if errors else "no reason given"


def main() -> int:
    import llama_cpp as C

    request = json.load(sys.stdin)
    errors: list[str] = []

    def log(level: int, text: bytes, _data: object) -> None:
        if level == _ERROR_LEVEL and text.strip():
            errors.append(text.decode(errors="replace").strip())

    callback = C.llama_log_callback(log)  # kept, or llama.cpp would call freed memory
    C.llama_log_set(callback, None)
    C.llama_backend_init()
    tasks: dict[str, Callable[..., None]] = {"next_tokens": _next_tokens, "quantize": _quantize}
    try:
        tasks[request.pop("task")](**request, errors=errors)
    except LlamaError as error:
        print(error, file=sys.stderr)
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
