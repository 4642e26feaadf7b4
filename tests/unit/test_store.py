"""Responses on disk: nothing that was saved is lost, and nothing damaged stops the rest from being read."""

import glob
import json
import math
import multiprocessing
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from evaluation.host import host
from evaluation.published import RESPONSES as PUBLISHED
from evaluation.records import Message, Place, Response, Sampling
from evaluation.response_table import KINDS, source
from evaluation.store import ResponseStore, StoreError, to_json_line
from tests.responses import ADAPTED, FIXTURE, MEASURED, PLAIN, random_responses

RANDOM = random_responses(seed=3407, count=120)


@pytest.fixture
def store(tmp_path: Path) -> ResponseStore:
    """An empty store whose folder does not exist yet."""
    return ResponseStore(tmp_path / "results [1]" / "responses")


def only_file(store: ResponseStore) -> Path:
    (path,) = store.folder.iterdir()
    return path


def add_bytes(store: ResponseStore, content: bytes) -> None:
    """Append to the store's only file behind its back."""
    with only_file(store).open("ab") as file:
        file.write(content)


def numbered(number: int) -> Response:
    return replace(PLAIN, id=f"{number:026d}", submitted_at=PLAIN.submitted_at + number)


def changed_record(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The first record of the fixture after ``change``, as a line."""
    record = json.loads(FIXTURE.read_bytes().splitlines()[0])
    change(record)
    return json.dumps(record).encode() + b"\n"


class TestRoundTrip:
    def test_what_is_appended_is_read_back(self, store: ResponseStore) -> None:
        """Every field of every record, known or unknown, in the order of submission."""
        for response in RANDOM:
            store.append(response)
        assert store.read().problems == ()
        assert store.read().responses == tuple(sorted(RANDOM, key=lambda r: (r.submitted_at, r.id)))

    def test_missing_folder_holds_nothing(self, store: ResponseStore) -> None:
        """A new installation reads as empty, without an error and without making the folder."""
        assert store.read().responses == ()
        assert store.conversations() == []
        assert store.conversation("01M7YV22005SYJR0X9A1XE4SFC") == ()
        assert not store.folder.exists()

    def test_one_file_named_after_the_host(self, store: ResponseStore) -> None:
        """All answers of a process go to one file whose name starts with the key of the machine it runs on."""
        store.append(numbered(1))
        store.append(numbered(2))
        assert only_file(store).name.startswith(f"{host().key}-")
        assert only_file(store).suffix == ".jsonl"

    @pytest.mark.parametrize(
        "text", ["\x00", "a\nb\r\nc\u2028d\x85e", '<|im_end|><script>"\\', "🇺🇳 é ☀️", "x" * 1_000_000, "", " "]
    )
    def test_hard_text_comes_back_unchanged(self, store: ResponseStore, text: str) -> None:
        """As a prompt and as an answer, in the records and in the table."""
        store.append(replace(PLAIN, text=text, messages=(Message("user", text),)))
        (response,) = store.read().responses
        assert (response.text, response.messages[0].content) == (text, text)
        row = store.frame().iloc[0]
        assert (row["text"], row["prompt"]) == (text, text)

    def test_half_surrogates_are_replaced(self, store: ResponseStore) -> None:
        """What UTF-8 cannot hold becomes U+FFFD, a pair becomes its character; saving and reading both work."""
        store.append(replace(PLAIN, text="a\ud800b \ud83d\ude00"))
        assert store.read().responses[0].text == "a\ufffdb 😀"
        assert store.frame()["text"][0] == "a\ufffdb 😀"


class TestFixture:
    """A file of format version 1, which every later version must be able to read."""

    @pytest.fixture
    def old(self, tmp_path: Path) -> ResponseStore:
        (tmp_path / "3f9ac1d20b77-old.jsonl").write_bytes(FIXTURE.read_bytes())
        return ResponseStore(tmp_path)

    def test_finished_answer(self, old: ResponseStore) -> None:
        """Every field of the first record."""
        finished = old.read().responses[0]
        assert finished.id == "01M7YV2200DE3B4WZZ6KYE37BB"
        assert (finished.format, finished.origin, finished.template_date) == (1, "arena", "2026-11-21")
        assert finished.host.key == "3f9ac1d20b77"
        assert finished.host.cpu == "AMD EPYC 7763 64-Core Processor"
        assert (finished.host.cores, finished.host.memory_bytes) == (2.0, 17179869184)
        assert (finished.host.system, finished.host.engine) == ("Linux 6.1 x86_64", "llama-cpp-python 0.3.36")
        assert (finished.model.key, finished.model.name) == ("smollm2-135m-instruct-cae66217", "SmolLM2 135M Instruct")
        assert finished.model.base_sha256 == "cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2"
        assert finished.model.template_sha256 == "5cde0f1298f41f7d1c8b907a36992a7a513225a2615bd6e307bf1a9149b06b40"
        assert (finished.model.quantization, finished.model.adapter_run) == ("Q4_1", None)
        assert (finished.model.adapter_sha256, finished.model.adapter_scale) == (None, None)
        assert finished.messages == (Message("system", "Answer briefly."), Message("user", "Why is the sky blue?"))
        assert finished.sampling == Sampling(0.7, 40, 0.95, 0.05, 1.0, 7, 256, ())
        assert finished.text.startswith("The sky looks blue because air scatters short")
        assert (finished.finish_reason, finished.error) == ("stop", None)
        assert (finished.submitted_at, finished.started_at) == (1795257600.25, 1795257601.0)
        assert (finished.first_token_at, finished.ended_at) == (1795257601.25, 1795257602.5)
        assert (finished.prompt_busy_s, finished.decode_busy_s, finished.load_s) == (0.25, 0.5, 0.75)
        assert (finished.prompt_tokens, finished.cached_tokens, finished.completion_tokens) == (37, 0, 21)
        assert (finished.shared, finished.threads, finished.context_length) == (True, 2, 4096)
        assert (finished.peak_memory_bytes, finished.stated_words) == (214958080, None)
        assert finished.place == Place("01M7YV22005SYJR0X9A1XE4SFC", round=0, pane=0, attempt=0)

    def test_adapter_cancelled_and_failed_answers(self, old: ResponseStore) -> None:
        """What sets the other three records apart."""
        _, adapted, cancelled, failed = old.read().responses
        assert (adapted.model.adapter_run, adapted.model.adapter_scale) == ("2026-11-20-finetome-60", 1.0)
        assert adapted.text.endswith("from everywhere. ☀️")
        assert (cancelled.finish_reason, cancelled.completion_tokens, cancelled.cached_tokens) == ("cancelled", 6, 60)
        assert failed.finish_reason == "error"
        assert failed.error is not None and failed.error.startswith("The model's process was stopped")
        assert (failed.first_token_at, failed.decode_busy_s, failed.prompt_tokens) == (None, None, None)

    def test_derived_figures_of_the_table(self, old: ResponseStore) -> None:
        """Worked by hand from the raw times: for example 20 more tokens in 0.5 s are 40 tokens/s."""
        names = ["time_to_first_token_s", "latency_s", "waiting_s", "decode_tok_s", "prompt_tok_s", "words", "cold"]
        rows = old.frame()[names].astype(object)
        rows = rows.where(rows.notna(), None)
        assert rows.iloc[0].tolist() == [1.0, 0.75, 1.5, 40.0, 148.0, 17, True]
        assert rows.iloc[1].tolist() == [1.75, 1.0, 2.0, 40.0, 37 / 0.375, 16, False]
        assert rows.iloc[2].tolist() == [0.125, 0.375, 0.125, 20.0, 160.0, 5, False]
        assert rows.iloc[3].tolist() == [None, None, None, None, None, 0, False]

    def test_conversation_in_the_list(self, old: ResponseStore) -> None:
        """Two models, two rounds, named by its first message."""
        (conversation,) = old.conversations()
        assert conversation.id == "01M7YV22005SYJR0X9A1XE4SFC"
        assert conversation.first_prompt == "Why is the sky blue?"
        assert conversation.submitted_at == 1795257600.25
        assert conversation.model_names == ("SmolLM2 135M Instruct", "SmolLM2 135M Instruct + finetome-60")
        assert conversation.rounds == 2
        assert old.conversation(conversation.id) == old.read().responses


class TestDamage:
    def test_torn_last_line(self, store: ResponseStore) -> None:
        """A process died while it wrote: the rest is read, the torn line is named."""
        store.append(numbered(1))
        store.append(numbered(2))
        add_bytes(store, FIXTURE.read_bytes()[:700])
        result = store.read()
        assert result.responses == (numbered(1), numbered(2))
        (problem,) = result.problems
        assert (problem.path, problem.line) == (only_file(store), 3)
        assert "cut off" in problem.reason
        assert store.frame()["id"].tolist() == [numbered(1).id, numbered(2).id]
        assert len(store.conversations()) == 1
        assert len(store.conversation("01M7YV22005SYJR0X9A1XE4SFC")) == 2

    def test_next_record_after_a_torn_one_starts_on_its_own_line(self, store: ResponseStore) -> None:
        """The torn part does not swallow what the same process saves next."""
        store.append(numbered(1))
        add_bytes(store, b'{"id": "torn')
        store.append(numbered(2))
        assert store.read().responses == (numbered(1), numbered(2))
        assert [problem.line for problem in store.read().problems] == [2]

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (b"garbage\n", "not a response"),
            (b"\xff\xfe\x00\x80\n", "not a response"),
            (b"[1, 2]\n", "not a response"),
            (b"null\n", "not a response"),
            (b"[" * 100_000 + b"\n", "not a response"),
            (b'{"hello": "world"}\n', "format is missing"),
            (changed_record(lambda r: r.update(format=2)), "newer version"),
            (changed_record(lambda r: r.update(format=2, host=None)), "newer version"),
            (changed_record(lambda r: r.update(format="1")), "format is not valid"),
            (changed_record(lambda r: r.pop("text")), "text is missing"),
            (changed_record(lambda r: r["model"].pop("key")), "model.key is missing"),
            (changed_record(lambda r: r.update(submitted_at="yesterday")), "submitted_at is not valid"),
            (changed_record(lambda r: r.update(completion_tokens="21")), "completion_tokens is not valid"),
            (changed_record(lambda r: r.update(finish_reason="tired")), "finish_reason is not valid"),
            (changed_record(lambda r: r["messages"][0].update(role="wizard")), "messages.0.role is not valid"),
        ],
    )
    def test_bad_line_between_good_ones(self, store: ResponseStore, line: bytes, words: str) -> None:
        """It is named with its number and the reason; both neighbours are read."""
        store.append(numbered(1))
        add_bytes(store, line)
        store.append(numbered(2))
        result = store.read()
        assert result.responses == (numbered(1), numbered(2))
        (problem,) = result.problems
        assert problem.line == 2
        assert words in problem.reason
        assert problem.reason.endswith(".")

    @pytest.mark.parametrize("line", [b"garbage\n", b"null\n", changed_record(lambda r: r.pop("text"))])
    def test_bad_line_is_no_row(self, store: ResponseStore, line: bytes) -> None:
        """Neither an empty row nor a lost neighbour; a newer format and a missing field count as bad."""
        store.append(numbered(1))
        add_bytes(store, line + changed_record(lambda r: r.update(format=2)))
        store.append(numbered(2))
        assert store.frame()["id"].tolist() == [numbered(1).id, numbered(2).id]

    def test_unknown_fields_are_ignored(self, store: ResponseStore) -> None:
        """A later version of the same format may add fields."""
        store.append(numbered(1))
        add_bytes(store, changed_record(lambda r: (r.update(mood="fine"), r["host"].update(gpu=None))))
        assert store.read().problems == ()
        assert len(store.read().responses) == len(store.frame()) == 2

    def test_absent_optional_fields_have_their_defaults(self, store: ResponseStore) -> None:
        """In the records and in the table alike."""
        store.append(numbered(1))

        def shorten(record: dict[str, Any]) -> None:
            for name in ("load_s", "completion_tokens", "error"):
                del record[name]
            record["sampling"] = {}
            del record["place"]["attempt"]

        add_bytes(store, changed_record(shorten))
        response = next(r for r in store.read().responses if r.id != numbered(1).id)
        row = store.frame().set_index("id").loc[response.id]
        assert (response.completion_tokens, row["completion_tokens"]) == (0, 0)
        assert response.place is not None and (response.place.attempt, row["attempt"]) == (0, 0)
        assert response.sampling == Sampling()
        assert (row["temperature"], row["top_k"], row["max_tokens"]) == (0.7, 40, 512)
        assert not row["cold"] and not response.cold


class TestTable:
    def test_agrees_with_the_records(self, store: ResponseStore) -> None:
        """Every field and every derived figure of 120 random records, unknown ones included."""
        for response in RANDOM:
            store.append(response)
        frame = store.frame().set_index("id")
        derived = ["cold", "time_to_first_token_s", "latency_s", "waiting_s", "decode_tok_s", "prompt_tok_s"]
        derived += ["words", "seconds_per_word"]
        own = [field.name for field in fields(Response) if field.name in frame.columns]
        for response in RANDOM:
            row = frame.loc[response.id]
            for name in [*own, *derived]:
                assert_same(row[name], getattr(response, name), name)
            for name in ("temperature", "top_k", "seed", "max_tokens", "repeat_penalty"):
                assert_same(row[name], getattr(response.sampling, name), name)
            for name in ("conversation", "round", "pane", "attempt"):
                assert_same(row[name], getattr(response.place, name) if response.place else None, name)
            assert row["prompt"] == response.messages[-1].content
            assert (row["host_key"], row["cores"]) == (response.host.key, response.host.cores)
            assert (row["model_key"], row["model_name"]) == (response.model.key, response.model.name)
            assert row["quantization"] == response.model.quantization
            assert_same(row["adapter_run"], response.model.adapter_run, "adapter_run")

    def test_same_columns_and_types_without_rows(self, store: ResponseStore) -> None:
        """Charts need no special case for a new installation, nor for a column that is unknown throughout."""
        missing = store.frame()
        store.folder.mkdir(parents=True)
        empty = store.frame()
        store.append(PLAIN)
        one = store.frame()
        store.append(RANDOM[0])
        assert len(missing) == len(empty) == 0
        for frame in (empty, one, store.frame()):
            pd.testing.assert_series_equal(frame.dtypes, missing.dtypes)

    def test_every_white_space_of_python_separates_words(self, store: ResponseStore) -> None:
        """The count is that of ``str.split()``, not of ASCII spaces."""
        spaces = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
        store.append(replace(PLAIN, text="x".join(spaces)))
        assert store.frame()["words"][0] == len(spaces) - 1


def assert_same(cell: Any, value: Any, name: str) -> None:
    if value is None:
        assert pd.isna(cell), name
    elif isinstance(value, float):
        assert math.isclose(cell, value, rel_tol=1e-12), name
    else:
        assert cell == value, name


def as_parquet(path: Path, keep: bool = False) -> Path:
    """Turn a file of JSON lines into a Parquet file of the same name."""
    made = path.with_suffix(".parquet")
    rows = source([glob.escape(str(path))])
    with duckdb.connect() as connection:
        connection.sql(f"SELECT * FROM {rows}").write_parquet(str(made))
    if not keep:
        path.unlink()
    return made


class TestParquet:
    """Files that were turned into Parquet are read like the lines they were made of."""

    @pytest.fixture
    def both(self, store: ResponseStore) -> ResponseStore:
        """The random responses and the published ones: the first 60 in Parquet, the rest in lines."""
        store.folder.mkdir(parents=True)
        published = PUBLISHED.read_bytes().splitlines(keepends=True)
        first = [*map(to_json_line, RANDOM[:60]), *published, *FIXTURE.read_bytes().splitlines(keepends=True)]
        (store.folder / "closed.jsonl").write_bytes(b"".join(first))
        (store.folder / "open.jsonl").write_bytes(b"".join(map(to_json_line, RANDOM[60:])))
        return store

    def test_nothing_is_lost(self, both: ResponseStore) -> None:
        """Records, table, conversations and benchmarks are the same as before, to the last field."""
        conversation = both.conversations()[0].id
        before = both.read(), both.conversations(), both.conversation(conversation), both.of_benchmark("benchmark-1")
        table = both.frame()
        made = as_parquet(both.folder / "closed.jsonl")
        with duckdb.connect() as connection:
            rows = connection.read_parquet(str(made))
            assert dict(zip(rows.columns, rows.types, strict=True)) == {n: duckdb.sqltype(k) for n, k in KINDS.items()}
        after = both.read(), both.conversations(), both.conversation(conversation), both.of_benchmark("benchmark-1")
        assert after == before
        assert len(after[0].responses) == 120 + 13 + 4 and after[3]
        pd.testing.assert_frame_equal(both.frame(), table)

    def test_interrupted_before_the_lines_were_removed(self, both: ResponseStore) -> None:
        """No response is there twice."""
        table = both.frame()
        as_parquet(both.folder / "closed.jsonl", keep=True)
        pd.testing.assert_frame_equal(both.frame(), table)
        assert len(both.read().responses) == len(table)

    def test_absent_fields_have_their_defaults(self, store: ResponseStore) -> None:
        """As in lines that do not have them, also where Parquet can only say that they are unknown."""
        store.append(numbered(1))

        def shorten(record: dict[str, Any]) -> None:
            record["sampling"] = {"top_k": 5}
            del record["completion_tokens"], record["place"]["attempt"]

        add_bytes(store, changed_record(shorten))
        before = store.read()
        as_parquet(only_file(store))
        assert store.read() == before

    def test_file_from_before_a_field_existed(self, store: ResponseStore) -> None:
        """What it lacks is unknown."""
        store.append(PLAIN)
        made = as_parquet(only_file(store))
        with duckdb.connect() as connection:
            connection.sql(
                f"CREATE TABLE old AS SELECT * EXCLUDE (cell, text_figures, shared) "
                f"REPLACE (struct_pack(key := model.key, name := model.name, base_sha256 := model.base_sha256, "
                f"quantization := model.quantization, template_sha256 := model.template_sha256) AS model) "
                f"FROM read_parquet('{glob.escape(str(made))}')"
            )
            connection.sql("SELECT * FROM old").write_parquet(str(made))
        assert store.read().responses == (PLAIN,)
        assert store.of_benchmark("any") == ()
        assert store.frame()["id"].tolist() == [PLAIN.id]

    @pytest.mark.parametrize("content", [b"PAR1 nonsense PAR1", "cut"])
    def test_damaged_file(self, both: ResponseStore, content: bytes | str) -> None:
        """It is named, and everything else is read."""
        made = as_parquet(both.folder / "closed.jsonl")
        made.write_bytes(content if isinstance(content, bytes) else made.read_bytes()[:-100])
        result = both.read()
        assert {response.id for response in result.responses} == {response.id for response in RANDOM[60:]}
        assert [(problem.path, problem.line) for problem in result.problems] == [(made, 0)]
        assert set(both.frame()["id"]) == {response.id for response in RANDOM[60:]}
        assert both.conversations() and both.of_benchmark("benchmark-1")

    def test_rows_of_a_newer_format_are_refused_by_name(self, store: ResponseStore) -> None:
        store.folder.mkdir(parents=True)
        with duckdb.connect() as connection:
            connection.sql("SELECT 2 AS format, 'x' AS id").write_parquet(str(store.folder / "newer.parquet"))
        (problem,) = store.read().problems
        assert (problem.line, "newer version" in problem.reason) == (1, True)
        assert len(store.frame()) == 0

    def test_a_writer_whose_file_was_taken_for_closed_begins_another(self, store: ResponseStore) -> None:
        """Nothing that it saves later hides behind the Parquet file."""
        store.append(numbered(1))
        as_parquet(only_file(store))
        store.append(numbered(2))
        assert store.read().responses == (numbered(1), numbered(2))
        assert len(list(store.folder.iterdir())) == 2


def test_responses_of_a_benchmark(store: ResponseStore, tmp_path: Path) -> None:
    """Published ones too, oldest first; others that only mention its id stay out."""
    assert MEASURED.cell
    for number in (2, 1):
        store.append(replace(numbered(number), cell=MEASURED.cell))
    store.append(replace(numbered(3), text=f'"{MEASURED.cell.benchmark}"', template_date=MEASURED.cell.benchmark))
    store.append(replace(numbered(4), cell=replace(MEASURED.cell, benchmark="another")))
    published = ResponseStore(tmp_path / "published")
    published.append(replace(numbered(0), cell=MEASURED.cell))
    whole = ResponseStore(store.folder, published=published.folder)
    assert [r.id for r in whole.of_benchmark(MEASURED.cell.benchmark)] == [numbered(n).id for n in (0, 1, 2)]


class TestConversations:
    def test_newest_first_and_limited(self, store: ResponseStore) -> None:
        """The list shows the latest ones only."""
        for number in range(5):
            place = Place(f"C{number}", round=0, pane=0)
            store.append(replace(numbered(number), place=place, messages=(Message("user", f"question {number}"),)))
        assert [c.id for c in store.conversations(limit=2)] == ["C4", "C3"]
        assert store.conversations()[-1].first_prompt == "question 0"

    def test_models_in_the_order_of_the_panes(self, store: ResponseStore) -> None:
        """Whoever answered first; a model in two panes is named once."""
        for number, (pane, model) in enumerate([(2, ADAPTED), (1, PLAIN.model), (0, ADAPTED)]):
            store.append(replace(numbered(number), model=model, place=Place("C", 0, pane)))
        assert store.conversations()[0].model_names == (ADAPTED.name, PLAIN.model.name)

    def test_answers_outside_the_arena_are_no_conversation(self, store: ResponseStore) -> None:
        """Benchmarks have no place."""
        store.append(replace(PLAIN, origin="benchmark", place=None))
        assert store.conversations() == []

    def test_reopened_in_the_order_of_the_screen(self, store: ResponseStore) -> None:
        """By round, pane and attempt, whoever finished first; other conversations that only quote the id stay out."""
        places = [Place("C", *position) for position in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]]
        for number, place in enumerate(reversed(places)):
            store.append(replace(numbered(number), place=place))
        store.append(replace(numbered(9), place=Place("D", 0, 0), text='"C"', template_date="C"))
        assert [response.place for response in store.conversation("C")] == places


class TestFailures:
    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        """A path below a regular file: the message names the folder and the remedy."""
        (tmp_path / "file").write_text("")
        folder = tmp_path / "file" / "responses"
        with pytest.raises(StoreError, match="RESULTS_DIR") as caught:
            ResponseStore(folder).append(PLAIN)
        assert str(folder) in str(caught.value)
        assert ResponseStore(folder).read().responses == ()

    def test_works_again_when_the_fault_is_gone(self, tmp_path: Path) -> None:
        """The same store, once the folder can be made."""
        (tmp_path / "responses").write_text("")
        store = ResponseStore(tmp_path / "responses")
        with pytest.raises(StoreError):
            store.append(PLAIN)
        (tmp_path / "responses").unlink()
        store.append(PLAIN)
        assert store.read().responses == (PLAIN,)

    def test_folder_deleted_while_running(self, store: ResponseStore) -> None:
        """The next answer is really saved, not written to a file that has no name any more."""
        store.append(numbered(1))
        only_file(store).unlink()
        store.folder.rmdir()
        store.append(numbered(2))
        assert store.read().responses == (numbered(2),)

    def test_full_disk(self, store: ResponseStore) -> None:
        """The system takes a part of the record only: an error, nothing torn left behind, and later it works again."""
        child = multiprocessing.get_context("spawn").Process(target=_append_on_a_full_disk, args=(store.folder,))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert store.read().responses == (numbered(1), numbered(2), numbered(4))
        assert store.read().problems == ()


def _append_on_a_full_disk(folder: Path) -> None:
    """Runs in a process of its own, where a limit on the size of files cuts the third record short."""
    store = ResponseStore(folder)
    store.append(numbered(1))
    store.append(numbered(2))
    size = only_file(store).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
    with pytest.raises(StoreError, match="disk space"):
        store.append(numbered(3))
    assert only_file(store).stat().st_size == size
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.append(numbered(4))


class TestConcurrency:
    def test_threads_share_a_store(self, store: ResponseStore) -> None:
        """Eight threads, large records: no line is mixed with another."""
        large = replace(PLAIN, text="x" * 100_000)

        def append(thread: int) -> None:
            for number in range(5):
                store.append(replace(large, id=f"{thread}-{number}"))

        threads = [threading.Thread(target=append, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.read().problems == ()
        assert {r.id for r in store.read().responses} == {f"{t}-{n}" for t in range(8) for n in range(5)}

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_forked_process_writes_a_file_of_its_own(self, store: ResponseStore) -> None:
        """A store made before a fork is used by both processes at once."""
        store.append(numbered(0))
        context = multiprocessing.get_context("fork")
        child = context.Process(target=_append_many, args=(store, range(1, 31)))
        child.start()
        _append_many(store, range(31, 61))
        child.join()
        assert child.exitcode == 0
        assert len(list(store.folder.iterdir())) == 2
        assert store.read().problems == ()
        assert [r.id for r in store.read().responses] == [numbered(n).id for n in range(61)]

    def test_killed_while_appending(self, store: ResponseStore) -> None:
        """After SIGKILL at most the last line is torn, and every answer reported as saved is there."""
        program = (
            "import sys\n"
            "from dataclasses import replace\n"
            "from pathlib import Path\n"
            "from evaluation.store import ResponseStore\n"
            "from tests.responses import PLAIN\n"
            "store = ResponseStore(Path(sys.argv[1]))\n"
            "for number in range(10**9):\n"
            "    store.append(replace(PLAIN, id=f'{number:09}', text='x' * 200_000))\n"
            "    print(number, flush=True)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(store.folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as process:
            assert process.stdout is not None
            for _ in range(20):
                process.stdout.readline()
            time.sleep(0.003)
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
        saved = 20 + len(rest)
        result = store.read()
        assert [int(r.id) for r in result.responses][:saved] == list(range(saved))
        assert len(result.problems) <= 1
        assert all("cut off" in problem.reason for problem in result.problems)


def _append_many(store: ResponseStore, numbers: range) -> None:
    for number in numbers:
        store.append(numbered(number))
