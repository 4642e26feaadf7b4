"""A slim table of all stored answers in memory: DuckDB reads the files, and keeps of each answer what figures need.

A line that is no record has a row, too, in which ``is_record`` is false.

What repeats from answer to answer (hosts, models, prompts, what an answer was written for) is kept once, in tables of
its own; an answer refers to it by a hash of it.
"""

import dataclasses
import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from evaluation.host import available_cores
from evaluation.record_source import column_kinds, complete, json_scan, nothing, parquet_scan
from evaluation.records import FORMAT_VERSION, AnswerLoss, Response, Sampling, TextFigures
from evaluation.response_table import CAME_AS_WRITTEN
from evaluation.text_figures import text_figures


@dataclass(frozen=True)
class Source:
    """A file of records, or the new end of one."""

    file: int
    """Number under which its rows are kept."""
    path: Path


class AnswerTable:
    """The tables ``answers`` and ``losses``, and what they refer to; queried through ``database``. Not thread-safe."""

    def __init__(self) -> None:
        threads = max(1, min(4, round(available_cores())))  # each more holds another 32 MB of a file
        self.database = duckdb.connect(config={"threads": threads, "preserve_insertion_order": "false"})
        figures = ", ".join(f"{name} {kind}" for name, kind in column_kinds(TextFigures).items())
        self.database.create_function("count_text", _count_text, ["VARCHAR"], f"STRUCT({figures})")
        self.database.execute(_TABLES)

    def close(self) -> None:
        """Free the memory."""
        self.database.close()

    def add_answers(self, sources: Sequence[Source]) -> None:
        """Take in the answers of these files. Raises ``duckdb.Error`` when one cannot be read; then none is
        taken in."""
        with self._transaction():
            for group in _by_suffix(sources):
                self._insert(_INSERT_ANSWERS, group, _ANSWER_KINDS)
                self._count_texts(group)
                self._name("answers", group)
            self._pass_over_what_was_answered_again()

    def add_losses(self, sources: Sequence[Source]) -> None:
        """As ``add_answers``, for answer losses."""
        with self._transaction():
            for group in _by_suffix(sources):
                self._insert(_INSERT_LOSSES, group, _LOSS_KINDS)
                self._name("losses", group)

    def drop(self, files: Sequence[int]) -> None:
        """Forget the rows of these files."""
        for table in ("answers", "losses"):
            self.database.execute(f"DELETE FROM {table} WHERE list_contains(?::INTEGER[], file)", [list(files)])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.database.begin()
        try:
            yield
        except BaseException:
            self.database.rollback()
            raise
        self.database.commit()

    def _insert(self, insert: str, sources: Sequence[Source], kinds: dict[str, str]) -> None:
        self.database.execute(f"SET VARIABLE files = {[source.file for source in sources]}")
        self.database.execute(insert.format(rows=_rows(kinds, sources)))

    def _pass_over_what_was_answered_again(self) -> None:
        if self.database.execute(f"SELECT 1 FROM answers WHERE {_FLAWED} LIMIT 1").fetchone():
            self.database.execute(_ANSWERED_AGAIN)

    def _count_texts(self, sources: Sequence[Source]) -> None:
        """Count the texts of records that were written before that was stored with them."""
        found = self.database.execute(_UNCOUNTED, [[source.file for source in sources]]).fetchall()
        files = {file for (file,) in found}
        uncounted = [source for source in sources if source.file in files]
        if uncounted:
            self._insert(_COUNT_TEXTS, uncounted, _TEXT_KINDS)

    def _name(self, table: str, sources: Sequence[Source]) -> None:
        """Keep what the new rows refer to, read from one row each."""
        files, ids = set(), set()
        for column in _REFERENCES[table]:
            query = _UNNAMED.format(table=table, column=column)
            for file, id in self.database.execute(query, [[source.file for source in sources]]).fetchall():
                files.add(file)
                ids.add(id)
        named = [source for source in sources if source.file in files]
        if named:
            kinds = _ANSWER_KINDS if table == "answers" else _LOSS_KINDS
            rows = _rows(kinds, named)
            self.database.execute(f"CREATE OR REPLACE TEMP TABLE named AS {_NAMED.format(rows=rows)}", [list(ids)])
            for column in _REFERENCES[table]:
                self.database.execute(_NAMES[column])

    def texts(self, sources: Sequence[Source], ids: Sequence[str]) -> dict[str, str]:
        """The texts of these answers, read from their files, by id."""
        texts: dict[str, str] = {}
        for group in _by_suffix(sources):
            query = f"SELECT id, text FROM {_rows(_TEXT_KINDS, group)} WHERE list_contains(?::VARCHAR[], id)"
            texts |= dict(self.database.execute(query, [list(ids)]).fetchall())
        return texts


def _count_text(text: str) -> dict[str, float | None]:
    return dataclasses.asdict(text_figures(text))


def _by_suffix(sources: Sequence[Source]) -> list[list[Source]]:
    """JSON lines and Parquet apart, none empty."""
    groups = [[s for s in sources if s.path.suffix == suffix] for suffix in (".jsonl", ".parquet")]
    return [group for group in groups if group]


def _rows(kinds: dict[str, str], sources: Sequence[Source]) -> str:
    """A subquery over the rows of these files with ``file_index``, the position of the file."""
    files = [glob.escape(str(source.path)) for source in sources]
    if sources[0].path.suffix == ".parquet":
        none = nothing({"file_index": "UBIGINT", **kinds})
        return f"({none} UNION ALL BY NAME SELECT file_index, * FROM {parquet_scan(files)})"
    return f"(SELECT file_index, * FROM {json_scan(kinds, files)})"


def _kinds(record: type, *names: str) -> dict[str, str]:
    kinds = column_kinds(record)
    return {name: kinds[name] for name in names}


_MODEL = 'STRUCT("key" VARCHAR, name VARCHAR, quantization VARCHAR, adapter_run VARCHAR, size_bytes BIGINT)'
_ANSWER_KINDS = _kinds(
    Response, "id", "origin", "host", "messages", "finish_reason", "submitted_at", "ended_at", "prompt_busy_s",
    "decode_busy_s", "load_s", "prompt_tokens", "cached_tokens", "completion_tokens", "stated_words",
    "peak_memory_bytes", "cell", "text_figures", "server", "format",
) | {"model": _MODEL, "sampling": "STRUCT(temperature DOUBLE, max_tokens BIGINT)"}  # fmt: skip
_TEXT_KINDS = _kinds(Response, "id", "text")
_LOSS_KINDS = _kinds(
    AnswerLoss, "id", "host", "messages", "reference", "template_date", "measured_at", "benchmark", "prompt_set",
    "prompt", "loss_nats", "reference_tokens", "format",
) | {"model": _MODEL}  # fmt: skip

_TABLES = """
    CREATE TABLE hosts (host UBIGINT PRIMARY KEY, host_key VARCHAR, cpu VARCHAR, cores DOUBLE, memory_bytes BIGINT,
        system VARCHAR, engine VARCHAR);
    CREATE TABLE models (model UBIGINT PRIMARY KEY, model_key VARCHAR, model_name VARCHAR, quantization VARCHAR,
        adapter_run VARCHAR, size_bytes BIGINT);
    CREATE TABLE prompts (prompt UBIGINT PRIMARY KEY, prompt_text VARCHAR);
    CREATE TABLE contexts (context UBIGINT PRIMARY KEY, origin VARCHAR, benchmark VARCHAR, prompt_set VARCHAR,
        kind VARCHAR, temperature DOUBLE, max_tokens BIGINT);
    CREATE TABLE answers (file INTEGER, is_record BOOLEAN, id VARCHAR, host UBIGINT, model UBIGINT, prompt UBIGINT,
        context UBIGINT, repeat INTEGER, asked_at DOUBLE, left_out VARCHAR, disturbed BOOLEAN, warm_up BOOLEAN,
        finish_reason VARCHAR, own_temperature BOOLEAN, latency_s FLOAT, prompt_s FLOAT, decode_s FLOAT, load_s DOUBLE,
        peak_memory_bytes BIGINT, read_tokens INTEGER, tokens INTEGER, words INTEGER, sentences INTEGER,
        repeated_4grams FLOAT, markdown FLOAT, uncounted BOOLEAN);
    CREATE TABLE losses (file INTEGER, is_record BOOLEAN, id VARCHAR, host UBIGINT, model UBIGINT, prompt UBIGINT,
        measured_at DOUBLE, loss_nats DOUBLE, tokens BIGINT, bytes BIGINT, reference UBIGINT);
"""

# Why an answer does not count, whatever is selected: the first reason that applies. What a server reuses is left to
# it, because most can't be told not to: that is how its users are served.
_LEFT_OUT = """CASE
    WHEN cell.warm_up THEN 'warm-up'
    WHEN finish_reason = 'error' THEN 'failed'
    WHEN finish_reason = 'context' THEN 'the context was full'
    WHEN finish_reason = 'cancelled' THEN 'stopped by the user'
    WHEN finish_reason NOT IN ('stop', 'length') THEN 'ended in an unknown way'
    WHEN origin = 'published' AND NOT (ended_at > submitted_at) THEN 'times make no sense'
    WHEN origin = 'published' THEN NULL
    WHEN load_s IS NOT NULL THEN 'model was being loaded'
    WHEN CASE WHEN server IS NULL THEN cached_tokens > 0 ELSE len(list_filter(messages, lambda m: m.role = 'user')) > 1
        END THEN 'continued a conversation'
    WHEN prompt_busy_s IS NULL OR decode_busy_s IS NULL OR cached_tokens IS NULL AND server IS NULL
        THEN 'times are missing'
    WHEN NOT (isfinite(prompt_busy_s + decode_busy_s) AND prompt_busy_s > 0
        AND (decode_busy_s > 0 OR decode_busy_s = 0 AND (server IS NOT NULL OR coalesce(completion_tokens, 0) < 2)))
        THEN 'times make no sense'
    END"""

_HASHES = {
    "host": 'hash(host."key")',
    "model": 'hash(model."key", model.name, model.quantization, model.adapter_run, model.size_bytes)',
    "prompt": "hash(messages)",
    "context": "hash(origin, cell.benchmark, cell.prompt_set, cell.kind, sampling.temperature, sampling.max_tokens)",
}
_REFERENCES = {"answers": ("host", "model", "prompt", "context"), "losses": ("host", "model", "prompt")}
_FILE = "getvariable('files')[file_index::BIGINT + 1]"


def _is_record(record: type, kinds: dict[str, str]) -> str:
    """The condition that a row lacks nothing of what is read."""
    needed = [each for each in complete(record).split(" AND ") if each.split('"')[1] in kinds]
    return f"coalesce({' AND '.join(needed)} AND format BETWEEN 1 AND {FORMAT_VERSION}, false)"


_INSERT_ANSWERS = f"""
    INSERT INTO answers SELECT {_FILE}, {_is_record(Response, _ANSWER_KINDS)}, id, {", ".join(_HASHES.values())},
        TRY_CAST(cell."repeat" AS INTEGER), submitted_at, {_LEFT_OUT}, coalesce(cell.disturbed, false),
        coalesce(cell.warm_up, false), finish_reason,
        coalesce(list_contains(server.refused_settings, 'temperature'), false),
        TRY_CAST(CASE WHEN origin = 'published' THEN ended_at - submitted_at ELSE prompt_busy_s + decode_busy_s END
            AS FLOAT),
        TRY_CAST(prompt_busy_s AS FLOAT), CASE WHEN {CAME_AS_WRITTEN} THEN TRY_CAST(decode_busy_s AS FLOAT) END,
        CASE WHEN load_s >= 0 THEN load_s END, peak_memory_bytes,
        CASE WHEN prompt_tokens > cached_tokens THEN TRY_CAST(prompt_tokens::DOUBLE - cached_tokens AS INTEGER) END,
        CASE WHEN completion_tokens >= 0 THEN TRY_CAST(completion_tokens AS INTEGER) END,
        TRY_CAST(CASE WHEN origin = 'published' THEN stated_words ELSE text_figures.words END AS INTEGER),
        TRY_CAST(text_figures.sentences AS INTEGER), TRY_CAST(text_figures.repeated_4grams AS FLOAT),
        TRY_CAST(text_figures.markdown AS FLOAT),
        text_figures IS NULL AND origin <> 'published'
        FROM {{rows}}
"""
_UNCOUNTED = "SELECT DISTINCT file FROM answers WHERE uncounted AND is_record AND list_contains(?::INTEGER[], file)"
_COUNT_TEXTS = f"""
    UPDATE answers SET words = figures.words, sentences = figures.sentences,
        repeated_4grams = figures.repeated_4grams, markdown = figures.markdown, uncounted = false
        FROM (
            SELECT {_FILE} AS file, id, count_text(text) AS figures FROM {{rows}}
            WHERE id IN (SELECT id FROM answers WHERE uncounted AND is_record)
        ) AS counted
        WHERE answers.uncounted AND counted.file = answers.file AND counted.id = answers.id
"""
_FLAWED = """(disturbed OR left_out = 'failed') AND left_out IS DISTINCT FROM 'answered again' AND is_record
    AND repeat IS NOT NULL AND NOT warm_up"""
_CELL = "context, model, prompt, repeat"
_ANSWERED_AGAIN = f"""
    UPDATE answers SET left_out = 'answered again'
        WHERE {_FLAWED} AND ({_CELL}) IN (
            SELECT ({_CELL}) FROM answers
                SEMI JOIN (SELECT DISTINCT {_CELL} FROM answers WHERE {_FLAWED}) USING ({_CELL})
            WHERE left_out IS NULL AND NOT disturbed AND is_record)
"""
"""A flawed answer of a benchmark that was asked once more is out of the way."""
_INSERT_LOSSES = f"""
    INSERT INTO losses SELECT {_FILE}, {_is_record(AnswerLoss, _LOSS_KINDS)}, id,
        {", ".join(_HASHES[column] for column in _REFERENCES["losses"])},
        measured_at, loss_nats, reference_tokens, strlen(reference), hash(reference)
        FROM {{rows}}
"""
_UNNAMED = """
    SELECT arg_min(file, id), min(id) FROM {table} ANTI JOIN {column}s USING ({column})
        WHERE is_record AND list_contains(?::INTEGER[], file) GROUP BY {column}
"""
_NAMED = "SELECT * FROM {rows} WHERE list_contains(?::VARCHAR[], id)"
_NAMES = {
    "host": f"""INSERT OR IGNORE INTO hosts SELECT DISTINCT ON ({_HASHES["host"]}) {_HASHES["host"]}, host."key",
        host.cpu, host.cores, host.memory_bytes, host.system, host.engine FROM named""",
    "model": f"""INSERT OR IGNORE INTO models SELECT DISTINCT ON ({_HASHES["model"]}) {_HASHES["model"]}, model."key",
        model.name, model.quantization, model.adapter_run, model.size_bytes FROM named""",
    "prompt": f"""INSERT OR IGNORE INTO prompts SELECT DISTINCT ON ({_HASHES["prompt"]}) {_HASHES["prompt"]},
        messages[-1].content FROM named""",
    "context": f"""INSERT OR IGNORE INTO contexts SELECT DISTINCT ON ({_HASHES["context"]}) {_HASHES["context"]},
        origin, cell.benchmark, cell.prompt_set, cell.kind,
        coalesce(sampling.temperature, {Sampling().temperature}),
        coalesce(sampling.max_tokens, {Sampling().max_tokens}) FROM named""",
}
