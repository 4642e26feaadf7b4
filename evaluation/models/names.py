"""Names of models as people write them, from what their files state."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_QUANTIZATION = re.compile(
    r"(?:^|[-_. ])(?:UD[-_])?"
    r"(I?Q\d_(?:[01]|K(?:_(?:XS|S|M|L|XL))?|XXS|XS|S|M|NL)|TQ\d_\d|MXFP4(?:_MOE)?|BF16|F16|F32)$",
    re.IGNORECASE,
)
_CHAT_WORDS = {"instruct", "chat", "it"}
_SAYS_NOTHING = {
    "adapter", "adapter model", "content", "ggml adapter model", "ggml model", "gguf", "lora", "model", "unsloth"
}  # fmt: skip
LONGEST_NAME = 60


def printable(text: str) -> str:
    """On one line, without marks that nobody sees and that turn around or hide the text beside them."""
    seen = (character for character in text if unicodedata.category(character) != "Cf")
    return " ".join("".join(character if character.isprintable() else " " for character in seen).split())


def quantization_in(stem: str) -> str | None:
    """``Q4_K_M`` for ``llama-3.2-1b-q4_k_m``."""
    found = _QUANTIZATION.search(stem)
    return found[1].upper() if found else None


def display_name(stated: str | None, stem: str, folder: str = "") -> str:
    """``Llama 3.2 1B Instruct``, from the name that the file states or else from the file's name (without suffix).

    A stated name without the word instruct, where the file's name has it, is that of a training checkpoint
    (``Smollm2 135M 8k Lc100K Mix1 Ep2``); then the file's name tells people more. Where both are words such as
    ``model``, the folder's name does.
    """
    by_file, by_author = _clean(stem), _clean(stated or "")
    checkpoint = _chat_words(by_file) and not _chat_words(by_author)
    names = [by_file, by_author] if checkpoint else [by_author, by_file]
    telling = [name for name in (*names, _clean(folder)) if name and name.casefold() not in _SAYS_NOTHING]
    return next(iter(telling or filter(None, names)), stem)


def distinct(names: Sequence[str], *details: Sequence[str]) -> list[str]:
    """Names that occur more than once get the first detail appended, those that then still do the next one."""
    for detail in details:
        count = Counter(names)
        names = [f"{name} {more}" if count[name] > 1 else name for name, more in zip(names, detail, strict=True)]
    return list(names)


def folder_detail(path: Path) -> str:
    """``(maker/Tiny-GGUF)``: the two folders above a file, which name the repository of one that was downloaded."""
    return f"({path.parent.parent.name}/{path.parent.name})"


def _chat_words(name: str) -> set[str]:
    return _CHAT_WORDS & set(name.casefold().split())


def _clean(text: str) -> str:
    last_part = re.split(r"[/\\]", text.strip())[-1].removesuffix(".gguf")
    words = re.split(r"[\s_-]+", _QUANTIZATION.sub("", printable(last_part)))
    return " ".join(_word(word) for word in words if word)[:LONGEST_NAME].strip()


def _word(word: str) -> str:
    if re.fullmatch(r"\d+(\.\d+)?[bmk]", word):
        return word.upper()
    if re.fullmatch(r"(?!v\d)[a-z][a-z0-9.]*", word):
        return word.capitalize()
    return word
