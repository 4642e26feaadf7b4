"""What endpoints do wrong, told by a server over a socket: each has its sentence and a record, and no key gets out."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from email.utils import formatdate
from typing import Any

import pytest

from evaluation.endpoints import Endpoint, EndpointModel
from evaluation.endpoints.probe import probe
from evaluation.endpoints.words import remarks
from evaluation.engine.api import Generation, GenerationRequest
from evaluation.engine.remote import EndpointEngine
from evaluation.records import Message, Origin, Response, Sampling, ServerFigures
from tests.endpoint_server import free_port
from tests.unit.endpoints.scripted import USAGE, Exchange, ScriptedServer, whole

KEY = "sk-hunter2secret"
STALL_S = 0.3


class Client:
    """An engine that gives up soon, and what it recorded."""

    def __init__(self) -> None:
        self.recorded: list[Response] = []
        self.engine = EndpointEngine(self.recorded.append, stall_s=STALL_S)

    def submit(
        self, url: str, variable: str | None = "BOX_KEY", origin: Origin = "arena", keep: bool = True, **sampling: Any
    ) -> Generation:
        model = EndpointModel(Endpoint("Box", url, "tiny", variable), "Box")
        messages = (Message("system", "Be brief."), Message("user", "hi"))
        request = GenerationRequest(model, messages, Sampling(**sampling), date(2026, 11, 1), origin, keep=keep)
        return self.engine.submit(request)

    def answer(self, url: str, **options: Any) -> Response:
        return self.submit(url, **options).wait(10)


def told(response: Response) -> ServerFigures:
    """What the server says. In how many parts that came depends on how busy this machine is."""
    assert response.server and response.server.arrivals
    return replace(response.server, arrivals=None)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("BOX_KEY", KEY)
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    made = Client()
    yield made
    made.engine.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def test_a_whole_answer(client: Client, server: ScriptedServer) -> None:
    """Text, times by this clock, and what the server counts and times; the request holds every setting and the key."""
    response = client.answer(server.url, temperature=0.2, stop=("END",), seed=7)
    assert (response.text, response.finish_reason, response.error) == ("Hello big world.", "stop", None)
    assert told(response) == ServerFigures(12, 3, 4, 0.25, 0.5)
    assert (response.prompt_tokens, response.cached_tokens, response.completion_tokens) == (12, 4, 3)
    assert (response.shared, response.threads, response.load_s, response.template_date) == (None, None, None, None)
    assert response.started_at and response.first_token_at
    assert response.submitted_at <= response.started_at < response.first_token_at < response.ended_at
    assert response.decode_busy_s and 0.005 < response.decode_busy_s < 1
    assert [(remark.label, remark.value) for remark in remarks(response)] == [
        ("clock", "this machine's"),
        ("server's prompt time", "0.25 s"),
        ("server's speed", "6.0 tok/s"),
    ]
    (asked,) = server.requests
    assert asked.path == "/v1/chat/completions" and asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "model": "tiny", "stream": True, "stream_options": {"include_usage": True}, "stop": ["END"], "seed": 7,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "temperature": 0.2, "top_p": 0.95, "top_k": 40, "min_p": 0.05, "repeat_penalty": 1.0, "max_tokens": 512,
    }  # fmt: skip
    assert client.recorded == [response]
    assert client.answer(server.url, keep=False).text and client.recorded == [response]


def test_a_server_that_refuses_settings(client: Client, server: ScriptedServer) -> None:
    """It is asked again without those it names; the record lists them, and the next request leaves them out at once.
    A benchmark also asks it not to reuse what it has read."""
    unknown = ("top_k", "min_p", "cache_prompt", "cache_salt", "stream_options")

    def hosted(exchange: Exchange) -> None:
        if "max_tokens" in exchange.asked:
            message = "Unsupported parameter: 'max_tokens' is not known here. Use 'max_completion_tokens' instead."
            exchange.refuse(400, {"error": {"message": message, "param": None}})
        elif named := [name for name in unknown if name in exchange.asked]:
            fault = {"loc": ["body", named[0]], "msg": "Extra inputs are not permitted", "input": exchange.asked}
            exchange.refuse(422, {"detail": [fault]})
        else:
            whole(exchange)

    server.script = hosted
    response = client.answer(server.url, origin="benchmark")
    assert told(response) == ServerFigures(refused_settings=("top_k", "min_p"))
    assert response.text == "Hello big world." and response.completion_tokens is None and response.decode_tok_s is None
    assert {"cache_prompt", "cache_salt"} < set(server.requests[0].body) and len(server.requests) == 7
    assert server.requests[-1].body["max_completion_tokens"] == 512
    assert ("settings not taken", "top-k, min-p") in [each[:2] for each in remarks(response)]
    assert client.answer(server.url).text == response.text and len(server.requests) == 8


@pytest.mark.parametrize(
    ("complaint", "left_out"),
    [
        ({"error": {"message": "temperature must be at most 1", "param": "temperature"}}, set()),
        ({"error": {"message": "Unsupported content: plant a seed at high temperature"}}, set()),
        ({"detail": [{"type": "less_than_equal", "loc": ["body", "seed"], "msg": "Not allowed: at most 9"}]}, {"seed"}),
        ({"error": {"message": "Unrecognized request arguments supplied: min_p, top_k"}}, {"min_p", "top_k"}),
        ({"error": {"message": "'temperature' is not supported.", "param": "temperature"}}, {"temperature"}),
        ("unknown field `top_k`, expected one of `model`, `seed`, `temperature`", {"top_k"}),
    ],
)
def test_what_is_left_out(client: Client, server: ScriptedServer, complaint: Any, left_out: set[str]) -> None:
    """What a server calls unknown, and neither a value that is out of range nor words that it repeats. What does not
    help is tried again the next time."""
    server.script = refusing(400, complaint)
    response = client.answer(server.url)
    assert response.error and "Box refused the request (400), saying: " in response.error
    first, *again = (set(asked.body) for asked in server.requests)
    assert [first - each for each in again] == ([left_out] if left_out else [])
    server.script = whole
    assert told(client.answer(server.url)) == ServerFigures(12, 3, 4, 0.25, 0.5)
    assert set(server.requests[-1].body) == first


def refusing(status: int, body: object, **headers: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.refuse(status, body, **headers)


def hello(exchange: Exchange) -> None:
    exchange.begin()
    exchange.piece("Hello")


def cut(exchange: Exchange) -> None:
    hello(exchange)
    exchange.close_connection = True


def silent(exchange: Exchange) -> None:
    hello(exchange)
    time.sleep(STALL_S * 3)


def keeping_alive(exchange: Exchange) -> None:
    hello(exchange)
    for _ in range(20):
        exchange.send(": ping\n\n")
        time.sleep(STALL_S / 6)
    exchange.close_connection = True


def failing(exchange: Exchange) -> None:
    hello(exchange)
    exchange.data({"error": {"message": f"GPU fell off; key {KEY}", "code": 500}})


def filtered(exchange: Exchange) -> None:
    exchange.words("Hello", finish="content_filter")
    exchange.end()


def nothing(exchange: Exchange) -> None:
    exchange.begin()
    exchange.end()


def nonsense(exchange: Exchange) -> None:
    hello(exchange)
    exchange.data(["no", "chunk"])


def busy_for_10_min(exchange: Exchange) -> None:
    exchange.refuse(429, "", Retry_After=formatdate(time.time() + 600, usegmt=True))


TOO_LONG = {"error": {"code": "context_length_exceeded", "message": "maximum context length is 8 tokens"}}


@pytest.mark.parametrize(
    ("script", "text", "sentence"),
    [
        (refusing(401, f"no such key {KEY}"), "", "Box refused the key (401): check the value of the environment va"),
        (refusing(403, {}), "", "Box does not let the key in BOX_KEY use the model tiny (403)."),
        (refusing(404, {}), "", "Box serves no model called tiny (404). It serves: large, <b>…</b>."),
        (refusing(429, {"error": {"message": "Slow down."}}, Retry_After="20"), "", "wait 20 s, saying: Slow down."),
        (busy_for_10_min, "", "to wait 10 min."),
        (refusing(429, "soon"), "", "the quota is used up (429): try again later, saying: soon."),
        (refusing(503, "<html>busy</html>"), "", "Box failed (503). Try again later, or look into the server's log."),
        (refusing(500, {"detail": f"boom {KEY}"}), "", "Box failed (500), saying: boom …. Try again later"),
        (refusing(418, [{"msg": "." * 290 + KEY}]), "", "…."),
        (refusing(418, [{"msg": "I am a teapot"}]), "", "refused the request (418), saying: I am a teapot."),
        (refusing(400, TOO_LONG), "", "too long for the endpoint Box, saying: maximum context length is 8 tokens. Sh"),
        (refusing(200, "<html>", Content_Type="text/html"), "", "is not what such a server says: check its address, h"),
        (refusing(200, {"choices": []}), "", "Box ended the stream without an answer"),
        (nothing, "", "Box ended the stream without an answer"),
        (nonsense, "Hello", "is not what such a server says"),
        (cut, "Hello", "Box broke off in the middle of the answer; what had come by then is kept."),
        (silent, "Hello", "Box sent nothing for 0.3 s, so the connection was closed."),
        (keeping_alive, "Hello", "Box sent nothing for 0.3 s, so the connection was closed."),
        (failing, "Hello", "Box reported a fault, saying: GPU fell off; key …."),
        (filtered, "Hello", "Box did not let the model finish (content_filter)."),
    ],
)
def test_what_a_server_does_wrong(
    client: Client, server: ScriptedServer, script: Callable[[Exchange], None], text: str, sentence: str
) -> None:
    """One sentence that names the endpoint, what had come of the text, a record, and never the key."""
    server.script, server.models = script, ("large", f"<b>{KEY}</b>")
    response = client.answer(server.url)
    assert response.error and sentence in response.error and "Box" in response.error and "\n" not in response.error
    assert response.finish_reason == ("context" if "too long for the endpoint" in response.error else "error")
    assert response.text == text and client.recorded == [response]
    assert KEY not in str(response)


def test_a_model_that_thinks_first(client: Client, server: ScriptedServer) -> None:
    """Its thoughts are not part of the text, but they are tokens, and a sign of life however long it thinks."""

    def thinking(exchange: Exchange) -> None:
        exchange.begin()
        for _ in range(4):
            exchange.data({"choices": [{"delta": {"reasoning_content": "hm "}}]})
            time.sleep(STALL_S / 3)
        exchange.piece("Yes.", finish="stop")
        exchange.data({"choices": [], "usage": USAGE | {"completion_tokens": 5}})
        exchange.end()

    server.script = thinking
    response = client.answer(server.url)
    assert (response.text, response.error) == ("Yes.", None)
    assert told(response) == ServerFigures(12, 5, 4)
    assert response.decode_busy_s and response.decode_busy_s > STALL_S


def test_a_server_that_never_ends(client: Client, server: ScriptedServer) -> None:
    """One that writes on after the longest answer it may give, and one whose refusal has no end: both are left."""
    left = threading.Event()

    def endless(exchange: Exchange) -> None:
        refuses = exchange.asked["max_tokens"] == 1
        exchange.begin(400 if refuses else 200)
        try:
            for _ in range(2_000):
                exchange.send("x" * 50_000) if refuses else exchange.piece("word ")
        except OSError:
            left.set()

    server.script = endless
    for max_tokens, sentence in ((5, "Box wrote on after the tokens it was allowed"), (1, "(400), saying: xxx")):
        left.clear()
        response = client.answer(server.url, max_tokens=max_tokens)
        assert response.error and sentence in response.error and left.wait(5)
        assert len(response.text) < 100 * max_tokens


def test_a_fault_of_this_program(client: Client, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer ends with a sentence and is recorded, and the next one is not held up."""
    with monkeypatch.context() as broken:
        broken.setitem(sys.modules, "evaluation.endpoints.outcome", None)
        response = client.answer(server.url)
    assert response.error and "Box could not be asked" in response.error and client.recorded == [response]
    assert not client.engine.busy and client.answer(server.url).text


def test_a_server_that_cannot_be_reached(
    client: Client, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No port, no such machine, no TLS, and no key: told by the check beforehand as by the answer."""
    faults = {
        f"http://127.0.0.1:{free_port()}": "is the server running?",
        "http://no-such-machine.invalid": "No machine is known under the address no-such-machine.invalid",
        server.url.replace("http:", "https:"): "No secure connection to the endpoint Box at 127.0.0.1",
    }
    for url, sentence in faults.items():
        error, endpoint = client.answer(url).error, Endpoint("Box", url, "tiny", "BOX_KEY")
        assert error and sentence in error and probe(endpoint).fault == error
    for value in ("", "two words", "clé"):
        monkeypatch.setenv("BOX_KEY", value)
        fault = probe(Endpoint("Box", server.url, "tiny", "BOX_KEY")).fault
        assert fault and "BOX_KEY" in fault and client.answer(server.url).error == fault
        assert not value or value not in fault
    assert not server.requests and len(client.recorded) == 6


def test_nobody_else_gets_the_key(client: Client, server: ScriptedServer) -> None:
    """A redirection is not followed: neither the key nor the conversation goes to another host. Where no key is
    needed, none is sent, and above all not the user's token of the hub."""
    with ScriptedServer() as stranger:
        target = f"{stranger.url}/chat/completions"
        server.script = lambda exchange: exchange.refuse(307, "", Location=f"{target}/{KEY}?token={KEY}")
        error = client.answer(server.url).error
        assert error and f"elsewhere (307), to {target}/…. " in error and KEY not in error
        assert not stranger.requests
        assert probe(Endpoint("Open", stranger.url, "tiny")).fault is None
        assert client.answer(stranger.url, variable=None).text == "Hello big world."
        assert {asked.headers["authorization"] for asked in stranger.requests} == {"Bearer no-key"}


def test_cancelling_closes_the_connection(client: Client, server: ScriptedServer) -> None:
    """While the server writes, and while it has not answered at all; closing the engine cancels as well."""
    gone, asked = threading.Semaphore(0), threading.Semaphore(0)

    def endless(exchange: Exchange) -> None:
        writes = exchange.asked["seed"] == 1
        if writes:
            exchange.begin()
        asked.release()
        try:
            while writes:
                exchange.piece("word ")
                time.sleep(0.005)
            exchange.connection.settimeout(5)
            assert exchange.rfile.read(1) == b""  # the other side has closed
        except OSError:
            pass
        gone.release()

    server.script = endless
    for seed in (0, 1):
        generation = client.submit(server.url, seed=seed)
        assert asked.acquire(timeout=5)
        while seed and not generation.snapshot().text:
            time.sleep(0.005)
        generation.cancel()
        response = generation.wait(0.5)
        assert gone.acquire(timeout=1) and (response.finish_reason, response.error) == ("cancelled", None)
        assert response.text.startswith("word " * seed) and generation.snapshot().state == "done"
    last = client.submit(server.url, seed=1)
    assert asked.acquire(timeout=5) and client.engine.busy
    client.engine.close()
    assert last.wait(0).finish_reason == "cancelled" and len(client.recorded) == 3 and not client.engine.busy
    with pytest.raises(RuntimeError):
        client.submit(server.url)


def test_the_check_of_the_model(server: ScriptedServer) -> None:
    """The check tells when the server serves other models, and names them."""
    server.models = tuple(f"model-{number}" for number in range(20))
    found = probe(Endpoint("Box", server.url, "tiny"))
    assert len(found.models) == 20
    assert found.fault and found.fault.endswith("model-10, model-11 and 8 more.")
