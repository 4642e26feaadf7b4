"""Forms of training data: from a row as it is stored to a conversation, or to the reason why it cannot be used.

========  ======================================  ============================================
form      columns                                 known from
========  ======================================  ============================================
sharegpt  ``conversations``: ``from``, ``value``  ShareGPT, FineTome
alpaca    ``instruction``, ``input``, ``output``  Alpaca; ``input`` may be missing or empty
messages  ``messages``: ``role``, ``content``     the chat form of most APIs
========  ======================================  ============================================

Every form may have the columns ``source`` and ``score``.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["sharegpt", "alpaca", "messages"]
Message = dict[str, str]
"""``role`` (system, user or assistant) and ``content``."""

NEEDED: Mapping[Form, tuple[str, ...]] = {
    "sharegpt": ("conversations",),
    "alpaca": ("instruction", "output"),
    "messages": ("messages",),
}
READ = ("conversations", "instruction", "input", "output", "messages", "source", "score")

ROLES = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


class DataError(Exception):
    """Data cannot be used; the message tells the user which, why and what to do."""


class Unusable(Exception):
    """Why a row is left out: a few words that are the same for every row with this fault."""


@dataclass(frozen=True, slots=True)
class Row:
    """A usable conversation: an optional system prompt, then questions and answers in turn, an answer at the end."""

    messages: tuple[Message, ...]
    """No text is empty or has white space around it."""
    source: str | None = None
    score: float | None = None

    @property
    def answers(self) -> list[str]:
        return [each["content"] for each in self.messages if each["role"] == "assistant"]


def choose_form(wanted: Literal["auto"] | Form, columns: Collection[str], name: str) -> Form:
    """The form of data with these columns. Raises ``DataError`` when it is not the wanted one, or not one alone."""
    fitting = [form for form, needed in NEEDED.items() if set(needed) <= set(columns)]
    if wanted in fitting:
        return wanted
    if wanted == "auto" and len(fitting) == 1:
        return fitting[0]
    found = f"{name} has the columns {', '.join(columns)}"
    if wanted != "auto":
        raise DataError(f"{found}, but the form {wanted} needs {' and '.join(NEEDED[wanted])}. Change data.form.")
    if fitting:
        raise DataError(f"{found}, which fit the forms {' and '.join(fitting)}: say in data.form which one is meant.")
    known = "; ".join(f"{form}: {' and '.join(needed)}" for form, needed in NEEDED.items())
    raise DataError(f"{found}, which fit no known form ({known}). Rename the columns of the data.")


def read_row(stored: Mapping[str, Any], form: Form) -> Row:
    """The conversation of a row. Raises ``Unusable``."""
    turns = _TURNS[form](stored)
    messages = tuple({"role": _role(role), "content": _content(role, text)} for role, text in turns)
    _check_order([each["role"] for each in messages])
    source, score = stored.get("source"), stored.get("score")
    return Row(
        messages,
        source if isinstance(source, str) else None,
        float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None,
    )


def _of_sharegpt(row: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    return _of_list(row["conversations"], "from", "value") if "conversations" in row else _missing("conversations")


def _of_messages(row: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    return _of_list(row["messages"], "role", "content") if "messages" in row else _missing("messages")


def _of_alpaca(row: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    if not {"instruction", "output"} <= row.keys():
        _missing("instruction or output")
    question, context = row["instruction"], row.get("input")
    if context is not None and not (isinstance(question, str) and isinstance(context, str)):
        raise Unusable("a turn that is not text")
    if context and context.strip():
        question = f"{question.strip()}\n\n{context}"
    return [("user", question), ("assistant", row["output"])]


_TURNS: Mapping[Form, Callable[[Mapping[str, Any]], Iterable[tuple[Any, Any]]]] = {
    "sharegpt": _of_sharegpt,
    "alpaca": _of_alpaca,
    "messages": _of_messages,
}


def _missing(column: str) -> list[tuple[Any, Any]]:
    raise Unusable(f"no {column}")


def _of_list(turns: object, role: str, text: str) -> list[tuple[Any, Any]]:
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise Unusable("no list of turns")
    if not all(turn.keys() >= {role, text} for turn in turns):
        raise Unusable(f"a turn without {role} and {text}")
    return [(turn[role], turn[text]) for turn in turns]


def _role(name: object) -> str:
    if not isinstance(name, str) or name not in ROLES:
        raise Unusable(f"unknown role {str(name)[:20]}")
    return ROLES[name]


def _content(role: str, text: object) -> str:
    if not isinstance(text, str):
        raise Unusable("a turn that is not text")
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write and no tokenizer can read
        raise Unusable("text that is not valid Unicode") from None
    if not text.strip():
        raise Unusable({"system": "empty system prompt", "user": "empty question"}.get(ROLES[role], "empty answer"))
    return text.strip()


def _check_order(roles: list[str]) -> None:
    if "assistant" not in roles:
        raise Unusable("no answer")
    turns = roles[1:] if roles[0] == "system" else roles
    if any(role != expected for role, expected in zip(turns, ["user", "assistant"] * len(turns), strict=False)):
        raise Unusable("turns in the wrong order")
    if turns[-1] != "assistant":
        raise Unusable("no answer to the last question")
