"""Whether an endpoint can be reached, and which models it serves, asked before it is used."""

import asyncio
import json
from dataclasses import dataclass

from evaluation.endpoints import Endpoint
from evaluation.endpoints.client import client, key_of, start_of
from evaluation.endpoints.faults import NoCompletion, no_such_model, sentence

PATIENCE_S = 5.0
LIST_BYTES = 8 * 2**20
"""Longer lists of models than the longest there are."""


@dataclass(frozen=True)
class Probe:
    """What an endpoint answered."""

    models: tuple[str, ...]
    """As the server calls them; empty when it does not list any."""
    fault: str | None
    """Why it cannot be used, as a sentence."""


def probe(endpoint: Endpoint) -> Probe:
    """Ask for the list of models; at most a few seconds. Never raises because of the server."""
    return asyncio.run(_probe(endpoint))


async def _probe(endpoint: Endpoint) -> Probe:
    try:
        models = await served_models(endpoint)
    except Exception as error:
        return Probe((), sentence(endpoint, error, PATIENCE_S))
    if models and endpoint.model not in models:
        return Probe(models, no_such_model(endpoint, models))
    return Probe(models, None)


async def served_models(endpoint: Endpoint) -> tuple[str, ...]:
    """The names of all models of the server. Raises what ``client.ask`` raises."""
    headers = {"Authorization": f"Bearer {key_of(endpoint)}"}
    async with (
        asyncio.timeout(PATIENCE_S),
        client() as connection,
        connection.stream("GET", endpoint.url("models"), headers=headers) as response,
    ):
        answer = await start_of(response, LIST_BYTES)
    try:
        names = [entry["id"] for entry in json.loads(answer)["data"]]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise NoCompletion from error
    return tuple(name for name in names if isinstance(name, str) and name)
