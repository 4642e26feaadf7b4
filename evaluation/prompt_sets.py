"""Sets of prompts that benchmarks ask: two that come along, and any file of the user's.

| set | what |
| --- | --- |
| ``study`` | the three prompts of the published study |
| ``everyday`` | forty of our own with reference answers, in seven kinds, not used in training |

A JSONL file has one object per line: ``prompt`` (a string) or ``messages`` (role and content), and if wanted ``id``,
``kind``, ``system``, ``reference``. Any other text file has one prompt per line; blank lines are left out.
"""

import codecs
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from evaluation.records import Message, Role

PROMPT_SETS_DIR = Path(__file__).parent / "prompts"
JSONL_ENDINGS = (".jsonl", ".ndjson", ".json")
LARGEST_BYTES = 10_000_000
MOST_PROMPTS = 10_000
MOST_FAULTS_SHOWN = 20

TEXTS = ("prompt", "id", "kind", "system", "reference")
KEYS = (*TEXTS, "messages")
MESSAGE_KEYS = ("role", "content")
ROLES = get_args(Role)
TYPES = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
EXAMPLE = '{"prompt": "Why is the sky blue?"}'
EXAMPLE_MESSAGES = '[{"role": "user", "content": "Why is the sky blue?"}]'


class PromptSetError(Exception):
    """The set cannot be used; the message names the file, the line and the fault, all faults at once."""


@dataclass(frozen=True)
class Prompt:
    """One thing to ask."""

    id: str
    """Unique in its set; ``line-7`` when the file gives none."""
    messages: tuple[Message, ...]
    """Ends with a user's message."""
    kind: str | None = None
    reference: str | None = None
    """A good answer, not written by the models compared."""


@dataclass(frozen=True)
class PromptSet:
    """Prompts under one name."""

    name: str
    prompts: tuple[Prompt, ...]
    sha256: str
    """Of the content: two sets of one name may differ."""
    warnings: tuple[str, ...] = ()
    """What was left out, one sentence each: prompts that are there twice."""


def known_sets() -> list[str]:
    """Names of the sets that come along."""
    return sorted(path.stem for path in PROMPT_SETS_DIR.glob("*.jsonl"))


def load_prompt_set(name_or_path: str) -> PromptSet:
    """A set that comes along by its name, or the user's own by its path. Raises ``PromptSetError``.

    The name of a user's set is its file's name with the ending, which tells it from those that come along.
    """
    if name_or_path in known_sets():
        return parse_prompt_set(name_or_path, (PROMPT_SETS_DIR / f"{name_or_path}.jsonl").read_bytes(), jsonl=True)
    try:
        path = Path(name_or_path).expanduser()
        if not path.is_file():
            raise PromptSetError(_no_such_set(name_or_path))
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: ~nobody
        raise PromptSetError(f"{name_or_path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return parse_prompt_set(path.name, content, path.suffix.lower() in JSONL_ENDINGS)


def parse_prompt_set(name: str, content: bytes, jsonl: bool) -> PromptSet:
    """A set from the content of a file (or of an upload). Raises ``PromptSetError``.

    Prompts that ask the same as an earlier one are left out with a warning. A JSON file that is a single list is read
    as one object per item.
    """
    if len(content) > LARGEST_BYTES:
        raise PromptSetError(f"{name} is larger than {LARGEST_BYTES // 10**6} MB. Split it or choose fewer prompts.")
    unit, entries, faults = _entries(_decode(name, content), jsonl)
    if (count := len(entries) + len(faults)) > MOST_PROMPTS:
        raise PromptSetError(f"{name} holds {count:,} prompts, more than the {MOST_PROMPTS:,} of a set. Split it.")
    prompts: dict[int, Prompt] = {}
    for number, entry in entries.items():
        if found := list(_entry_faults(entry)):
            faults += [(number, fault) for fault in found]
        else:
            prompts[number] = _prompt(entry, f"{unit}-{number}")
    distinct, warnings, clashes = _distinct(prompts, unit)
    if faults := sorted(faults + clashes, key=lambda fault: fault[0]):
        raise PromptSetError(_listed(name, [f"{unit} {number}: {fault}" for number, fault in faults]))
    if not distinct:
        raise PromptSetError(f"{name} holds no prompt. Write one {'object' if jsonl else 'prompt'} on each line.")
    canonical = json.dumps([dataclasses.asdict(each) for each in distinct], sort_keys=True, separators=(",", ":"))
    return PromptSet(name, tuple(distinct), hashlib.sha256(canonical.encode()).hexdigest(), tuple(warnings))


_Faults = list[tuple[int, str]]
"""Number of the line or item, and what is wrong with it."""


def _decode(name: str, content: bytes) -> str:
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PromptSetError(_listed(name, [f"line {line}: this is not UTF-8. Save the file as UTF-8."])) from None


def _entries(text: str, jsonl: bool) -> tuple[str, dict[int, Any], _Faults]:
    """What an entry is called, the entries by their numbers, and the lines that are none."""
    # not splitlines(), which also splits at characters that may stand inside a JSON string
    numbered = enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1)
    lines = {number: line.strip() for number, line in numbered if line.strip()}
    if not jsonl:
        return "line", {number: {"prompt": line} for number, line in lines.items()}, []
    if text.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            return "item", dict(enumerate(json.loads(text), start=1)), []
    entries: dict[int, Any] = {}
    faults: _Faults = []
    for number, line in lines.items():
        try:
            entries[number] = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            faults.append(
                (number, f"this is not JSON ({reason}). Write a whole object on one line, such as {EXAMPLE}.")
            )
    return "line", entries, faults


def _entry_faults(entry: object) -> Iterator[str]:
    """Everything that keeps an entry from being a prompt."""
    if not isinstance(entry, dict):
        yield f"this is {_type(entry)} and not an object. Write it like {EXAMPLE}."
        return
    yield from _unknown_keys(entry, KEYS)
    given = {key: value for key, value in entry.items() if value is not None}
    for key in (key for key in TEXTS if key in given):
        yield from _text_faults(key, given[key])
    if "prompt" in given and "messages" in given:
        yield "there are both a prompt and messages. Leave one of them out."
    elif "messages" in given:
        yield from _messages_faults(given["messages"], "system" in given)
    elif "prompt" not in given:
        yield f"there is neither a prompt nor messages. Write it like {EXAMPLE}."


def _messages_faults(messages: object, has_system: bool) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        found = "empty" if messages == [] else _type(messages)
        yield f"messages is {found}. Make it a list such as {EXAMPLE_MESSAGES}."
        return
    for number, message in enumerate(messages, start=1):
        which = f"message {number}"
        if not isinstance(message, dict):
            yield f"{which} is {_type(message)} and not an object. Give it a role and a content."
            continue
        yield from (f"{which}: {fault}" for fault in _unknown_keys(message, MESSAGE_KEYS))
        yield from _text_faults(f"the content of {which}", message.get("content"))
        role = message.get("role")
        if role not in ROLES:
            found = _shown(role) if isinstance(role, str) else _type(role)
            yield f"the role of {which} is {found}. Make it {', '.join(ROLES[:-1])} or {ROLES[-1]}."
        elif role == "system" and (number > 1 or has_system):
            yield f"{which} is a second or late system prompt. Only one is possible, before all other messages."
    if isinstance(messages[-1], dict) and messages[-1].get("role") in ROLES and messages[-1]["role"] != "user":
        yield f"the last message is the {messages[-1]['role']}'s. End with the user's, which the model is to answer."


def _unknown_keys(entry: Mapping[str, object], known: Sequence[str]) -> Iterator[str]:
    for key in (key for key in entry if key not in known):
        near = get_close_matches(key.lower(), known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}; leave it out."
        yield f"there is no key {_shown(key)}. {hint}"


def _text_faults(what: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{what} is {_type(value)} and not text. Write text in quotes."
    elif not value.strip():
        yield f"{what} is empty. Write something there or leave it out."
    elif any("\ud800" <= character <= "\udfff" for character in value):
        yield f"{what} has half a character in it (an unpaired \\ud8… or \\udc…). Remove it."


def _prompt(entry: Mapping[str, Any], default_id: str) -> Prompt:
    """The prompt of an entry without faults."""
    turns = entry.get("messages") or [{"role": "user", "content": entry["prompt"]}]
    messages = [Message(turn["role"], turn["content"]) for turn in turns]
    if system := entry.get("system"):
        messages.insert(0, Message("system", system))
    return Prompt(entry.get("id") or default_id, tuple(messages), entry.get("kind"), entry.get("reference"))


def _distinct(prompts: Mapping[int, Prompt], unit: str) -> tuple[list[Prompt], list[str], _Faults]:
    """The first of prompts that ask the same, warnings about the others, and ids that are there twice."""
    of_messages: dict[tuple[Message, ...], int] = {}
    of_id: dict[str, int] = {}
    warnings: list[str] = []
    clashes: _Faults = []
    for number, prompt in prompts.items():
        if (first := of_messages.setdefault(prompt.messages, number)) != number:
            other = " with another reference" if prompt.reference != prompts[first].reference else ""
            warnings.append(f"{unit} {number} asks the same as {unit} {first}{other} and is left out.")
        elif (first := of_id.setdefault(prompt.id, number)) != number:
            clashes.append((number, f"the id {_shown(prompt.id)} belongs to {unit} {first} already. Choose another."))
    return [prompts[number] for number in of_messages.values()], warnings, clashes


def _no_such_set(name: str) -> str:
    near = get_close_matches(name, known_sets(), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return (
        f"There is no prompt set and no file {_shown(name)}.{hint} The sets that come along are "
        f"{' and '.join(known_sets())}; a set of your own is named by the path of its file."
    )


def _listed(name: str, faults: Sequence[str]) -> str:
    more = len(faults) - MOST_FAULTS_SHOWN
    rest = [f"and {more:,} more."] if more > 0 else []
    return "\n".join([f"{name} cannot be used.", *faults[:MOST_FAULTS_SHOWN], *rest])


def _type(value: object) -> str:
    return TYPES.get(type(value), "missing")


def _shown(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:60]}…"
