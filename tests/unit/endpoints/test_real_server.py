"""A real server, llama-cpp-python's own, as a model beside those that are here: in answers and in a benchmark."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from evaluation.benchmark.__main__ import main
from evaluation.benchmark.folder import benchmarks
from evaluation.compact import compact
from evaluation.endpoints import Endpoint, EndpointModel
from evaluation.endpoints.file import write_endpoints
from evaluation.endpoints.probe import probe
from evaluation.engine import Engines, Generation, GenerationRequest
from evaluation.host import host
from evaluation.leaderboard.answers import Answers
from evaluation.leaderboard.selection import Selection
from evaluation.losses import LossStore
from evaluation.models import discover
from evaluation.records import Message, Response, Sampling
from evaluation.store import ResponseStore
from tests.endpoint_server import KEY_VARIABLE, MODEL, llama_server
from tests.tiny_gguf import write_tiny

KEY = "sk-of-the-test"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with llama_server(KEY) as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


def test_answers(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text comes piece by piece and the same again; without usage its tokens are unknown. Stopping frees the server at
    once, and with a wrong key there is no answer. A local model answers through the same door."""
    assert probe(endpoint).models == (MODEL,) and probe(endpoint).fault is None
    recorded: list[Response] = []
    engines = Engines(recorded.append)

    def ask(text: str, max_tokens: int = 8) -> Generation:
        sampling = Sampling(temperature=0.0, max_tokens=max_tokens)
        model = EndpointModel(endpoint, endpoint.name)
        return engines.submit(GenerationRequest(model, (Message("user", text),), sampling, date(2026, 11, 1)))

    generation, texts = ask("What is the capital of France?"), {""}
    while (snapshot := generation.snapshot()).state != "done":
        assert engines.busy
        texts.add(snapshot.text)
        time.sleep(0.005)
    first = generation.wait(0)
    assert first.text and first.finish_reason in ("stop", "length") and not first.error
    assert len(texts) > 3 and all(first.text.startswith(text) for text in texts)
    assert first.server and first.completion_tokens is None and first.decode_tok_s is None
    assert first.latency_s and first.started_at and first.latency_s <= first.ended_at - first.started_at
    assert ask("What is the capital of France?").wait(30).text == first.text

    endless = ask("Tell me a very long story.", 900)
    while not endless.snapshot().text:
        time.sleep(0.005)
    endless.cancel()
    assert endless.wait(0.5).finish_reason == "cancelled"
    after = ask("Hi", 2).wait(5)
    assert after.text and after.waiting_s is not None
    too_long = ask("word " * 2000).wait(30)
    assert too_long.finish_reason == "error" and "may be too long" in (too_long.error or "")
    monkeypatch.setenv(KEY_VARIABLE, "wrong")
    refused = ask("Hi").wait(30)
    assert refused.error and "refused the key (401)" in refused.error and KEY_VARIABLE in refused.error
    engines.close()
    assert [response.finish_reason for response in recorded].count("error") == 2 and len(recorded) == 6


def test_a_benchmark_beside_a_local_model(
    endpoint: Endpoint, tmp_path: Path, shared_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named like any other model, asked the same, and ranked under a host of its own, also when its records are
    Parquet; no answer loss, said beforehand. An endpoint that fails is given up after three failures in a row."""
    models, results = tmp_path / "models", tmp_path / "results"
    models.mkdir()
    write_tiny(models / "Ant.gguf", texts={"general.name": "Ant"})
    broken = replace(endpoint, name="Broken", model="other", key_variable="NOT_SET")
    write_endpoints(models, [endpoint, broken])
    (tmp_path / "mine.jsonl").write_text(
        '{"id": "one", "prompt": "Hi", "reference": "Hello"}\n'
        + "".join(f'{{"id": "{n}", "prompt": "Say {n}"}}\n' for n in range(3))
    )
    arguments = ["--models", "ant", "small", "broken", "--prompts", str(tmp_path / "mine.jsonl"), "--repeats", "1"]
    assert main([*arguments, "--max-tokens", "4"]) == 0
    output = capsys.readouterr()
    assert "Of Small server, Broken no answer losses" in output.out and not output.err
    ((benchmark,), _) = benchmarks(results)
    assert (benchmark.progress.done, benchmark.progress.failed) == (12, 4)

    found = ResponseStore(results / "responses").of_benchmark(benchmark.folder.name)
    served = [each for each in found if each.model.name == "Small server" and each.cell and not each.cell.warm_up]
    assert len(served) == 4 and all(each.text and each.cell and not each.cell.disturbed for each in served)
    given_up = [each.error for each in found if each.model.name == "Broken" and each.cell and not each.cell.warm_up]
    assert all("NOT_SET" in (error or "") for error in given_up)
    assert (given_up[-1] or "").startswith("Not tried after 3 failures in a row")
    assert {loss.model.name for loss in LossStore(results / "losses").of_benchmark(benchmark.folder.name)} == {"Ant"}

    def ranked() -> list[tuple[str, str, int, int]]:
        answers = Answers(results)
        answers.refresh()
        frames = ((each, answers.models(Selection(each.key, disturbed=True))) for each in answers.hosts())
        rows = [
            (each.cpu, row.model_name, row.answers, row.failed) for each, frame in frames for row in frame.itertuples()
        ]
        return sorted(rows)

    expected = [(host().cpu, "Ant", 4, 0), (endpoint.address, "Broken", 0, 4), (endpoint.address, "Small server", 4, 0)]
    assert ranked() == sorted(expected)
    compact(results / "responses", 0)
    assert ranked() == sorted(expected)
    tokens = ResponseStore(results / "responses").frame().set_index("model_name")["completion_tokens"]
    assert tokens["Small server"].isna().all() and (tokens["Ant"] > 0).all()

    write_endpoints(models, [broken])
    assert discover(models, results, shared_cache).endpoints[0].name == "Broken"
