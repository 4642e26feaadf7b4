"""What the measurements share: a model, an engine, and answers of a fixed length."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from ulid import ULID

from evaluation.engine import Engine, Generation, GenerationRequest
from evaluation.engine.threads import worker_environment, worker_threads
from evaluation.models import ChatModel, discover
from evaluation.records import Message, Place, Response, Sampling
from evaluation.settings import Settings

QUESTION = "Write a very long story about a lighthouse keeper, with many chapters. Do not stop."


def chat_models(path: Path | None) -> list[ChatModel]:
    """The embedded model and, when a path is given, that file's model."""
    with tempfile.TemporaryDirectory() as folder:
        models_dir = path.resolve().parent if path else Path(folder)
        catalog = discover(models_dir, Path(folder), Settings.from_environment().cache_dir)
    for unusable in catalog.unusable:
        if path and unusable.path == path.resolve():
            raise SystemExit(f"{unusable.path.name}: {unusable.reason}")
    embedded = catalog.models[0]
    return [embedded, *(model for model in catalog.models if path and model.base.path == path.resolve())]


def is_small(model: ChatModel) -> bool:
    """Some targets differ between a 135M and a 1B."""
    return model.base.parameters < 5e8


def tokens_for(model: ChatModel) -> int:
    """New tokens per timed answer: four seconds or so."""
    return 320 if is_small(model) else 96


def ask(
    engine: Engine,
    model: ChatModel,
    content: str = QUESTION,
    *history: Message,
    conversation: str = "",
    **sampling: int,
) -> Generation:
    """Ask in a new conversation (cold cache), unless one is named. Random weights would end at once by chance, so
    answers are made to a fixed length by their temperature and limit."""
    place = Place(conversation or str(ULID()), round=0, pane=0)
    settings = Sampling(**{"max_tokens": tokens_for(model), "seed": 1} | sampling)  # type: ignore[arg-type]
    messages = (*history, Message("user", content))
    return engine.submit(GenerationRequest(model, messages, settings, date(2026, 11, 1), place=place))


def answer(engine: Engine, model: ChatModel, content: str = QUESTION, *history: Message, **options: object) -> Response:
    """Ask and wait; a failed answer ends the program."""
    response = ask(engine, model, content, *history, **options).wait(600)  # type: ignore[arg-type]
    if response.error:
        raise SystemExit(response.error)
    return response


@contextmanager
def running_engine() -> Iterator[Engine]:
    engine = Engine()
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def half_a_core_used() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.half_core"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class BareLoop:
    """``benchmarks.bare_loop`` in a process of its own, with the engine's threads and environment."""

    def __init__(self, model: ChatModel) -> None:
        command = [sys.executable, "-m", "benchmarks.bare_loop", str(model.base.path), str(worker_threads())]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=worker_environment()
        )

    def decode_tok_s(self, prompt_tokens: int, new_tokens: int) -> float:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{prompt_tokens} {new_tokens}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
