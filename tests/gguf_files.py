"""Small GGUF files for tests and benchmarks, written with the ``gguf`` library."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from evaluation.models.gguf_header import HeaderReader

PROJECTIONS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")

Metadata = dict[str, str | int | list[int]]

CHAT_METADATA: Metadata = {
    "general.type": "model",
    "general.name": "Tiny 1M Instruct",
    "general.file_type": 0,
    "llama.block_count": 2,
    "llama.context_length": 256,
    "llama.embedding_length": 8,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}",
}
CHAT_SHAPES = {
    "token_embd.weight": (8, 32),
    "blk.0.attn_q.weight": (8, 8),
    "blk.0.attn_k.weight": (8, 4),
    "blk.1.attn_q.weight": (8, 8),
    "blk.1.attn_k.weight": (8, 4),
}


def write_gguf(
    path: Path,
    metadata: Metadata = CHAT_METADATA,
    shapes: Mapping[str, tuple[int, ...]] = CHAT_SHAPES,
    architecture: str = "llama",
    seed: int = 0,
) -> Path:
    """Write a file with this metadata and random F32 tensors of these shapes (fastest dimension first).

    The default is a chat model in all that can be read without loading it, too small to answer.
    """
    random = np.random.default_rng(seed)
    writer = GGUFWriter(path, architecture)
    for key, value in metadata.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_array(key, value)
    for name, shape in shapes.items():
        writer.add_tensor(name, random.standard_normal(shape[::-1]).astype(np.float32))
    _finish(writer)
    return path


def write_lora_adapter(
    path: Path,
    base_path: Path,
    rank: int = 16,
    seed: int = 0,
    tensors: Iterable[str] = PROJECTIONS,
    scale: float = 0.3,
) -> Path:
    """Write an F16 LoRA adapter with random weights that fits ``base_path``.

    ``tensors`` names the projections (of every layer); ``scale`` is the size of what the adapter adds to a
    projection's output relative to the projection's input: 0 changes nothing, 0.3 the answers, 1 leaves noise.
    """
    base = HeaderReader(base_path)
    suffixes = tuple(f".{name}.weight" for name in tensors)
    random = np.random.default_rng(seed)
    writer = GGUFWriter(path, base.text("general.architecture") or "")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    for name, (n_in, n_out, *_) in base.shapes.items():
        if name.endswith(suffixes):
            lora_a = random.standard_normal((rank, n_in)) / np.sqrt(n_in)
            lora_b = random.standard_normal((n_out, rank)) * scale / np.sqrt(rank)
            writer.add_tensor(f"{name}.lora_a", lora_a.astype(np.float16))
            writer.add_tensor(f"{name}.lora_b", lora_b.astype(np.float16))
    _finish(writer)
    return path


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
