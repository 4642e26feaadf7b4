"""Configuration and tokenizer of a GGUF, as llama.cpp has them, in Hugging Face's form.

transformers reads the vocabulary of a GGUF, but not its rules for splitting text into words nor all of its special
tokens: a Llama 3 read that way was taught other tokens than llama.cpp reads for the same text. It also takes some ten
seconds, so the result is kept.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.gguf_header import read_header

FORMAT = 1
"""Of what is kept; a change of the rules below must raise it, or what was kept before would still be used."""

# What Llama 3 and Qwen 2 publish in their tokenizer.json; they differ in how many digits make a word
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA_3 = (_WORDS.replace("DIGITS", r"\p{N}{1,3}"),)
_QWEN_2 = (_WORDS.replace("DIGITS", r"\p{N}"),)
_SPLITS: dict[str, tuple[str, ...]] = {
    "llama-bpe": _LLAMA_3,
    "llama3": _LLAMA_3,
    "llama-v3": _LLAMA_3,
    "qwen2": _QWEN_2,
    "deepseek-r1-qwen": _QWEN_2,
    "smollm": (r"\p{N}", _GPT2_WORDS),
    "gpt-2": (_GPT2_WORDS,),
}
"""By ``tokenizer.ggml.pre``: patterns whose matches, one pattern after the other, become words."""
_LIKE_LLAMA_3 = {rules for rules, patterns in _SPLITS.items() if patterns is _LLAMA_3}
"""A word that is a token is one, even if merging pairs would not lead there; a text begins with the BOS token."""


def kept(path: Path, folder: Path) -> Path:
    """The folder, filled if this is the first call for it. Raises ``ValueError`` for rules that are not known here."""
    if folder.is_dir():
        return folder
    from transformers import AutoConfig, PreTrainedTokenizerFast

    header, where = read_header(path), {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(**where)
    _mend(tokenizer, header)
    config: Any = AutoConfig.from_pretrained(**where)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-"))
    try:
        tokenizer.save_pretrained(unfinished)
        config.save_pretrained(unfinished)
        os.rename(unfinished, folder)
    except OSError:
        if not folder.is_dir():  # another process was first
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _mend(tokenizer: Any, header: Mapping[str, Any]) -> None:
    from tokenizers import Regex, decoders, pre_tokenizers, processors

    for role in ("bos", "eos", "unk", "pad"):
        key = {"unk": "unknown", "pad": "padding"}.get(role, role)
        number = header.get(f"tokenizer.ggml.{key}_token_id")
        setattr(tokenizer, f"{role}_token", None if number is None else tokenizer.convert_ids_to_tokens(number))
    tokenizer.clean_up_tokenization_spaces = False
    if header.get("tokenizer.ggml.model") != "gpt2":  # the others have no rules of their own
        return
    rules = str(header.get("tokenizer.ggml.pre"))
    if rules not in _SPLITS:
        raise ValueError(f"its tokenizer splits text by the rules {rules!r}, known are {', '.join(_SPLITS)}")
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in _SPLITS[rules]]
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    backend.decoder = decoders.ByteLevel()
    backend.model.ignore_merges = rules in _LIKE_LLAMA_3
    if header.get("tokenizer.ggml.add_bos_token", rules in _LIKE_LLAMA_3):
        bos = (tokenizer.bos_token, tokenizer.bos_token_id)
        backend.post_processor = processors.TemplateProcessing(f"{bos[0]} $A", f"{bos[0]} $A $B", [bos])
