"""llama.cpp's low-level API as three small objects: a model, a context on it, a sampler.

The only module that imports ``llama_cpp``; it runs in worker processes, one per base model, and nowhere else. Nothing
here is thread-safe except :meth:`Abort.set`, which may be called at any time from another thread.
"""

import ctypes
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp as C
import numpy as np
from numpy.typing import NDArray

from evaluation.records import Sampling

CHUNK_TOKENS = 32
"""Prompts are read in chunks of this many tokens: long enough for full speed, short enough to pass the turn on."""
PENALTY_WINDOW_TOKENS = 64
State = ctypes.Array[ctypes.c_uint8]
"""The content of a KV cache."""
_ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR


class LlamaError(Exception):
    """llama.cpp refused; the message is a sentence for the user."""


class Abort:
    """A flag that llama.cpp itself looks at between two operations of a running computation.

    A Python callback would be called hundreds of times per token and wait for the interpreter each time. ``strlen``
    has the callback's shape (pointer in, truth out) and answers whether the one-byte string is empty.
    """

    def __init__(self) -> None:
        self._flag = ctypes.create_string_buffer(2)
        self.callback = ctypes.cast(ctypes.CDLL(None).strlen, C.ggml_abort_callback)
        self.data = ctypes.cast(self._flag, ctypes.c_void_p)

    def set(self) -> None:
        self._flag[0] = b"\x01"

    def clear(self) -> None:
        self._flag[0] = b"\x00"


class _ErrorLog:
    """The last error lines llama.cpp logged, to explain a failure."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._callback = C.llama_log_callback(self._on_log)  # kept, or llama.cpp would call freed memory
        C.llama_log_set(self._callback, None)

    def _on_log(self, level: int, text: bytes, _data: object) -> None:
        if level == _ERROR_LEVEL and text.strip():
            self.lines = [*self.lines[-4:], text.decode(errors="replace").strip()]

    def reason(self) -> str:
        """What went wrong, without llama.cpp's function names in front."""
        return self.lines[0].split(": ", 1)[-1].rstrip(".") if self.lines else "no reason given"


class Model:
    """Weights and vocabulary of one GGUF file, shared by all contexts and adapters on it."""

    def __init__(self, path: Path) -> None:
        """Load the weights. Raises ``LlamaError``."""
        self._log = _ErrorLog()
        self.path = path
        C.llama_backend_init()
        self.pointer = C.llama_model_load_from_file(str(path).encode(), C.llama_model_default_params())
        if not self.pointer:
            raise LlamaError(f"llama.cpp could not load {path.name}: {self._log.reason()}.")
        if not C.llama_model_has_decoder(self.pointer) or C.llama_model_has_encoder(self.pointer):
            raise LlamaError(f"{path.name} is not a decoder-only language model, so it cannot chat.")
        self.vocab = C.llama_model_get_vocab(self.pointer)
        self.n_vocab = C.llama_vocab_n_tokens(self.vocab)
        self._adapters: dict[str, Any] = {}
        self._piece = ctypes.create_string_buffer(256)

    def adapter(self, path: str) -> Any:
        """The adapter at ``path``, loaded once. Raises ``LlamaError``."""
        if path not in self._adapters:
            pointer = C.llama_adapter_lora_init(self.pointer, path.encode())
            if not pointer:
                raise LlamaError(
                    f"The adapter {Path(path).name} does not fit {self.path.name} or is damaged: {self._log.reason()}."
                )
            self._adapters[path] = pointer
        return self._adapters[path]

    @cached_property
    def control_tokens(self) -> dict[str, int]:
        """Text of every token that steers the model rather than says something, such as ``<|im_end|>``."""
        tokens = range(self.n_vocab)
        control = (t for t in tokens if C.llama_vocab_is_control(self.vocab, t) or self.ends_answer(t))
        return {text: t for t in control if (text := C.llama_vocab_get_text(self.vocab, t).decode(errors="replace"))}

    @property
    def bos_text(self) -> str:
        return self._token_text(C.llama_vocab_bos(self.vocab))

    @property
    def eos_text(self) -> str:
        return self._token_text(C.llama_vocab_eos(self.vocab))

    def _token_text(self, token: int) -> str:
        return "" if token < 0 else str(C.llama_vocab_get_text(self.vocab, token).decode(errors="replace"))

    @property
    def leading_token(self) -> int | None:
        """The token every prompt of this model begins with, if its vocabulary asks for one."""
        return C.llama_vocab_bos(self.vocab) if C.llama_vocab_get_add_bos(self.vocab) else None

    def with_leading_token(self, prompt: list[int]) -> list[int]:
        """The prompt as it is read: behind the leading token, unless it begins with it already."""
        leading = self.leading_token
        return prompt if leading is None or prompt[:1] == [leading] else [leading, *prompt]

    def tokenize(self, text: str) -> list[int]:
        """Tokens of plain text; what looks like a control token stays text."""
        data = text.encode("utf-8", errors="replace")
        size = len(data) + 8
        tokens = (C.llama_token * size)()
        count = C.llama_tokenize(self.vocab, data, len(data), tokens, size, False, False)
        if count < 0:
            raise LlamaError("The prompt could not be turned into tokens.")
        return tokens[:count]

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for: possibly half a character, empty for control tokens."""
        size = C.llama_token_to_piece(self.vocab, token, self._piece, len(self._piece), 0, False)
        if size < 0:
            self._piece = ctypes.create_string_buffer(-size)
            return self.piece(token)
        return self._piece.raw[:size]

    def ends_answer(self, token: int) -> bool:
        return bool(C.llama_vocab_is_eog(self.vocab, token))


class Context:
    """The KV cache of one conversation, with at most one adapter, set when it is made."""

    def __init__(
        self, model: Model, n_ctx: int, threads: int, abort: Abort, adapter: tuple[str, float] | None = None
    ) -> None:
        """Allocate ``n_ctx`` tokens of KV cache; ``adapter`` is (path, scale). Raises ``LlamaError``."""
        self.model, self.n_ctx = model, n_ctx
        self._abort = abort  # llama.cpp only points to it
        params = C.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = CHUNK_TOKENS
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.no_perf = True
        params.abort_callback = abort.callback
        params.abort_callback_data = abort.data
        self.pointer = C.llama_init_from_model(model.pointer, params)
        if not self.pointer:
            raise LlamaError(f"There was no memory for a context of {n_ctx:,} tokens of {model.path.name}.")
        self._memory = C.llama_get_memory(self.pointer)
        if adapter:
            pointers = (C.llama_adapter_lora_p_ctypes * 1)(model.adapter(adapter[0]))
            C.llama_set_adapters_lora(self.pointer, pointers, 1, (ctypes.c_float * 1)(adapter[1]))

    def decode(self, tokens: Sequence[int]) -> bool:
        """Compute at most ``CHUNK_TOKENS`` tokens behind those in the cache; False when aborted, then the cache may
        hold some of them. Raises ``LlamaError``."""
        array = (C.llama_token * len(tokens))(*tokens)  # a batch only points to it
        return self._compute(C.llama_batch_get_one(array, len(tokens)))

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32] | None:
        """As ``decode``, and what the model predicts after each of the tokens; shape (tokens, vocabulary)."""
        array = (C.llama_token * len(tokens))(*tokens)
        wanted = (ctypes.c_int8 * len(tokens))(*[1] * len(tokens))
        batch = C.llama_batch_get_one(array, len(tokens))
        batch.logits = wanted
        if not self._compute(batch):
            return None
        return np.ctypeslib.as_array(C.llama_get_logits(self.pointer), (len(tokens), self.model.n_vocab)).copy()

    def _compute(self, batch: Any) -> bool:
        status = C.llama_decode(self.pointer, batch)
        if status not in (0, 2):
            raise LlamaError(f"llama.cpp failed while computing {self.model.path.name} (status {status}).")
        return bool(status == 0)

    def truncate(self, length: int) -> bool:
        """Forget everything from position ``length`` on; False if this kind of model can only forget everything."""
        if C.llama_memory_seq_rm(self._memory, 0, length, -1):
            return True
        C.llama_memory_clear(self._memory, False)
        return False

    def save(self) -> State:
        """A copy of what the cache holds, as large as that."""
        state: State = (ctypes.c_uint8 * C.llama_state_seq_get_size(self.pointer, 0))()
        C.llama_state_seq_get_data(self.pointer, state, len(state), 0)
        return state

    def restore(self, state: State) -> bool:
        """Take over what another context of the same model and adapter saved; False if that was refused."""
        return bool(C.llama_state_seq_set_data(self.pointer, state, len(state), 0))

    def free(self) -> None:
        C.llama_free(self.pointer)


class Sampler:
    """Chooses the next token; a fresh one per answer, so that a seed always starts from the same state.

    Steps in llama.cpp's usual order: penalty, top-k, top-p, min-p, temperature, draw.
    """

    def __init__(self, model: Model, sampling: Sampling, prompt: Sequence[int]) -> None:
        self.pointer = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        for step in _sampler_steps(model.n_vocab, sampling):
            C.llama_sampler_chain_add(self.pointer, step)
        for token in prompt[-PENALTY_WINDOW_TOKENS:]:
            C.llama_sampler_accept(self.pointer, token)

    def sample(self, context: Context) -> int:
        """The next token after what ``context`` holds."""
        return int(C.llama_sampler_sample(self.pointer, context.pointer, -1))

    def free(self) -> None:
        C.llama_sampler_free(self.pointer)


def _sampler_steps(n_vocab: int, sampling: Sampling) -> list[object]:
    steps: list[object] = []
    if sampling.repeat_penalty != 1:
        steps.append(C.llama_sampler_init_penalties(n_vocab, PENALTY_WINDOW_TOKENS, sampling.repeat_penalty, 0, 0))
    if sampling.temperature <= 0:
        return [*steps, C.llama_sampler_init_greedy()]
    # llama.cpp takes the largest 32-bit seed for "random", so seeds wrap below it.
    seed = sampling.seed % (2**32 - 1)
    return [
        *steps,
        C.llama_sampler_init_top_k(sampling.top_k),
        C.llama_sampler_init_top_p(sampling.top_p, 1),
        C.llama_sampler_init_min_p(sampling.min_p, 1),
        C.llama_sampler_init_temp(sampling.temperature),
        C.llama_sampler_init_dist(seed),
    ]
