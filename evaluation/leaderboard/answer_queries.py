"""What the leaderboard asks of the tables of ``answer_table``, in SQL."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from evaluation.leaderboard.selection import Selection

if TYPE_CHECKING:
    import pandas as pd


def conditions(selection: Selection, prompts: bool = True) -> tuple[str, dict[str, Any]]:
    """The SQL condition for what is selected, and its parameters; with ``prompts`` false, whatever was asked."""
    wanted = {"origin": selection.origins, "benchmark": selection.benchmarks, "model_key": selection.models}
    if prompts:
        wanted |= {"prompt_set": selection.prompt_sets, _PROMPT_KEY: selection.prompts}
    parameters: dict[str, Any] = {"host": selection.host}
    parts = ["is_record", "host = hash($host::VARCHAR)"]
    for number, (column, values) in enumerate(wanted.items()):
        if values:
            parts.append(f"list_contains($wanted_{number}::VARCHAR[], {column})")
            parameters[f"wanted_{number}"] = list(values)
    return " AND ".join(parts), parameters


def model_rows(
    counts: list[tuple[Any, ...]], loads: dict[str, list[float]], peaks: dict[str, list[int]]
) -> "pd.DataFrame":
    """The frame of ``Answers.models`` from what ``MODELS``, ``LOADS`` and ``PEAKS`` give."""
    import pandas as pd

    models: dict[str, dict[str, Any]] = {}
    for key, name, quantization, adapter_run, size_bytes, answers, left_out, temperature, max_tokens in counts:
        known = {"model_name": name, "quantization": quantization, "adapter_run": adapter_run}
        model = models.setdefault(key, known | {"left_out": Counter(), "answers": 0, "failed": 0, "settings": set()})
        if model.get("size_bytes") is None:
            model["size_bytes"] = size_bytes  # records from before it was stored lack it
        if left_out is None:
            model["answers"] += answers
            model["settings"].add((temperature, max_tokens))
        elif left_out == "failed":
            model["failed"] += answers
        else:
            model["left_out"][left_out] += answers
    rows = [
        {
            "model_key": key,
            **model,
            "left_out": dict(model["left_out"]),
            "load_s": loads.get(key, []),
            "peak_memory_bytes": peaks.get(key, []),
        }
        for key, model in models.items()
    ]
    return pd.DataFrame(rows, columns=_MODEL_COLUMNS).astype({"size_bytes": "float64"})


_MODEL_COLUMNS = [
    "model_key", "model_name", "quantization", "adapter_run", "size_bytes", "answers", "failed", "left_out", "load_s",
    "peak_memory_bytes", "settings",
]  # fmt: skip


def _seconds(column: str) -> str:
    """To the microsecond: single precision has noise behind it."""
    return f"round({column}::DOUBLE, 6)"


def _quartiles(value: str) -> str:
    return f"quantile_cont({value}, [0.25, 0.5, 0.75])"


def _three(column: str) -> str:
    """The median under its name, and the quartiles beside it."""
    return (
        f"{_seconds(f'{column}[2]')} AS {column}, {_seconds(f'{column}[1]')} AS {column}_q1, "
        f"{_seconds(f'{column}[3]')} AS {column}_q3"
    )


_LATENCY_150_S = """CASE WHEN tokens >= 2 AND words > 0 AND decode_s > 0
                THEN prompt_s + 150 * (tokens / words) * decode_s / (tokens - 1) END"""
_PROMPT_KEY = "lower(lpad(to_hex(prompt), 16, '0'))"
_ANSWERS = "answers JOIN contexts USING (context) JOIN models USING (model)"
_COUNTS = "left_out IS NULL AND ($disturbed OR NOT disturbed)"

HOSTS = """
    SELECT host_key, cpu, cores, memory_bytes, system, engine, count(*) AS answers, bool_and(origin = 'published')
    FROM answers JOIN contexts USING (context) JOIN hosts USING (host)
    WHERE is_record
    GROUP BY ALL
    ORDER BY count(*) FILTER (origin = 'benchmark') DESC, answers DESC, host_key
"""

MEASURED = """
    WITH wanted AS (
        SELECT model FROM models
        WHERE adapter_run = $run OR list_contains($adapters::VARCHAR[], split_part(model_key, '+', 2))
            OR list_contains($merged::VARCHAR[], model_key)
    ), counts AS (
        SELECT context, host, count(*) AS answers
        FROM answers
        WHERE is_record AND NOT warm_up AND left_out IS DISTINCT FROM 'answered again'
            AND model IN (FROM wanted)
        GROUP BY ALL
    )
    SELECT benchmark, host_key, sum(answers)::BIGINT AS answers
    FROM counts JOIN contexts USING (context) JOIN hosts USING (host)
    GROUP BY ALL
    ORDER BY answers DESC, benchmark, host_key
"""

CHOICES = f"""
    WITH combinations AS (
        SELECT context, prompt, model, count(*) AS answers, max(asked_at) AS newest
        FROM answers
        WHERE is_record AND host = hash($host::VARCHAR) AND NOT warm_up
        GROUP BY ALL
    ), names AS (
        SELECT model_key, arg_max(model_name, newest) AS model_name
        FROM combinations JOIN models USING (model) GROUP BY ALL
    )
    SELECT origin, benchmark, prompt_set, {_PROMPT_KEY} AS prompt_key, any_value(prompt_text) AS prompt, kind,
        model_key, any_value(names.model_name) AS model_name, sum(answers)::BIGINT AS answers, max(newest) AS newest
    FROM combinations JOIN contexts USING (context) JOIN prompts USING (prompt) JOIN models USING (model)
        JOIN names USING (model_key)
    GROUP BY ALL
    ORDER BY newest DESC, prompt_key, model_key
"""

SHOW = f"""
    CREATE OR REPLACE TEMP TABLE shown AS
    WITH pairs AS (
        SELECT DISTINCT model_key, prompt FROM {_ANSWERS} WHERE {{conditions}} AND {_COUNTS}
    ), shared AS (
        SELECT prompt FROM pairs GROUP BY prompt
        HAVING count(*) = (SELECT count(DISTINCT model_key) FROM pairs)
    )
    SELECT DISTINCT prompt FROM pairs
    WHERE NOT $common OR prompt IN (FROM shared) OR NOT EXISTS (FROM shared)
"""
"""The prompts that are looked at."""

CELLS = f"""
    WITH medians AS (
        SELECT model_key, prompt, any_value(prompt_set) AS prompt_set, any_value(kind) AS kind, count(*) AS answers,
            {_quartiles("latency_s")} AS latency_s,
            {_quartiles(_LATENCY_150_S)} AS latency_150_s,
            {_quartiles("words")} AS words,
            median(prompt_s) AS time_to_first_token_s,
            median(CASE WHEN tokens >= 2 THEN (tokens - 1) / nullif(decode_s, 0) END) AS decode_tok_s,
            median(read_tokens / prompt_s) AS prompt_tok_s,
            median(sentences)::DOUBLE AS sentences,
            median(latency_s / nullif(words, 0)) AS seconds_per_word,
            avg((finish_reason = 'stop')::INTEGER) AS ended,
            median(repeated_4grams)::DOUBLE AS repeated_4grams,
            median(markdown)::DOUBLE AS markdown
        FROM {_ANSWERS}
        WHERE {{conditions}} AND {_COUNTS} AND prompt IN (FROM shown)
        GROUP BY model_key, prompt
    ), measured_losses AS (
        SELECT * FROM losses
        WHERE is_record AND host = hash($host::VARCHAR) AND isfinite(loss_nats) AND tokens > 0 AND bytes > 0
    ), newest_references AS (
        SELECT prompt, arg_max(reference, measured_at) AS reference FROM measured_losses GROUP BY prompt
    ), newest_losses AS (
        SELECT model_key, prompt,
            arg_max({{{{'nats': loss_nats, 'tokens': tokens, 'bytes': bytes}}}}, measured_at) AS loss
        FROM measured_losses JOIN newest_references USING (prompt, reference) JOIN models USING (model)
        GROUP BY ALL
    )
    SELECT model_key, {_PROMPT_KEY} AS prompt_key, prompt_text AS prompt, prompt_set, kind, answers,
        {_three("latency_s")}, {_three("latency_150_s")}, {_three("words")},
        {_seconds("time_to_first_token_s")} AS time_to_first_token_s, decode_tok_s, prompt_tok_s, sentences,
        seconds_per_word, ended, repeated_4grams, markdown, loss.nats / ln(2) / loss.bytes AS bits_per_byte,
        loss.nats / loss.tokens AS answer_loss_nats
    FROM medians JOIN prompts USING (prompt) LEFT JOIN newest_losses USING (model_key, prompt)
    ORDER BY model_key, prompt_set, prompt_text, prompt_key
"""

NOT_SHARED = "prompt not answered by every model"
MODELS = f"""
    WITH counts AS (
        SELECT model, context, own_temperature, count(*) AS answers, max(asked_at) AS newest,
            CASE WHEN left_out IS NOT NULL THEN left_out WHEN disturbed AND NOT $disturbed THEN 'disturbed'
                WHEN prompt NOT IN (FROM shown) THEN '{NOT_SHARED}' END AS left_out
        FROM {_ANSWERS}
        WHERE {{conditions}}
        GROUP BY ALL
    )
    SELECT model_key, model_name, quantization, adapter_run, size_bytes, answers, left_out,
        CASE WHEN NOT own_temperature THEN temperature END, max_tokens
    FROM counts JOIN contexts USING (context) JOIN models USING (model)
    ORDER BY model_key, newest DESC
"""
LOADS = f"""
    SELECT model_key, list(load_s ORDER BY asked_at)
    FROM {_ANSWERS}
    WHERE {{conditions}} AND load_s IS NOT NULL AND warm_up AND ($disturbed OR NOT disturbed)
    GROUP BY model_key
"""
PEAKS = f"""
    WITH blocks AS (
        SELECT model_key, benchmark, repeat, max(peak_memory_bytes) AS peak
        FROM {_ANSWERS}
        WHERE {{conditions}} AND benchmark IS NOT NULL AND peak_memory_bytes > 0
        GROUP BY ALL
    )
    SELECT model_key, list(peak ORDER BY benchmark, repeat) FROM blocks GROUP BY model_key
"""

POINTS = f"""
    SELECT id, model_key, {_PROMPT_KEY} AS prompt_key, prompt_text AS prompt, repeat,
        {_seconds("latency_s")} AS latency_s, words, tokens AS completion_tokens, finish_reason
    FROM {_ANSWERS} JOIN prompts USING (prompt)
    WHERE {{conditions}} AND {_COUNTS} AND prompt IN (FROM shown)
    ORDER BY hash(id), id
    LIMIT $limit
"""
"""An even draw, and the same one each time."""

WRITTEN = f"""
    SELECT model_key, file, id, repeat
    FROM {_ANSWERS}
    WHERE {{conditions}} AND {_COUNTS} AND origin <> 'published'
    QUALIFY row_number() OVER (PARTITION BY model_key ORDER BY asked_at DESC, id DESC) <= $limit
    ORDER BY model_key, repeat, asked_at, id
"""
"""Where the newest answers of each model are stored."""

BAD_LINES = """
    SELECT file, count(*) FROM (SELECT file, is_record FROM answers UNION ALL SELECT file, is_record FROM losses)
    WHERE NOT is_record
    GROUP BY file
    ORDER BY file
"""
