"""Files of records as one relation of DuckDB: JSON lines, and Parquet files that were made of them.

The columns are spelled out from the dataclass of the record, so a damaged line does no harm: what does not fit becomes
NULL. A file that was written before a field existed has NULL there, too.
"""

import dataclasses
import typing
from collections.abc import Sequence
from types import NoneType
from typing import Any


def column_kinds(record: Any) -> dict[str, str]:
    """The columns of a dataclass of records, each with its DuckDB type; nested dataclasses are structs."""
    return {name: _sql_type(kind) for name, kind in typing.get_type_hints(record).items()}


def complete(record: Any) -> str:
    """The SQL condition that a row has all that a record cannot lack or leave unknown, nested fields included."""
    return " AND ".join(f"{name} IS NOT NULL" for name in _required(record))


def relation(kinds: dict[str, str], json_files: Sequence[str], parquet_files: Sequence[str] = ()) -> str:
    """A subquery over all rows of the files, in brackets. DuckDB takes the names for patterns: escape them."""
    parts = [nothing(kinds)]
    if json_files:
        parts.append(f"SELECT * FROM {json_scan(kinds, json_files)}")
    if parquet_files:
        parts.append(f"SELECT * FROM {parquet_scan(parquet_files)}")
    return f"({' UNION ALL BY NAME '.join(parts)})"


def nothing(kinds: dict[str, str]) -> str:
    """A query with these columns and no row: what a file lacks is NULL when the two are united by name."""
    return "SELECT " + ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in kinds.items()) + " WHERE false"


def json_scan(kinds: dict[str, str], files: Sequence[str]) -> str:
    """What reads JSON lines; names as in ``relation``."""
    columns = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in kinds.items())
    return (
        f"read_json({_listed(files)}, format = 'newline_delimited', ignore_errors = true, "
        f"hive_partitioning = false, columns = {{{columns}}})"
    )


def parquet_scan(files: Sequence[str]) -> str:
    """What reads Parquet files; names as in ``relation``."""
    return f"read_parquet({_listed(files)}, union_by_name = true, hive_partitioning = false)"


def _sql_type(annotation: Any) -> str:
    arguments = typing.get_args(annotation)
    if NoneType in arguments:
        return _sql_type(next(a for a in arguments if a is not NoneType))
    if typing.get_origin(annotation) is tuple:
        return f"{_sql_type(arguments[0])}[]"
    if dataclasses.is_dataclass(annotation):
        fields = [f'"{name}" {kind}' for name, kind in column_kinds(annotation).items()]
        return f"STRUCT({', '.join(fields)})"
    return {int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}.get(annotation, "VARCHAR")


def _required(record: Any, prefix: str = "") -> list[str]:
    kinds = typing.get_type_hints(record)
    names = []
    for field in dataclasses.fields(record):
        if field.default is dataclasses.MISSING and NoneType not in typing.get_args(kinds[field.name]):
            path = f'{prefix}"{field.name}"'
            names += _required(kinds[field.name], f"{path}.") if dataclasses.is_dataclass(kinds[field.name]) else [path]
    return names


def _listed(files: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, files))}]"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
