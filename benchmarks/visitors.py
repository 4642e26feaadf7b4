"""How many people one machine serves: visitors who ask again as soon as they have their answer."""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.report import Measure, Row
from benchmarks.visitor import Visitor
from evaluation.models import ChatModel
from evaluation.prompt_sets import load_prompt_set
from evaluation.records import Response
from evaluation.store import ResponseStore
from scripts.live_app import LiveApp, live_app

QUESTIONS = {1: 10, 5: 4, 20: 2, 50: 2}
"""Messages of each visitor, by the number of visitors."""


def visitors_at_once(models: list[ChatModel]) -> Iterator[Row]:
    """Answers per minute, waiting and memory with 1, 5, 20 and 50 of them, on an app started anew for each."""
    for visitors, questions in QUESTIONS.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            live_app(Path(folder), RESULTS_DIR=folder, MODELS_DIR=folder) as app,
        ):
            with Visitor(app.url, models[0].key) as first:
                first.ask("Hello")  # loads the model
            began = time.monotonic()
            with _peak_memory(app) as peak:
                faults = _visit(app, models[0].key, visitors, questions)
            minutes = (time.monotonic() - began) / 60
            responses = ResponseStore(Path(folder) / "responses").read().responses[1:]
        yield from _rows(visitors, visitors * questions, responses, faults, minutes, peak[0])


def _visit(app: LiveApp, key: str, visitors: int, questions: int) -> list[str]:
    """All of them at the same time; returns what went wrong."""
    prompts = [prompt.messages[-1].content for prompt in load_prompt_set("everyday").prompts]

    def one(number: int) -> list[str]:
        try:
            with Visitor(app.url, key) as visitor:
                for question in range(questions):
                    visitor.ask(prompts[(number * questions + question) % len(prompts)])
                return visitor.faults
        except (OSError, TimeoutError) as error:
            return [repr(error)]

    with ThreadPoolExecutor(visitors) as pool:
        return [fault for faults in pool.map(one, range(visitors)) for fault in faults]


def _rows(
    visitors: int, asked: int, responses: tuple[Response, ...], faults: list[str], minutes: float, peak_bytes: float
) -> Iterator[Row]:
    who = f"{visitors} visitor{'' if visitors == 1 else 's'}"
    answered = [response for response in responses if response.finish_reason in ("stop", "length")]
    waited = [each.started_at - each.submitted_at for each in answered if each.started_at is not None]
    first_tokens = [each.time_to_first_token_s for each in answered if each.time_to_first_token_s is not None]
    words = sum(each.words or 0 for each in answered)
    yield Row(
        f"{who}: answers per minute", "", len(answered) / minutes, asked, f"{words / minutes:,.0f} words per minute"
    )
    yield Row(
        f"{who}: seconds in the queue, median", "", statistics.median(waited), asked, f"longest {max(waited):.1f}"
    )
    yield Row(f"{who}: time to first token, s, median", "", statistics.median(first_tokens), asked)
    yield Row(f"{who}: peak memory (PSS) of server and model, MB", "", peak_bytes / 1e6, 1)
    yield Row(f"{who}: failures", "≤ 0", len(faults) + asked - len(answered), asked, "; ".join(faults[:3]))


@contextmanager
def _peak_memory(app: LiveApp) -> Iterator[list[float]]:
    """The largest memory of the app's processes within the ``with`` block, bytes, as the only entry of a list."""
    peak, ended, server = [0.0], threading.Event(), psutil.Process(app.pid)

    def watch() -> None:
        while not ended.wait(2):
            total = 0.0
            for process in (server, *server.children(recursive=True)):
                with suppress(psutil.Error):
                    total += process.memory_full_info().pss
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


MEASURES: list[Measure] = [visitors_at_once]
