"""The published study in this program's records: what is committed is what its tables say, and no more."""

import csv
import json
import shutil
import statistics
from pathlib import Path

import pandas as pd
import pytest

from evaluation.benchmark.folder import benchmarks
from evaluation.leaderboard.answers import Answers, Selection
from evaluation.published import RESPONSES, TABLE, published_responses
from evaluation.records import Response
from evaluation.settings import PUBLISHED_DIR
from evaluation.store import ResponseStore, to_json_line
from tests.responses import PLAIN
from training.runlog import read_log, read_run

RUN = PUBLISHED_DIR / "runs" / "llama-3.2-1b-instruct-r32-120steps"
LIFE = "What is the meaning of life?"


@pytest.fixture
def store(tmp_path: Path) -> ResponseStore:
    """A new installation's store beside the study's responses."""
    study = tmp_path / "published"
    study.mkdir()
    shutil.copy(RESPONSES, study)
    return ResponseStore(tmp_path / "responses", published=study)


@pytest.fixture
def responses() -> tuple[Response, ...]:
    return tuple(published_responses())


class TestResponses:
    def test_committed_file_is_made_from_the_table(self, responses: tuple[Response, ...]) -> None:
        """To the byte, so that nobody edits one without the other."""
        assert RESPONSES.read_bytes() == b"".join(map(to_json_line, responses))

    def test_every_row_of_the_table(self, responses: tuple[Response, ...]) -> None:
        """Its prompt and time; words where the text was printed, as counted there (136) and not as stated (142)."""
        with TABLE.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [response.latency_s for response in responses] == [float(row["latency_s"]) for row in rows]
        assert [response.messages[-1].content for response in responses] == [row["prompt"] for row in rows]
        assert [response.words for response in responses] == [None] * 8 + [136, 218, 154, 231, 241]
        assert len({response.id for response in responses}) == 13

    def test_base_and_fine_tune_per_word(self, responses: tuple[Response, ...]) -> None:
        """The shorter wait was not the faster model: 0.21 s per word of the base, 0.28 s of its fine-tune."""
        of_third_prompt = {r.model.key: r.seconds_per_word for r in responses if r.messages[-1].content == LIFE}
        base = of_third_prompt["published-llama-3.2-1b-instruct"]
        tuned = of_third_prompt["published-llama-3.2-1b-instruct-r16-60steps"]
        assert (base, tuned) == (pytest.approx(49 / 231), pytest.approx(38 / 136))
        assert f"{base:.2f} {tuned:.2f}" == "0.21 0.28"

    def test_what_is_not_known_is_unknown(self, responses: tuple[Response, ...]) -> None:
        """Never zero and never false: no figure is derived from what nobody recorded."""
        for response in responses:
            assert (response.origin, response.text, response.submitted_at) == ("published", "", 0.0)
            assert response.time_to_first_token_s is response.waiting_s is response.cold is None
            assert response.decode_tok_s is response.prompt_tok_s is response.completion_tokens is None
            assert response.model.base_sha256 is response.model.template_sha256 is response.template_date is None

    def test_fine_tunes_name_their_runs(self, responses: tuple[Response, ...]) -> None:
        """The last row's adapter is that of the published run; base models have none."""
        assert responses[-1].model.adapter_run == RUN.name
        assert [r.model.adapter_run is None for r in responses if r.messages[-1].content == LIFE] == [
            *(False, False, False, True, False)
        ]


class TestTable:
    def test_agrees_with_the_records(self, store: ResponseStore, responses: tuple[Response, ...]) -> None:
        """Figures and unknowns alike, beside an answer of this machine."""
        store.append(PLAIN)
        frame = store.frame().set_index("id")
        assert set(frame["origin"]) == {"published", "arena"}
        names = ["latency_s", "words", "seconds_per_word", "waiting_s", "decode_tok_s", "cold", "completion_tokens"]
        for response in (*responses, PLAIN):
            for name in names:
                cell, value = frame.loc[response.id][name], getattr(response, name)
                assert pd.isna(cell) if value is None else cell == value, (response.id, name)

    def test_settings_that_were_not_stated_are_unknown(self, store: ResponseStore) -> None:
        """Temperature and most tokens are known; the rest of the record holds defaults that nobody chose."""
        frame = store.frame()
        assert len(frame) == 13
        assert set(frame["temperature"]) == {0.7} and set(frame["max_tokens"]) == {512}
        assert frame[["top_k", "top_p", "min_p", "repeat_penalty", "seed", "template_date"]].isna().all(axis=None)

    def test_read_with_the_records_of_the_installation(self, store: ResponseStore) -> None:
        """Both folders; only the installation's own is written to."""
        store.append(PLAIN)
        read = store.read()
        assert (len(read.responses), read.problems) == (14, ())
        (study,) = (store.published or Path()).iterdir()
        assert study.read_bytes() == RESPONSES.read_bytes()

    def test_no_conversation_of_the_arena(self, store: ResponseStore) -> None:
        """The arena's history holds what was said there."""
        store.append(PLAIN)
        assert [conversation.first_prompt for conversation in store.conversations()] == ["Why is the sky blue?"]


@pytest.mark.parametrize(("name", "models", "prompts", "measured"), [("base", 4, 43, 43), ("qwen", 2, 8, 0)])
def test_the_benchmarks_that_come_along_are_whole(
    tmp_path: Path, name: str, models: int, prompts: int, measured: int
) -> None:
    """Every cell has an answer that counts, every reference of the plan a loss, and the leaderboard has them at first
    start."""
    found, damaged = benchmarks(tmp_path, PUBLISHED_DIR)
    (benchmark,) = (each for each in found if each.plan.id.startswith(name))
    assert not damaged and benchmark.progress.status == "finished"
    answers = Answers(tmp_path, PUBLISHED_DIR)
    answers.refresh()
    assert answers.bad_lines() == (0, 0)
    cells = answers.cells(Selection(benchmark.plan.host.key, benchmarks=(benchmark.plan.id,)))
    assert len(cells) == models * prompts and set(cells["answers"]) == {benchmark.plan.repeats}
    assert set(cells.groupby("model_key")["bits_per_byte"].count()) == {measured}


class TestRun:
    def test_what_is_known_of_it(self) -> None:
        """Marked as published, with rank and steps, and nothing about times, machine or seed."""
        run = read_run(RUN)
        assert (run.origin, run.status, run.steps) == ("published", "finished", 120)
        assert run.recipe == {"lora": {"rank": 32}, "training": {"steps": 120}}
        assert run.started_at is run.ended_at is run.host is run.backend is None
        assert run.notes is not None and "Not recorded" in run.notes

    def test_its_log_is_the_published_table(self) -> None:
        """Each step's loss; the mean is the published 0.9358."""
        entries = read_log(RUN).entries
        with (PUBLISHED_DIR / "loss_llama-3.2-1b_r32_120steps.csv").open(newline="") as file:
            table = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
        assert [(entry.step, entry.loss) for entry in entries] == table
        assert statistics.mean(loss for _, loss in table) == pytest.approx(0.9358, abs=5e-5)

    def test_stored_as_the_import_stores_it(self) -> None:
        """Only what the importer knows of a line: its step, its kind, its loss."""
        lines = (RUN / "log.jsonl").read_text().splitlines()
        assert {tuple(json.loads(line)) for line in lines} == {("step", "kind", "loss")}
