"""Whether an endpoint can be reached, and which models it serves, asked before it is used."""

import asyncio
from dataclasses import dataclass

import httpx

from evaluation.endpoints import Endpoint
from evaluation.endpoints.client import client, key_of
from evaluation.endpoints.faults import NoCompletion, listed, sentence

PATIENCE_S = 5.0


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
        return Probe(
            models,
            f"The endpoint {endpoint.name} serves no model called {endpoint.model}. It serves: {listed(models)}.",
        )
    return Probe(models, None)


async def served_models(endpoint: Endpoint) -> tuple[str, ...]:
    """The names of all models of the server. Raises what ``client.ask`` raises."""
    headers = {"Authorization": f"Bearer {key_of(endpoint)}"}
    async with client() as connection:
        try:
            async with asyncio.timeout(PATIENCE_S):
                response = await connection.get(endpoint.url("models"), headers=headers)
        except TimeoutError as error:
            raise httpx.ReadTimeout("") from error
    try:
        names = [entry["id"] for entry in response.json()["data"]]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise NoCompletion from error
    return tuple(name for name in names if isinstance(name, str) and name)
