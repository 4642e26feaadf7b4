"""A record as one line of JSON, and back."""

import dataclasses
import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from evaluation.records import FORMAT_VERSION, AnswerLoss, Response

Record = TypeVar("Record", Response, AnswerLoss)


@dataclasses.dataclass(frozen=True)
class _Envelope:
    format: int


_ENVELOPE = TypeAdapter(_Envelope)
_ADAPTERS: dict[type, TypeAdapter[Any]] = {Response: TypeAdapter(Response), AnswerLoss: TypeAdapter(AnswerLoss)}
_NAMES: dict[type, str] = {Response: "a response", AnswerLoss: "an answer loss"}


def to_json_line(record: Response | AnswerLoss) -> bytes:
    """The stored form of a record: one line of UTF-8 JSON with its newline."""
    return f"{to_json_text(dataclasses.asdict(record))}\n".encode()


def to_json_text(value: Any, indent: int | None = None) -> str:
    """JSON of plain values, always encodable."""
    return encodable(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent))


def encodable(text: str) -> str:
    """The text with U+FFFD for half surrogate pairs, which a program can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_json_line(kind: type[Record], line: bytes) -> Record:
    """Read a stored record. Raises ``ValueError`` with a sentence when the line is not one of this kind."""
    try:
        version = _ENVELOPE.validate_json(line, strict=True).format
        if version > FORMAT_VERSION:
            raise ValueError(
                f"The record was written by a newer version of this program (format {version}, "
                f"this version reads up to {FORMAT_VERSION}); update to read it."
            )
        if version < 1:
            raise ValueError(f"There is no format {version}: the line is not {_NAMES[kind]} record.")
        record: Record = _ADAPTERS[kind].validate_json(line, strict=True)
        return record
    except ValidationError as error:
        raise ValueError(_reason(error, line, _NAMES[kind])) from None


def _reason(error: ValidationError, line: bytes, name: str) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "json_invalid" and not line.endswith(b"\n"):
        return "The last line is cut off, because the program or the machine stopped while it was written."
    if problem["type"] == "json_invalid" or not field:
        return f"The line is not {name} record."
    if problem["type"] == "missing":
        return f"The field {field} is missing."
    return f"The field {field} is not valid: {problem['msg']}."
