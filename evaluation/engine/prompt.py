"""From messages to prompt tokens, through the chat template that the model file carries.

A template writes control tokens such as ``<|im_end|>`` between the messages. What a user types must never become one:
:func:`render` breaks their text inside messages with a mark, so that only those that the template itself wrote are
found when the prompt is cut into tokens, and the mark is taken out again before the rest is tokenized as plain text.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from typing import NoReturn

import jinja2

from evaluation.chat_template import compile_template
from evaluation.records import Message

MARK = "\ufdd0"  # a Unicode noncharacter: no text may contain it, so a message loses nothing when it is dropped


class PromptError(Exception):
    """The template does not accept these messages; the message is a sentence for the user."""


class PromptFormat:
    """A compiled chat template and the control tokens of its vocabulary."""

    def __init__(self, template: str, control_tokens: dict[str, int], bos: str, eos: str) -> None:
        """Raises ``PromptError`` when the template cannot be compiled."""
        try:
            self._template = compile_template(template)
        except jinja2.TemplateError as error:
            raise PromptError(f"The model's chat template is not valid: {error}.") from error
        self._control_tokens = {text: token for text, token in control_tokens.items() if len(text) > 1}
        longest_first = sorted(self._control_tokens, key=len, reverse=True)
        never = "(?!)"  # matches nothing, where an empty alternative would match everywhere
        self._control = re.compile(f"({'|'.join(map(re.escape, longest_first)) or never})")
        self._special = {"bos_token": bos, "eos_token": eos}

    def render(self, messages: Sequence[Message], today: date) -> str:
        """The prompt as text, marks included, up to where the answer begins. Raises ``PromptError``."""
        try:
            return self._template.render(
                messages=[{"role": m.role, "content": self._break(m.content)} for m in messages],
                add_generation_prompt=True,
                strftime_now=lambda form: datetime.combine(today, time()).strftime(form),
                raise_exception=_refuse,
                **self._special,
            )
        except (jinja2.TemplateError, TypeError, ValueError, OverflowError) as error:
            raise PromptError(f"The model's chat template refuses this conversation: {error}.") from error

    def tokens(self, text: str, tokenize: Callable[[str], list[int]]) -> list[int]:
        """Tokens of (a part of) a rendered prompt; ``tokenize`` must treat its argument as plain text."""
        tokens: list[int] = []
        for part in self._control.split(text):
            if part in self._control_tokens:
                tokens.append(self._control_tokens[part])
            elif part:
                tokens += tokenize(part.replace(MARK, ""))
        return tokens

    def _break(self, content: str) -> str:
        return self._control.sub(lambda found: found[0][0] + MARK + found[0][1:], content.replace(MARK, ""))


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
