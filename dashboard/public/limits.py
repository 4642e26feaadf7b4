"""How much strangers may ask of a public deployment. The defaults suit two cores and a model of about 1B parameters.

Each can be changed by an environment variable:

    PUBLIC_QUEUE=20             answers that may be under way, of all visitors together
    PUBLIC_PROMPT_CHARACTERS    of a message with the system prompt and the stop strings
    PUBLIC_ANSWER_TOKENS        of an answer
    PUBLIC_ANSWERS_PER_HOUR     for one visitor; a message to two panes asks for two
    PUBLIC_ANSWERS_PER_HOUR_IN_ALL   for all visitors together
    PUBLIC_ANSWERS_AT_ONCE      for one visitor, written or waiting
    PUBLIC_PANES                side by side
    PUBLIC_ENDPOINTS=1          strangers may ask the endpoints as well, which may cost the owner money
    PUBLIC_PROXIES=1            with public addresses before the app; 0: none, then no header is believed
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

PREFIX = "PUBLIC_"
NO = ("", "0", "false", "no")


class LimitError(ValueError):
    """A variable is not what it must be; the message is a sentence."""


@dataclass(frozen=True)
class Limits:
    """What a stranger may do."""

    queue: int = 20
    """Answers being written or waiting for it, of all strangers together."""
    prompt_characters: int = 4_000
    """Of everything that a visitor types for one answer."""
    answer_tokens: int = 512
    answers_per_hour: int = 60
    """Of one visitor."""
    answers_per_hour_in_all: int = 1_200
    """Of all strangers together, whoever they say they are."""
    answers_at_once: int = 4
    """Of one visitor, being written or waiting."""
    panes: int = 2
    endpoints: bool = False
    """Whether strangers may ask the endpoints: each answer may cost money."""
    proxies: int = 1
    """Between the internet and the app; those that reach each other by private addresses count as one."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Limits":
        """Raises ``LimitError``, which names all variables that are not understood."""
        given = {field.name: environment.get(f"{PREFIX}{field.name.upper()}", "").strip() for field in fields(cls)}
        numbers = {name: text for name, text in given.items() if text and name != "endpoints"}
        wrong = [
            f"{PREFIX}{name.upper()} is {text!r}"
            for name, text in numbers.items()
            if not (text.isascii() and text.isdigit() and (int(text) or name == "proxies"))
        ]
        if wrong:
            raise LimitError(f"{' and '.join(wrong)}: give a whole number from 1 on, or remove the variable.")
        return cls(
            **{name: int(text) for name, text in numbers.items()}, endpoints=given["endpoints"].lower() not in NO
        )
