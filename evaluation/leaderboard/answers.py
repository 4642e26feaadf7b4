"""The figures of all stored answers, in memory, read again only where files have grown.

    answers = Answers(results_dir, PUBLISHED_DIR)
    answers.refresh()                      # stat of each file, and the lines that are new
    answers.cells(Selection(host="..."))   # one row per model and prompt

An answer counts when it was written to its end (or to max tokens), by a warm model, with nothing of the prompt reused.
What a server reuses is its own affair, but a conversation that went on does not count there either. The others are
counted by the reason for which they are left out.
"""

import itertools
import tempfile
import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from evaluation.leaderboard import answer_queries as queries
from evaluation.leaderboard.answer_table import AnswerTable, Source
from evaluation.leaderboard.bad_lines import problems_in
from evaluation.leaderboard.selection import HostFacts, Measured, Selection
from evaluation.leaderboard.stored_files import StoredFiles
from evaluation.record_folder import Problem
from evaluation.records import AnswerLoss, Response

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AnswerText", "Answers", "HostFacts", "Measured", "Selection"]

TEXTS_PER_MODEL = 20
"""A reader looks at so many answers to one prompt at most: the newest ones."""

MOST_RESULTS = 64
"""So many tables are kept for the next time they are asked for."""

T = TypeVar("T")


@dataclass(frozen=True)
class AnswerText:
    """What a model wrote."""

    id: str
    repeat: int | None
    """Of its benchmark, from 0; ``None`` outside of benchmarks."""
    text: str


class Answers:
    """See the module. All methods may be called from any thread."""

    def __init__(self, results_dir: Path, published_dir: Path | None = None) -> None:
        folders = [results_dir, *([published_dir] if published_dir else [])]
        numbers = itertools.count()
        self._lock = threading.RLock()
        self._table = AnswerTable()
        weakref.finalize(self, self._table.close)
        self._answer_files = StoredFiles([folder / "responses" for folder in folders], numbers)
        self._loss_files = StoredFiles([folder / "losses" for folder in folders], numbers)
        self._unreadable: dict[int, str] = {}
        self._version = 0
        self._results: dict[Hashable, Any] = {}
        """What was asked since the answers last changed."""

    def refresh(self) -> int:
        """Take in what is new; returns a number that changes whenever the answers did."""
        with self._lock:
            self._take_in(self._answer_files, self._table.add_answers)
            self._take_in(self._loss_files, self._table.add_losses)
            return self._version

    def problems(self) -> tuple[Problem, ...]:
        """The lines that are no records (torn, foreign, of a newer format), each with its sentence."""
        return self._known("problems", lambda: tuple(self._find_problems()))

    def hosts(self) -> list[HostFacts]:
        """Those with most benchmark answers first."""
        return list(self._known("hosts", lambda: [HostFacts(*row) for row in self._run(queries.HOSTS).fetchall()]))

    def measured(self, run: str, adapters: Sequence[str] = (), merged: Sequence[str] = ()) -> tuple[Measured, ...]:
        """Where the model of a training run was asked, most answers first: the models that name the run, those whose
        key has one of ``adapters`` behind the base's part, and those whose key is one of ``merged``."""

        def find() -> tuple[Measured, ...]:
            rows = self._run(queries.MEASURED, run=run, adapters=list(adapters), merged=list(merged)).fetchall()
            return tuple(Measured(*row) for row in rows)

        return self._known(("measured", run, *adapters, "merged", *merged), find)

    def choices(self, host: str) -> "pd.DataFrame":
        """What can be selected on a host: ``origin``, ``benchmark``, ``prompt_set``, ``prompt_key``, ``prompt`` (text),
        ``kind``, ``model_key``, ``model_name``, ``answers`` (count), ``newest`` (UTC s); one row per combination."""
        return self._frame(("choices", host), lambda: self._run(queries.CHOICES, host=host).df())

    def cells(self, selection: Selection) -> "pd.DataFrame":
        """One row per model and prompt, its figures the median over the repeats. Unknown is NaN.

        ``model_key``, ``prompt_key``, ``prompt`` (text), ``prompt_set``, ``kind``, ``answers`` (count), ``latency_s``,
        ``latency_150_s`` and ``words``, each with its quartiles over the repeats (``latency_s_q1``, ``latency_s_q3``
        and so on), ``time_to_first_token_s``, ``decode_tok_s``, ``prompt_tok_s``, ``sentences``, ``seconds_per_word``,
        ``ended`` (share), ``repeated_4grams``, ``markdown``, ``bits_per_byte``, ``answer_loss_nats``.
        """
        return self._frame(("cells", selection), lambda: self._shown(queries.CELLS, selection).df())

    def models(self, selection: Selection) -> "pd.DataFrame":
        """One row per model: ``model_key``, ``model_name`` (the newest), ``quantization``, ``adapter_run``,
        ``size_bytes``, ``answers`` (counted ones), ``failed``, ``left_out`` (dict: reason -> count, those that failed
        not among them), ``load_s`` (list, one per cold load of a benchmark), ``peak_memory_bytes`` (list, likewise),
        ``settings`` (set of (temperature, max_tokens) of the counted answers, as in ``board.Row``). A model whose
        answers all failed has a row, too."""

        def find() -> "pd.DataFrame":
            counts = self._shown(queries.MODELS, selection).fetchall()
            loads = dict(self._select(queries.LOADS, selection, prompts=False).fetchall())
            peaks = dict(self._select(queries.PEAKS, selection, prompts=False).fetchall())
            return queries.model_rows(counts, loads, peaks)

        return self._frame(("models", selection), find)

    def points(self, selection: Selection, limit: int = 5_000) -> "pd.DataFrame":
        """One row per counted answer, for a scatter chart, at most ``limit`` (an even draw): ``id``, ``model_key``,
        ``prompt_key``, ``prompt``, ``repeat``, ``latency_s``, ``words``, ``completion_tokens``, ``finish_reason``."""
        return self._frame(
            ("points", selection, limit), lambda: self._shown(queries.POINTS, selection, limit=limit).df()
        )

    def bad_lines(self) -> tuple[int, int]:
        """How many lines are no records, and how many files have such lines or cannot be read at all."""

        def count() -> tuple[int, int]:
            bad = dict(self._run(queries.BAD_LINES).fetchall())
            return sum(bad.values()), len(bad.keys() | self._unreadable.keys())

        return self._known("bad lines", count)

    def texts(self, selection: Selection, prompt_key: str, model_keys: tuple[str, ...]) -> dict[str, list[AnswerText]]:
        """The answers of these models to one prompt, by model key, in the order of the repeats; of many the newest
        ``TEXTS_PER_MODEL``. The texts of published answers are not at hand."""
        chosen = replace(selection, prompts=(prompt_key,), models=model_keys)
        with self._lock:
            written = self._select(queries.WRITTEN, chosen, limit=TEXTS_PER_MODEL).fetchall()
            files = {file for _, file, *_ in written}
            paths = {file: path for file, path in self._answer_files.paths().items() if file in files}
            sources = [Source(file, path) for file, path in paths.items() if path.exists()]
            texts = self._table.texts(sources, [id for _, _, id, _ in written])
        found: dict[str, list[AnswerText]] = {}
        for model_key, _, id, repeat in written:
            if id in texts:
                found.setdefault(model_key, []).append(AnswerText(id, repeat, texts[id]))
        return found

    def _take_in(self, files: StoredFiles, add: Callable[[Sequence[Source]], None]) -> None:
        changes = files.look()
        if not changes:
            return
        self._version += 1
        self._results.clear()
        self._table.drop(changes.drop)
        for number in changes.drop:
            self._unreadable.pop(number, None)
        self._unreadable |= changes.unreadable
        try:
            with tempfile.TemporaryDirectory() as folder:
                tails = []
                for number, content in changes.tails:
                    tails.append(Source(number, Path(folder) / f"{number}.jsonl"))
                    tails[-1].path.write_bytes(content)
                self._add(add, changes.whole + tails)
        except (
            OSError
        ) as error:  # no room for the new lines of a file that has grown: the next look reads it as a whole
            for number, _ in changes.tails:
                files.forget(number)
                self._unreadable[number] = (
                    f"What is new in it could not be read: {error.strerror}. Free some disk space."
                )
            self._add(add, changes.whole)
        files.confirm(changes.whole)

    def _add(self, add: Callable[[Sequence[Source]], None], sources: list[Source]) -> None:
        """All files at once; when that fails one by one, so that the damaged ones cost only themselves."""
        try:
            add(sources)
        except duckdb.Error:
            for source in sources:
                try:
                    add([source])
                except duckdb.Error:
                    self._unreadable[source.file] = "The file is damaged, or is no file of such records."

    def _find_problems(self) -> list[Problem]:
        bad = dict(self._run(queries.BAD_LINES).fetchall())
        found = []
        for files in (self._answer_files, self._loss_files):
            paths = files.paths()
            found += [
                Problem(paths[number], 0, reason) for number, reason in self._unreadable.items() if number in paths
            ]
            damaged = [(path, bad[number]) for number, path in paths.items() if number in bad]
            found += problems_in(Response if files is self._answer_files else AnswerLoss, damaged)
        return found

    def _frame(self, question: Hashable, find: Callable[[], "pd.DataFrame"]) -> "pd.DataFrame":
        return self._known(question, find).copy()

    def _known(self, question: Hashable, find: Callable[[], T]) -> T:
        """The answer to a question that was asked before, as long as nothing has changed."""
        with self._lock:
            if question not in self._results:
                if len(self._results) >= MOST_RESULTS:
                    self._results.clear()
                self._results[question] = find()
            result: T = self._results[question]
            return result

    def _shown(self, query: str, selection: Selection, **parameters: Any) -> duckdb.DuckDBPyConnection:
        """A query for answers to the prompts that the selection looks at; those are found first, unless just done."""
        if self._results.get("shown") != selection:
            self._results.pop("shown", None)
            self._select(queries.SHOW, selection, common=selection.common)
            self._results["shown"] = selection
        return self._select(query, selection, **parameters)

    def _select(
        self, query: str, selection: Selection, prompts: bool = True, **parameters: Any
    ) -> duckdb.DuckDBPyConnection:
        condition, values = queries.conditions(selection, prompts)
        if "$disturbed" in query:
            values["disturbed"] = selection.disturbed
        return self._run(query.format(conditions=condition), **values, **parameters)

    def _run(self, query: str, **parameters: Any) -> duckdb.DuckDBPyConnection:
        return self._table.database.execute(query, parameters)
