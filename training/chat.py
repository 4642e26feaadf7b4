"""From a conversation to the tokens a model is trained on, with loss on the answers only, for any chat template.

    encoded = encode(messages, tokenizer, max_length=2048, template_date="2026-01-31")

The template itself says where an answer is: it begins where the prompt that asks for it ends, and ends with the control
token that ends the turn. The prompt is cut into tokens as the engine does it when the model is used: control tokens are
only those that the template wrote, while text that looks like one stays text. To tell them apart, such text gets a mark
before the template sees it, and loses it before it is tokenized.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING

import jinja2

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MARK = "\ufdd0"  # a Unicode noncharacter: no text may contain it, so a message loses nothing when it is dropped
NO_LOSS = -100


class ChatError(Exception):
    """The chat template of a model does not fit training; the message is a sentence for the user."""


@dataclass(frozen=True)
class Encoded:
    """A conversation as tokens."""

    input_ids: list[int]
    labels: list[int]
    """The same tokens where there is loss, ``NO_LOSS`` elsewhere."""
    truncated: bool
    """Whether its end was cut off."""


def encode(
    messages: Sequence[Mapping[str, str]], tokenizer: "PreTrainedTokenizerFast", max_length: int, template_date: str
) -> Encoded | None:
    """Tokens of a conversation of ``role`` and ``content``, at most ``max_length``; loss on answers and their ends.

    ``template_date`` is the ISO date that templates get which write one. ``None`` when nothing of an answer can be
    learned: they begin behind ``max_length``, or the template rewrites them. An answer that the template writes
    differently once the conversation goes on is read, not learned, except at the end. Raises ``ChatError``.
    """
    vocabulary = _Vocabulary.of(tokenizer)
    marked = [{"role": each["role"], "content": vocabulary.break_up(each["content"])} for each in messages]
    chat = _Template(tokenizer, date.fromisoformat(template_date))
    whole = chat.render(marked)
    learned = bytearray(len(whole))  # a flag for each character
    for start, end in _answers(marked, whole, chat, vocabulary):
        learned[start:end] = b"\1" * (end - start)
    tokens, with_loss = _tokenize(whole, learned, tokenizer, vocabulary)
    labels = [token if loss else NO_LOSS for token, loss in zip(tokens, with_loss, strict=True)][:max_length]
    if not any(with_loss[:max_length]):
        return None
    return Encoded(tokens[:max_length], labels, truncated=len(tokens) > max_length)


class _Vocabulary:
    """The control tokens of a tokenizer."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast") -> None:
        added = tokenizer.added_tokens_decoder.items()
        self.control = {token.content: number for number, token in added if token.special and len(token.content) > 1}
        longest_first = sorted(self.control, key=len, reverse=True)
        never = "(?!)"  # matches nothing, where an empty alternative would match everywhere
        self.pattern = re.compile(f"({'|'.join(map(re.escape, longest_first)) or never})")
        begin = tokenizer.bos_token_id
        self.leading = [begin] if begin is not None and tokenizer("").input_ids[:1] == [begin] else []
        """What every sequence of this vocabulary begins with, also when the template does not write it."""

    @staticmethod
    @lru_cache(maxsize=2)
    def of(tokenizer: "PreTrainedTokenizerFast") -> "_Vocabulary":
        return _Vocabulary(tokenizer)

    def break_up(self, content: str) -> str:
        """The content with a mark inside whatever looks like a control token."""
        return self.pattern.sub(lambda found: found[0][0] + MARK + found[0][1:], content.replace(MARK, ""))


class _Template:
    """A tokenizer's chat template on a fixed day."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", day: date) -> None:
        self._tokenizer = tokenizer
        self._day = datetime.combine(day, time())

    def render(self, messages: list[dict[str, str]], ask: bool = False) -> str:
        """The conversation as text; ``ask`` adds what asks for an answer. Raises ``ChatError``."""
        try:
            text = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=ask, strftime_now=self._day.strftime
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(each["role"] for each in messages)
            raise ChatError(
                f"The base model's chat template refuses a conversation with the turns {roles}: {error}. "
                f"Leave such rows out of the data, or choose another base."
            ) from error
        return str(text)


def _answers(
    messages: list[dict[str, str]], whole: str, chat: _Template, vocabulary: _Vocabulary
) -> list[tuple[int, int]]:
    """Where the answers, ends of turn included, are in the rendered conversation. Raises ``ChatError``."""
    spans, misfits = [], 0
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = chat.render(messages[:index], ask=True)
        answered = chat.render(messages[: index + 1])
        if not (whole.startswith(prompt) and answered.startswith(prompt)):
            misfits += 1
            continue
        end_of_turn = vocabulary.pattern.search(answered, len(prompt))
        end = end_of_turn.end() if end_of_turn else len(answered.rstrip())
        if whole.startswith(answered[:end]) and message["content"].strip() in answered[len(prompt) : end]:
            spans.append((len(prompt), end))
    if misfits and not spans:
        raise ChatError(
            "The base model's chat template writes answers differently from the prompt that asks for them, so it "
            "cannot be told what is to be learned. Choose another base."
        )
    return spans


def _tokenize(
    text: str, learned: bytearray, tokenizer: "PreTrainedTokenizerFast", vocabulary: _Vocabulary
) -> tuple[list[int], list[bool]]:
    """Tokens of a rendered conversation, and for each whether its last character is to be learned."""
    parts = [part for part in vocabulary.pattern.split(text) if part]
    plain = [part.replace(MARK, "") for part in parts if part not in vocabulary.control]
    # what still looks like a control token in there is text
    cut = tokenizer(plain, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    coded = zip(cut.input_ids, cut.offset_mapping, strict=True)
    tokens: list[int] = []
    loss: list[bool] = []
    position = 0
    for part in parts:
        flags = learned[position : position + len(part)]
        position += len(part)
        if part in vocabulary.control:
            tokens.append(vocabulary.control[part])
            loss.append(bool(flags[0]))
            continue
        if MARK in part:
            flags = bytearray(flag for flag, character in zip(flags, part, strict=True) if character != MARK)
        numbers, offsets = next(coded)
        tokens += numbers
        loss += [end > 0 and bool(flags[end - 1]) for _, end in offsets]
    if tokens[:1] != vocabulary.leading:
        tokens, loss = vocabulary.leading + tokens, [False] * len(vocabulary.leading) + loss
    return tokens, loss
