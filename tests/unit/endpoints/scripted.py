"""A server that speaks OpenAI's chat protocol over a real socket, and does what a test tells it to."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}}
TIMINGS = {"prompt_n": 8, "cache_n": 4, "prompt_ms": 250.0, "predicted_n": 3, "predicted_ms": 500.0}


@dataclass
class Asked:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


class Exchange(BaseHTTPRequestHandler):
    """One request, and the ways to answer it."""

    server: "ScriptedServer"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._note({})
        self.refuse(200, {"data": [{"id": name} for name in self.server.models]})

    def do_POST(self) -> None:
        self.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(self.asked)
        self.server.script(self)

    def _note(self, body: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Asked(self.path, headers, body))

    def refuse(self, status: int, body: Any, **headers: str) -> None:
        """A whole answer, usually a refusal."""
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content_Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def begin(self, status: int = 200) -> None:
        """A stream in chunks."""
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send(self, text: str) -> None:
        content = text.encode()
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def data(self, chunk: Any) -> None:
        self.send(f"data: {json.dumps(chunk)}\n\n")

    def piece(self, content: str | None = None, finish: str | None = None) -> None:
        delta = {} if content is None else {"content": content}
        self.data({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def words(self, *words: str, finish: str = "stop", pause_s: float = 0.0) -> None:
        """A stream up to the end of its answer."""
        self.begin()
        for word in words:
            self.piece(word)
            time.sleep(pause_s)
        self.piece(finish=finish)

    def end(self) -> None:
        self.send("data: [DONE]\n\n")
        self.send("")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the screen."""


def whole(exchange: Exchange) -> None:
    """A fine answer, as llama-server gives it."""
    exchange.words("Hello", " big", " world.", pause_s=0.01)
    if "stream_options" in exchange.asked:
        exchange.data({"choices": [], "usage": USAGE, "timings": TIMINGS})
    exchange.end()


class ScriptedServer(ThreadingHTTPServer):
    """Runs while its context is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.script: Callable[[Exchange], None] = whole
        """Answers each request for a chat."""
        self.models: tuple[str, ...] = ("tiny",)
        self.requests: list[Asked] = []

    def __enter__(self) -> "ScriptedServer":
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is what a test wanted."""
