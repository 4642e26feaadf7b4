"""Records out of Parquet files, whose columns are the fields of the record's dataclass (``record_source``)."""

import dataclasses
import glob
import json
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any

import duckdb

from evaluation.record_source import column_kinds, relation

_BATCH = 1_000


def json_rows(kind: Any, path: Path, field: str | None = None, value: str | None = None) -> Iterator[bytes]:
    """The rows as the lines they were made of. With a ``field``, for example ``cell.benchmark``, only those that have
    this value there. Raises ``duckdb.Error``."""
    rows = relation(column_kinds(kind), (), [glob.escape(str(path))])
    condition, parameters = (f"WHERE {field} = ?", [value]) if field else ("", [])
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT to_json(record) FROM {rows} AS record {condition}", parameters)
        while batch := found.fetchmany(_BATCH):
            for (text,) in batch:
                yield json.dumps(_stated(kind, json.loads(text)), ensure_ascii=False).encode() + b"\n"


def _stated(kind: Any, row: dict[str, Any]) -> dict[str, Any]:
    """The row without NULL in fields that can't be unknown: the line did not have them, so they have their defaults."""
    stated = {}
    for name, (nullable, inner) in _fields(kind).items():
        value = row[name]
        if value is not None or nullable:
            stated[name] = _stated(inner, value) if inner and value is not None else value
    return stated


@cache
def _fields(kind: Any) -> dict[str, tuple[bool, Any]]:
    """Of each field, whether it may be unknown, and the dataclass it holds."""
    fields = {}
    for name, annotation in typing.get_type_hints(kind).items():
        parts = typing.get_args(annotation) or (annotation,)
        inner = next((part for part in parts if dataclasses.is_dataclass(part)), None)
        fields[name] = (NoneType in parts, inner if typing.get_origin(annotation) is not tuple else None)
    return fields
