"""A real engine on the embedded model, shared by the tests of a module."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ulid import ULID

from evaluation.engine import Engine, Generation, GenerationRequest
from evaluation.models import ChatModel, discover
from evaluation.records import Message, Place, Response, Sampling


@dataclass
class Arena:
    """An engine, a model for it, and what it recorded."""

    engine: Engine
    model: ChatModel
    recorded: list[Response] = field(default_factory=list)

    def ask(
        self,
        *contents: str,
        model: ChatModel | None = None,
        conversation: str | None = None,
        system: str | None = None,
        today: date = date(2026, 11, 1),
        **sampling: Any,
    ) -> Generation:
        """Submit a conversation given as alternating user and assistant texts."""
        roles = ("user", "assistant")
        messages = [Message(roles[i % 2], text) for i, text in enumerate(contents)]  # type: ignore[arg-type]
        if system:
            messages.insert(0, Message("system", system))
        place = Place(conversation or str(ULID()), round=len(contents) // 2, pane=0)
        settings = Sampling(**{"max_tokens": 12} | sampling)
        return self.engine.submit(GenerationRequest(model or self.model, tuple(messages), settings, today, place=place))

    def answer(self, *contents: str, **options: Any) -> Response:
        return self.ask(*contents, **options).wait(60)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> ChatModel:
    nowhere = tmp_path_factory.mktemp("nowhere")
    (model,) = discover(nowhere / "models", nowhere / "results", nowhere / "cache").models
    return model


@pytest.fixture(scope="session")
def model_path(embedded: ChatModel) -> Path:
    return embedded.base.path


@pytest.fixture(scope="module")
def arena(embedded: ChatModel) -> Iterator[Arena]:
    recorded: list[Response] = []
    engine = Engine(recorded.append)
    yield Arena(engine, embedded, recorded)
    engine.close()
