"""Asking an endpoint: one request, and the stream of its answer.

Which settings are sent: all of ``Sampling``. Temperature, top-p, seed, stop strings and the longest answer are part of
OpenAI's protocol; top-k, min-p and the repetition penalty are not, but llama-server and llama-cpp-python take all
three, and vLLM the first two. A hosted one may refuse a request for a setting it does not know: it names it (status 400
or 422), and the request is sent again without it. The answer's record lists what was refused. A setting whose value is
out of range is not left out: then the answer fails, and says so.

A benchmark also asks the server not to reuse what it has read before (``cache_prompt`` of llama-server, ``cache_salt``
of vLLM), as it does with the models here, and waits where the server asks for patience (``Retry-After``).
"""

import asyncio
import json
import os
import ssl
from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, cast

import httpx
from huggingface_hub import AsyncInferenceClient, set_async_client_factory
from huggingface_hub.errors import TextGenerationError
from ulid import ULID

from evaluation.endpoints import Endpoint
from evaluation.endpoints.answer import Answer
from evaluation.endpoints.faults import KeyFault, NoCompletion, Overlong
from evaluation.endpoints.refusal import Refused
from evaluation.records import Message, Sampling

CONNECT_S = 10.0
"""A machine that has not accepted the connection by then is not there."""
NO_KEY = "no-key"
"""Sent where an endpoint needs none: without any, the client would send the user's token of the hub."""
PATIENCE = 5
"""So often a benchmark waits for one answer as the server asks it to,"""
PATIENCE_S = 60.0
"""and so long at most each time: who asks for more has used up a quota."""
LONGEST = 8
"""Chunks of an answer for each token it may have. A chunk holds a token or more, unless a server splits them."""
REFUSAL_BYTES = 64 * 2**10
"""So much is read of what a server says beside a status that is no success."""
_NEEDED = ("stop", "max_completion_tokens")
"""Settings without which an answer would be another one, or endless."""
_RENAMED = {"max_tokens": "max_completion_tokens"}
"""Settings that newer servers want under another name."""


def key_of(endpoint: Endpoint) -> str:
    """The key, read now; a placeholder for an endpoint without one. Raises ``KeyFault``."""
    if endpoint.key_variable is None:
        return NO_KEY
    key = os.environ.get(endpoint.key_variable, "").strip()
    variable = f"the environment variable {endpoint.key_variable}"
    if not key:
        raise KeyFault(
            f"The endpoint {endpoint.name} needs a key, but {variable} is not set: set it where the app is started, "
            "then start the app again."
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise KeyFault(f"The key of the endpoint {endpoint.name} holds signs that no key has: set {variable} anew.")
    return key


def settings(sampling: Sampling, benchmark: bool, refused: Collection[str]) -> dict[str, Any]:
    """What is sent beside the messages, without what this server has refused."""
    wanted: dict[str, Any] = asdict(sampling) | {"stop": list(sampling.stop), "stream_options": {"include_usage": True}}
    if not sampling.stop:
        del wanted["stop"]
    if benchmark:
        wanted |= {"cache_prompt": False, "cache_salt": str(ULID())}
    renamed = {new: wanted[old] for old, new in _RENAMED.items() if old in refused}
    return {name: value for name, value in wanted.items() if name not in refused} | renamed


async def ask(
    endpoint: Endpoint,
    messages: Sequence[Message],
    sampling: Sampling,
    benchmark: bool,
    refused: set[str],
    stall_s: float,
    answer: Answer,
) -> None:
    """Send the request and put what comes into ``answer``, until the stream ends. Cancelled, it closes the connection.

    ``refused``: what this server is known to refuse; what it has answered without is added. Raises ``KeyFault``,
    ``Refused``, ``NoCompletion``, ``Overlong``, ``TimeoutError`` or ``httpx.HTTPError``.
    """
    key, left_out, waited = key_of(endpoint), set(refused), 0
    while True:
        wanted = settings(sampling, benchmark, left_out)
        answer.refused = tuple(name for name in asdict(sampling) if name in left_out and name not in _RENAMED)
        try:
            await _attempt(endpoint, key, messages, wanted, stall_s, answer)
        except Refused as refusal:
            may_wait = benchmark and refusal.status == 429 and waited < PATIENCE
            wait_s = refusal.retry_after_s if may_wait else None
            if unknown := refusal.unknown(wanted.keys() - _NEEDED):
                left_out |= unknown
            elif wait_s is not None and wait_s <= PATIENCE_S:
                waited += 1
                await asyncio.sleep(wait_s)
            else:
                raise
        else:
            refused |= left_out
            return


async def _attempt(
    endpoint: Endpoint, key: str, messages: Sequence[Message], wanted: dict[str, Any], stall_s: float, answer: Answer
) -> None:
    timeout = cast(float, httpx.Timeout(None, connect=CONNECT_S))  # it is handed on to httpx as it is
    asked: list[Any] = [asdict(message) for message in messages]
    url = endpoint.url("chat/completions")
    most_chunks = LONGEST * (wanted.get("max_tokens") or wanted["max_completion_tokens"])
    # A timeout of httpx would be put off by every byte, also by the empty lines that some servers send for ever.
    async with (
        asyncio.timeout(stall_s) as patience,
        AsyncInferenceClient(base_url=url, api_key=key, timeout=timeout) as hub_client,
    ):
        answer.begin()
        try:
            chunks = await hub_client.chat_completion(asked, model=endpoint.model, stream=True, extra_body=wanted)
            async for chunk in chunks:
                answer.take(chunk)
                if answer.last_at is not None:
                    patience.reschedule(answer.last_at + stall_s)
                if answer.chunks > most_chunks:
                    raise Overlong
        except TextGenerationError as error:  # the server says in the stream that it failed
            raise NoCompletion(_said(error)) from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise NoCompletion from error


def _said(error: TextGenerationError) -> str:
    """As the server wrote it, in JSON."""
    return json.dumps(error.args[0] if error.args else "")


def client() -> httpx.AsyncClient:
    """A connection for endpoints. It follows no redirection, which could lead key and conversation to a stranger, and
    needs no proxy to reach this machine. That of ``huggingface_hub`` would refuse to work where the hub is switched
    off (``HF_HUB_OFFLINE``)."""
    return httpx.AsyncClient(
        verify=_certificates(),
        follow_redirects=False,
        mounts={f"all://{here}": httpx.AsyncHTTPTransport(verify=_certificates()) for here in _HERE},
        event_hooks={"response": [_refuse]},
    )


_HERE = ("localhost", "127.0.0.1", "[::1]")
set_async_client_factory(client)


@cache
def _certificates() -> ssl.SSLContext:
    """Reading them takes long enough to be seen in a time to first token."""
    return httpx.create_ssl_context()


async def _refuse(response: httpx.Response) -> None:
    """Raises ``Refused`` with what the server says, which a stream would otherwise hide; ``NoCompletion``."""
    if response.status_code >= 300:
        body, headers = await start_of(response, REFUSAL_BYTES), response.headers
        raise Refused(response.status_code, body, headers.get("retry-after"), headers.get("location"))
    if "html" in response.headers.get("content-type", ""):
        raise NoCompletion


async def start_of(response: httpx.Response, most_bytes: int) -> str:
    """The text of an answer; of an endless one about so much."""
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > most_bytes:
            break
    return body.decode(errors="replace")
