"""Stored responses as tables, read by DuckDB straight from the files.

What does not fit in a damaged line becomes NULL, and a row that lacks anything a record must have is left out.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from evaluation.record_source import column_kinds, complete, relation
from evaluation.records import FORMAT_VERSION, Response, Sampling

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ConversationSummary:
    """One conversation of the arena, for a list of earlier ones."""

    id: str
    first_prompt: str
    submitted_at: float
    """When its first message was sent; UTC seconds since 1970."""
    model_names: tuple[str, ...]
    """In the order of the panes."""
    rounds: int


def frame(json_files: Sequence[str], parquet_files: Sequence[str] = ()) -> "pd.DataFrame":
    """One row per response in the files, oldest first; no files give no rows."""
    with duckdb.connect() as connection:
        table = connection.sql(_FRAME.format(source=source(json_files, parquet_files)))
        dtypes = {name: _DTYPES[str(kind)] for name, kind in zip(table.columns, table.types, strict=True)}
        responses: pd.DataFrame = table.df().astype(dtypes)
    # Counted here and not in SQL, because a word is what str.split() makes of the text, in every script.
    words = responses["text"].map(lambda text: len(text.split())).astype("Int64")
    words = words.where(responses["origin"] != "published", responses.pop("stated_words"))
    seconds_per_word = (responses["latency_s"] / words.where(words > 0)).astype("float64")
    return responses.assign(words=words, seconds_per_word=seconds_per_word)


def conversations(json_files: Sequence[str], parquet_files: Sequence[str], limit: int) -> list[ConversationSummary]:
    """The latest conversations in the files, newest first."""
    with duckdb.connect() as connection:
        rows = connection.execute(_CONVERSATIONS.format(source=source(json_files, parquet_files)), [limit]).fetchall()
    return [ConversationSummary(id, prompt, at, tuple(names), rounds) for id, prompt, at, names, rounds in rows]


KINDS = column_kinds(Response)
"""The columns of stored responses and their DuckDB types; Parquet files have the same."""
_COMPLETE = f"format BETWEEN 1 AND {FORMAT_VERSION} AND {complete(Response)}"
_DTYPES = {"VARCHAR": "str", "BIGINT": "Int64", "DOUBLE": "float64", "BOOLEAN": "boolean"}


def source(json_files: Sequence[str], parquet_files: Sequence[str] = ()) -> str:
    """A subquery over the responses in the files, with the columns ``KINDS``: a line that is none is left out.

    DuckDB takes the names for patterns: escape them.
    """
    return f"""(
        SELECT * REPLACE (
            CASE WHEN origin <> 'published' AND server IS NULL THEN coalesce(completion_tokens, 0)
                ELSE completion_tokens END AS completion_tokens)
        FROM {relation(KINDS, json_files, parquet_files)}
        WHERE {_COMPLETE}
    )"""


CAME_AS_WRITTEN = "(server IS NULL OR coalesce(2.0 * server.arrivals >= completion_tokens, false))"
"""As ``ServerFigures.came_as_written``; true of what this machine wrote."""
_PROMPT = "list_filter(messages, lambda m: m.role = 'user')[-1].content"

# Settings that a record does not name have their defaults, unless it was published: then they are not known.
_STATED = ("temperature", "max_tokens")
_SAMPLING = ", ".join(
    f"CASE WHEN origin <> 'published' OR {field.name in _STATED} "
    f"THEN coalesce(sampling.{field.name}, {field.default}) END AS {field.name}"
    for field in dataclasses.fields(Sampling)
    if field.name != "stop"
)

_FRAME = f"""
    WITH timed AS (
        SELECT *, CASE WHEN origin <> 'published' THEN prompt_busy_s + decode_busy_s ELSE ended_at - submitted_at END
            AS latency_s
        FROM {{source}}
    )
    SELECT
        id, origin, submitted_at, started_at, first_token_at, ended_at,
        host.key AS host_key, host.cpu AS cpu, host.cores AS cores,
        model.key AS model_key, model.name AS model_name, model.quantization AS quantization,
        model.adapter_run AS adapter_run, model.adapter_scale AS adapter_scale,
        place.conversation AS conversation, place.round AS round, place.pane AS pane,
        CASE WHEN place IS NOT NULL THEN coalesce(place.attempt, 0) END AS attempt,
        {_PROMPT} AS prompt, text, finish_reason, error,
        first_token_at - submitted_at AS time_to_first_token_s,
        latency_s,
        CASE WHEN latency_s IS NOT NULL AND origin <> 'published'
            THEN greatest(0.0, ended_at - submitted_at - latency_s) END AS waiting_s,
        CASE WHEN completion_tokens >= 2 AND {CAME_AS_WRITTEN}
            THEN (completion_tokens - 1) / nullif(decode_busy_s, 0) END AS decode_tok_s,
        (prompt_tokens - cached_tokens) / nullif(prompt_busy_s, 0) AS prompt_tok_s,
        prompt_busy_s, decode_busy_s, load_s,
        CASE WHEN origin <> 'published' THEN load_s IS NOT NULL END AS cold,
        prompt_tokens, cached_tokens, completion_tokens, shared, threads, context_length, peak_memory_bytes,
        stated_words, {_SAMPLING}, template_date, format
    FROM timed
    ORDER BY submitted_at, id
"""

_CONVERSATIONS = f"""
    WITH answers AS (
        SELECT place.conversation AS conversation, place.round AS round, place.pane AS pane,
            model.name AS model_name, submitted_at, {_PROMPT} AS prompt
        FROM {{source}}
        WHERE place IS NOT NULL
    ), models AS (
        SELECT conversation, model_name, min(pane) AS pane FROM answers GROUP BY ALL
    ), names AS (
        SELECT conversation, list(model_name ORDER BY pane, model_name) AS model_names FROM models GROUP BY ALL
    )
    SELECT conversation, coalesce(arg_min(prompt, submitted_at), '') AS first_prompt, min(submitted_at) AS first_at,
        any_value(model_names), count(DISTINCT round)
    FROM answers JOIN names USING (conversation)
    WHERE conversation IS NOT NULL
    GROUP BY conversation
    ORDER BY first_at DESC
    LIMIT ?
"""
