"""What a benchmark of an endpoint measures, told by a server over a socket, and what the leaderboard makes of it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmark.estimate import estimate_from_records
from evaluation.benchmark.folder import Progress, create
from evaluation.benchmark.plan import Plan, new_plan
from evaluation.benchmark.runner import Runner
from evaluation.endpoints import Endpoint, EndpointModel
from evaluation.endpoints.words import remarks
from evaluation.leaderboard.answers import Answers
from evaluation.leaderboard.selection import Selection
from evaluation.prompt_sets import parse_prompt_set
from evaluation.records import Message, Response, Sampling
from evaluation.store import ResponseStore
from tests.unit.endpoints.scripted import USAGE, Exchange, ScriptedServer, whole

PROMPTS = b"one\ntwo\nthree"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


class Bench:
    """Benchmarks of the server in a folder of their own."""

    def __init__(self, url: str, results: Path) -> None:
        self.model, self.results = EndpointModel(Endpoint("Box", url, "tiny"), "Box"), results
        self.plan: Plan = new_plan([self.model.ref], [parse_prompt_set("mine", PROMPTS, jsonl=False)], 1, Sampling())

    def run(self, *models: EndpointModel) -> Progress:
        folder = create(self.results, self.plan)
        plan = replace(self.plan, id=folder.name)
        return Runner(plan, folder, self.results, {each.key: each for each in models}, lambda progress: None).run()

    def ranked(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The model's row, and its cells."""
        answers, selection = Answers(self.results), Selection(self.model.host.key)
        answers.refresh()
        (row,) = answers.models(selection).to_dict("records")
        return row, answers.cells(selection).to_dict("records")

    def stored(self) -> list[Response]:
        return list(ResponseStore(self.results / "responses").of_benchmark(self.plan.id))


@pytest.fixture
def bench(server: ScriptedServer, tmp_path: Path) -> Bench:
    return Bench(server.url, tmp_path)


def one_by_one(exchange: Exchange) -> None:
    exchange.words("Hello", " big", " world.", pause_s=0.03)
    exchange.data({"choices": [], "usage": USAGE})
    exchange.end()


def gathered(*words: str) -> Callable[[Exchange], None]:
    """A server, or something before it, that sends several tokens at once."""

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        chunks = ({"choices": [{"delta": {"content": word}, "finish_reason": None}]} for word in words)
        exchange.send("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks))
        exchange.piece(finish="stop")
        exchange.data({"choices": [], "usage": USAGE | {"completion_tokens": 61}})
        exchange.end()

    return answer


@pytest.mark.parametrize(
    ("script", "speed"),
    [(one_by_one, True), (gathered("Hello big world."), False), (gathered(*["word "] * 61), False)],
    ids=["token by token", "in one chunk", "in one go"],
)
def test_its_answers_count(
    bench: Bench, server: ScriptedServer, script: Callable[[Exchange], None], speed: bool
) -> None:
    """Also of a server that reports what it has reused, and one that gathers tokens: of that the latency is known, and
    how fast it wrote is not, in the record as in the leaderboard."""
    server.script = script
    assert bench.run(bench.model).failed == 0
    row, cells = bench.ranked()
    assert (row["answers"], row["left_out"]) == (3, {"warm-up": 1})
    for cell, response in zip(
        cells, sorted(bench.stored()[1:], key=lambda each: each.messages[0].content), strict=True
    ):
        assert cell["latency_s"] == pytest.approx(response.latency_s, abs=1e-5) and cell["latency_s"] > 0
        assert (response.decode_tok_s is not None, cell["decode_tok_s"] > 0, cell["latency_150_s"] > 0) == (speed,) * 3
        assert ("parts" in [remark.label for remark in remarks(response)]) is not speed
        assert cell["prompt_tok_s"] == pytest.approx(response.prompt_tok_s, rel=1e-3)


def test_a_conversation_that_goes_on(bench: Bench, server: ScriptedServer) -> None:
    """Its answers do not count, also where the server does not say what it has reused."""

    def terse(exchange: Exchange) -> None:
        exchange.words("Yes.")
        exchange.end()

    server.script = terse
    bench.run(bench.model)
    again = (Message("user", "one"), Message("assistant", "1"), Message("user", "two"))
    ResponseStore(bench.results / "responses").append(replace(bench.stored()[-1], id="0" * 26, messages=again))
    row, _ = bench.ranked()
    assert (row["answers"], row["left_out"]) == (3, {"warm-up": 1, "continued a conversation": 1})
    basis = estimate_from_records(bench.plan, [bench.results / "responses"]).basis
    assert basis == "Of endpoints from their own earlier answers.", "though it never said how many tokens they have"


def test_a_temperature_that_is_refused(bench: Bench, server: ScriptedServer) -> None:
    """The leaderboard does not say that the answers were written with it."""

    def own(exchange: Exchange) -> None:
        if "temperature" in exchange.asked:
            exchange.refuse(400, {"error": {"message": "Unsupported value: only 1 is.", "param": "temperature"}})
        else:
            whole(exchange)

    server.script = own
    bench.run(bench.model)
    assert bench.ranked()[0]["settings"] == {(None, 512)} and bench.stored()[-1].sampling.temperature == 0.7


def test_a_server_that_asks_for_patience(bench: Bench, server: ScriptedServer) -> None:
    """It is waited for, and the wait is not part of the latency; one that asks for an hour is given up."""

    def busy(exchange: Exchange) -> None:
        if len(server.requests) % 3:
            exchange.refuse(429, "", Retry_After="0.03")
        else:
            whole(exchange)

    server.script = busy
    assert bench.run(bench.model).failed == 0
    assert all(each.latency_s and each.waiting_s and each.waiting_s > 0.06 for each in bench.stored())
    server.script = lambda exchange: exchange.refuse(429, "", Retry_After="3600")
    assert bench.run(bench.model).failed == 3 and len(server.requests) == 4 * 3 + 3


def test_an_endpoint_that_is_gone(bench: Bench) -> None:
    """Nothing is measured, and above all no failure is stored as one of this machine; it goes on when it is back."""
    end = bench.run()
    assert end.status == "failed" and end.reason and "Box is not in the file of endpoints any more" in end.reason
    assert not bench.stored()
    assert bench.run(bench.model).failed == 0
