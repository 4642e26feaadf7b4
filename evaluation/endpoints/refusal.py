"""What a server says when it refuses a request: its sentence, and which settings it does not know."""

import json
import re
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

_CONTEXT = re.compile(r"context[ _-]?(length|size|window)|exceed_context", re.IGNORECASE)
_UNKNOWN = re.compile(
    r"unsupported|unknown|unrecogni[sz]ed|unexpected|forbidden|extra (field|input)|cannot both be"
    r"|not (support|permitted|allowed|recogni[sz]ed|a valid (parameter|argument|field|property|setting))",
    re.IGNORECASE,
)
_ADVICE = re.compile(r"\b(expected|instead|only|use|valid|supported (are|parameters))\b", re.IGNORECASE)
"""Behind it stand the settings that the server does know."""
_BEFORE = r"(?:^|['\"`:,(\[]|\b(?:and|argument|parameter|field|name|property|setting|option|input|support)s?)\s*"
_BEHIND = r"(?=\s*(?:['\"`:,.;)\]]|$|(?:is|are|and|does|cannot|not)\b))"


class Complaint(NamedTuple):
    """One thing that the server does not like."""

    text: str
    kind: str
    """Its code and type, as far as it has any."""
    fields: tuple[str, ...]
    """What it is about: the place in the request."""

    def unknown(self, wanted: Collection[str]) -> list[str]:
        """The settings among ``wanted`` that it calls unknown; one whose value it does not like is not among them."""
        if not _UNKNOWN.search(f"{self.text} {self.kind.replace('_', ' ')}"):
            return []
        if self.fields:
            return [name for name in self.fields if name in wanted]
        text = _ADVICE.split(self.text)[0]
        return [name for name in wanted if re.search(f"{_BEFORE}{name}{_BEHIND}", text)]


class Refused(Exception):
    """The server answered, but with a status that is no success."""

    def __init__(
        self, status: int, body: str = "", retry_after: str | None = None, location: str | None = None
    ) -> None:
        """``retry_after``: the header of that name; ``location``: where it would rather have the request."""
        super().__init__(status)
        self.status, self.location = status, location
        self.retry_after_s = _seconds_until(retry_after or "")
        self.complaints = complaints(body)

    @property
    def context_is_full(self) -> bool:
        said = (f"{each.text} {each.kind}" for each in self.complaints)
        return self.status in (400, 413, 422) and any(map(_CONTEXT.search, said))

    def unknown(self, wanted: Collection[str]) -> set[str]:
        """The settings among ``wanted`` that the server does not know."""
        if self.status not in (400, 422) or self.context_is_full:
            return set()
        return {name for each in self.complaints for name in each.unknown(wanted)}


def complaints(body: str) -> tuple[Complaint, ...]:
    """What the server says in an answer, in JSON or as plain text; nothing when that is a page for browsers."""
    try:
        return tuple(_complaints(json.loads(body)))
    except (ValueError, RecursionError):
        return () if "<" in body else (Complaint(body, "", ()),)


def _complaints(answer: Any) -> Iterator[Complaint]:
    """Where servers put their sentence: OpenAI's ``error.message``, FastAPI's ``detail``, and others. What they repeat
    of the request (FastAPI's ``input``) is passed over."""
    if isinstance(answer, str):
        yield Complaint(answer, "", ())
    elif isinstance(answer, list):
        for each in answer:
            yield from _complaints(each)
    elif isinstance(answer, dict):
        places = (answer.get(name) for name in ("error", "message", "detail", "msg"))
        said = next((each for each in places if each and isinstance(each, str | list | dict)), None)
        if isinstance(said, str):
            place = answer.get("loc", str(answer.get("param") or "").split("."))
            fields = tuple(part for part in place if part and isinstance(part, str)) if isinstance(place, list) else ()
            yield Complaint(said, f"{answer.get('code')} {answer.get('type')}", fields)
        else:
            yield from _complaints(said)


def _seconds_until(retry_after: str) -> float | None:
    """``Retry-After`` holds seconds or a date; ``None`` when it holds nothing that makes sense."""
    seconds = -1.0  # as long as nothing is known
    try:
        seconds = float(retry_after)
    except ValueError:
        with suppress(ValueError):
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
    return seconds if 0 <= seconds < 1e9 else None
