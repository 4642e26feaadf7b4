"""A chat model small enough to train in a test: two layers, and a vocabulary of bytes and a few merges."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quantize

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("h i", "hi !", "Ġ hi", "1 2", "0 1", "01 2")
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
WIDTH, LAYERS = 32, 2


def bytes_as_characters() -> list[str]:
    """The 256 characters by which byte-level vocabularies write bytes: those that show something stand for themselves,
    and the others for the rest, from 256 on."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(code) for code in (*shown, *range(256, 512 - len(shown)))]


def write_tiny(
    path: Path,
    template: str | None = TEMPLATE,
    texts: Mapping[str, str] | None = None,
    weights: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
    add_bos: bool = False,
    context_length: int = 128,
) -> Path:
    """Write a chat model of two layers with random weights and a vocabulary of 265 tokens."""
    tokens = [*SPECIAL, *bytes_as_characters(), *(merge.replace(" ", "") for merge in MERGES)]
    writer = GGUFWriter(path, "llama")
    for key, text in (
        {"general.name": "Tiny", "general.license": "mit", "tokenizer.ggml.pre": "smollm"} | dict(texts or {})
    ).items():
        writer.add_string(key, text)
    writer.add_block_count(LAYERS)
    writer.add_context_length(context_length)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * len(SPECIAL) + [TokenType.NORMAL] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(add_bos)
    if template:
        writer.add_chat_template(template)
    random = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), WIDTH)}
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.attn_{part}": (WIDTH, WIDTH) for part in ("q", "output")}
        shapes |= {f"blk.{layer}.attn_{part}": (WIDTH // 2, WIDTH) for part in ("k", "v")}
        shapes |= {f"blk.{layer}.ffn_{part}": (2 * WIDTH, WIDTH) for part in ("gate", "up")}
        shapes |= {f"blk.{layer}.ffn_down": (WIDTH, 2 * WIDTH)}
    for name, shape in shapes.items():
        values = random.standard_normal(shape) / np.sqrt(WIDTH)
        writer.add_tensor(f"{name}.weight", quantize(values.astype(np.float32), weights), raw_dtype=weights)
    for name in ("output_norm", *(f"blk.{layer}.{part}_norm" for layer in range(LAYERS) for part in ("attn", "ffn"))):
        writer.add_tensor(f"{name}.weight", 1 + random.random(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
