"""Text of models and users made safe to show: nothing in it may fetch from the network or run."""

import re

_FENCE = re.compile(r"(?:\A|\n\n)```[\w+#-]*\n.*?\n```(?=\n|\Z)", re.DOTALL)
_OPENS_OTHER_BLOCK = re.compile(r"<[a-z!?/]|\$\$", re.IGNORECASE)
_WOULD_BE_LINKED = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=@)(?=\w)", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\u200b"

LONG_MESSAGE_CHARACTERS = 800


def as_markdown(text: str) -> str:
    """A model's answer as Markdown whose images are spelled out instead of fetched.

    Code fences keep ``![`` as it is (it is Rust, for one), unless something around them could make Markdown see
    another structure than the pattern does.
    """
    fences = _FENCE.findall(text)
    around = _FENCE.split(text)
    if any(_OPENS_OTHER_BLOCK.search(part) for part in around):
        return _without_images(text)
    parts = [_without_images(around[0])]
    for fence, part in zip(fences, around[1:], strict=True):
        parts += [fence, _without_images(part)]
    return "".join(parts)


def _without_images(text: str) -> str:
    return text.replace("![", f"!{_ZERO_WIDTH_SPACE}[")


def as_plain(text: str) -> str:
    """Text as Markdown that shows it to the letter: names of files and models, and sentences that quote them. Addresses
    of the web and of mail, which Markdown makes links of by itself, are broken up where nobody sees it."""
    text = _WOULD_BE_LINKED.sub(_ZERO_WIDTH_SPACE, " ".join(text.split()))
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def shortened(message: str) -> str:
    """The message as far as a page can bear it, with its length if that is not all of it."""
    if len(message) <= LONG_MESSAGE_CHARACTERS:
        return message
    return f"{message[:LONG_MESSAGE_CHARACTERS]}… ({len(message):,} characters in all)"
