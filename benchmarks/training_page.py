"""The Training page in front of a browser: many long runs, a live one, a thousand of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pandas as pd
import psutil
from playwright.sync_api import Locator, Page, WebSocket, expect

from benchmarks.report import Measure, Row
from evaluation.models import ChatModel
from evaluation.settings import PUBLISHED_DIR
from scripts.live_app import LiveApp, chromium, live_app
from training.runlog import Base, DataCard, LogEntry, Run, RunWriter, TrainingHost

REPEATS = 5
WAIT_MS = 120_000
POLL_S = 0.05
NEWEST = 1.9e9
"""Runs of these measurements start after all others, so that they stand first in the list."""

LONG_RUNS, LONG_STEPS = 20, 100_000
SHORT_RUNS, SHORT_STEPS = 1_000, 100
IDLE_S = 20


def long_runs_click_to_chart(_: list[ChatModel]) -> Iterator[Row]:
    """From the click that chooses all runs of the list until their losses are drawn. Nothing of them is cached:
    each repeat has a server of its own, which has only read the logs for its list and drawn another run."""
    opened: list[float] = []
    clicked: list[float] = []
    received: list[float] = []
    with TemporaryDirectory() as folder, chromium() as browser:
        _write_runs(Path(folder), "Long run", LONG_RUNS, LONG_STEPS)
        for _repeat in range(REPEATS):
            with _training_app(Path(folder)) as app:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                traffic = _Traffic(page)
                began = time.monotonic()
                _open(page, app, run=sorted((PUBLISHED_DIR / "runs").iterdir())[0].name)
                opened.append(time.monotonic() - began)
                _wait_for_chart(page)
                _open(page, app, run="none")
                page.get_by_placeholder("Search by name").fill("Long run")
                expect(page.get_by_text(f"{LONG_RUNS} of ")).to_be_visible(timeout=WAIT_MS)
                page.wait_for_timeout(1_000)  # until nothing is drawn any more
                before, began = traffic.bytes, time.monotonic()
                _choose_all(page)
                _wait_for_chart(page)
                clicked.append(time.monotonic() - began)
                page.wait_for_timeout(3_000)  # what comes after the chart is sent to the browser all the same
                received.append((traffic.bytes - before) / 1e6)
                page.close()
    what = f"{LONG_RUNS} runs of {LONG_STEPS:,} steps"
    yield Row(f"{what}: page opened → list, all logs read for the first time, worst, s", "", max(opened), REPEATS)
    yield Row(f"{what}: click → loss chart in the browser, worst, s", "≤ 2", max(clicked), REPEATS)
    yield Row(f"{what}: sent to the browser for it, MB", "≤ 2", max(received), REPEATS, "all of the page, not packed")


def live_run_line_to_screen(_: list[ChatModel]) -> Iterator[Row]:
    """From a line that is on disk until its step stands on the page; then what the server does when no line comes."""
    times = []
    with TemporaryDirectory() as folder, _training_app(Path(folder)) as app, chromium() as browser:
        writer = RunWriter.create(Path(folder), _record("Live run", SHORT_STEPS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        entries = _entries(SHORT_STEPS, seed=0)
        writer.log(*entries[: SHORT_STEPS // 2])
        page.goto(f"{app.url}/training?run={writer.run.id}")
        _wait_for_chart(page)
        for number, entry in enumerate(entries[SHORT_STEPS // 2 :][:REPEATS]):
            page.wait_for_timeout(3_000 + 430 * number)  # so that the lines come at any moment between two looks
            began = time.monotonic()
            writer.log(entry)
            _wait_until_seen(page.get_by_text(f"Step {entry.step} of {SHORT_STEPS}").first)
            times.append(time.monotonic() - began)
        page.wait_for_timeout(3_000)
        share = _share_of_a_core(app, page, IDLE_S)
        writer.close("finished")
        page.wait_for_timeout(5_000)
        share_after = _share_of_a_core(app, page, IDLE_S)
    yield Row("one more line in a live log → its step on the screen, worst, s", "≤ 3", max(times), REPEATS)
    detail = f"% of a core over {IDLE_S} s; {share_after:.1f} once the run has ended"
    yield Row("server between updates with one live run on one page", "≤ 5", share, 1, detail)


def thousand_runs_list_shown(_: list[ChatModel]) -> Iterator[Row]:
    """From the click in the navigation until the list is there, in a server that has read none of the runs yet."""
    times: list[float] = []
    again: list[float] = []
    with TemporaryDirectory() as folder, chromium() as browser:
        _write_runs(Path(folder), "Short run", SHORT_RUNS, SHORT_STEPS)
        for repeat in range(REPEATS + 1):  # the first one warms up the browser, which has run none of the scripts yet
            with _training_app(Path(folder)) as app:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                for taken in (times, again) if repeat else ([], []):
                    page.goto(f"{app.url}/leaderboard")
                    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible(timeout=WAIT_MS)
                    page.wait_for_timeout(2_000)  # until nothing is drawn any more
                    began = time.monotonic()
                    page.get_by_role("link", name="Training").click()
                    _wait_until_seen(_list(page))
                    taken.append(time.monotonic() - began)
                page.close()
    detail = f"{max(again):.2f} s when it is opened again"
    yield Row(f"a folder of {SHORT_RUNS:,} runs: click → list shown, worst, s", "≤ 1.5", max(times), REPEATS, detail)


class _Traffic:
    """What the server sends to a page."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._count)

    def _count(self, content: str | bytes) -> None:
        self.bytes += len(content)


@contextmanager
def _training_app(results: Path) -> Iterator[LiveApp]:
    with live_app(results, RESULTS_DIR=str(results), MODELS_DIR=str(results)) as app:
        yield app


def _open(page: Page, app: LiveApp, run: str) -> None:
    """With this run chosen, if there is one of that id; returns when the list is there."""
    page.goto(f"{app.url}/training?run={run}")
    expect(_list(page)).to_be_visible(timeout=WAIT_MS)


def _choose_all(page: Page) -> None:
    """The box in the head of the list."""
    _list(page).click(position={"x": 18, "y": 18})


def _list(page: Page) -> Locator:
    return page.get_by_role("region", name="One row per training run")


def _wait_until_seen(what: Locator) -> None:
    """Looks all the time: ``expect`` looks once a second after a while, which would be part of what is measured."""
    give_up_at = time.monotonic() + WAIT_MS / 1000
    while not what.is_visible():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{what} did not appear.")
        time.sleep(POLL_S)


def _wait_for_chart(page: Page) -> None:
    """Until something is drawn on the first chart, which is that of the losses: lines in an SVG, or on a canvas when
    there are many points."""
    page.wait_for_function(
        """() => {
            const chart = document.querySelector('[data-testid="stVegaLiteChart"]');
            const canvas = chart && chart.querySelector("canvas");
            if (!canvas || !canvas.width) return Boolean(chart && chart.querySelector("svg .mark-line path"));
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return new Uint32Array(pixels.buffer).some(color => color);
        }""",
        polling=50,
        timeout=WAIT_MS,
    )


def _share_of_a_core(app: LiveApp, page: Page, seconds: float) -> float:
    """Percent, of the server with its children."""

    def used_s() -> float:
        server = psutil.Process(app.pid)
        times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    before, began = used_s(), time.monotonic()
    page.wait_for_timeout(seconds * 1_000)
    return 100 * (used_s() - before) / (time.monotonic() - began)


def _write_runs(results: Path, name: str, runs: int, steps: int) -> None:
    with duckdb.connect() as connection:
        for number in range(runs):
            writer = RunWriter.create(results, _record(f"{name} {number + 1}", steps, NEWEST + number * 60))
            connection.register("log", _log(steps, number))
            connection.execute(f"COPY log TO '{writer.folder / 'log.jsonl'}' (FORMAT json)")
            writer.close("finished")


def _entries(steps: int, seed: int) -> list[LogEntry]:
    return [LogEntry(*row) for row in _log(steps, seed).itertuples(index=False)]


def _log(steps: int, seed: int) -> pd.DataFrame:
    """A falling loss with its noise and its spikes, and all that is logged beside it."""
    chance = np.random.default_rng(seed)
    step = np.arange(1, steps + 1)
    share = step / steps
    level = 1.2 + 0.05 * seed / LONG_RUNS + 1.5 * np.exp(-8 * share)
    loss = level * np.exp(chance.normal(0, 0.12, steps)) + 3 * (chance.random(steps) < 2e-4)
    tokens = np.cumsum(chance.integers(700, 1_300, steps))
    seconds = np.cumsum(chance.uniform(0.4, 0.6, steps))
    return pd.DataFrame(
        {
            "step": step,
            "kind": "train",
            "loss": loss,
            "epoch": 3 * share,
            "learning_rate": 2e-4 * np.minimum(1, 20 * share) * (1 - share),
            "grad_norm": np.exp(chance.normal(-1, 0.3, steps)),
            "tokens": tokens,
            "tok_s": np.diff(tokens, prepend=0) / np.diff(seconds, prepend=0),
            "elapsed_s": seconds,
            "mean_token_accuracy": np.clip(chance.normal(0.6, 0.05, steps), 0, 1),
            "entropy": np.exp(chance.normal(0.4, 0.1, steps)),
        }
    )


def _record(name: str, steps: int, started_at: float = NEWEST) -> Run:
    return Run(
        id=name.lower().replace(" ", "-"),
        name=name,
        status="running",
        started_at=started_at,
        steps=steps,
        backend="trl",
        base=Base("SmolLM2-135M-Instruct.Q4_1.gguf", "gguf", "llama", 134_515_008, sha256="ab" * 32),
        recipe={
            "lora": {"rank": 16, "alpha": 16, "dropout": 0.0, "targets": "all-linear"},
            "data": {"source": "rows.jsonl", "max_rows": 0, "seed": 3407},
            "optimizer": {"name": "adamw", "learning_rate": 2e-4, "warmup_steps": 5, "schedule": "linear"},
            "training": {"steps": steps, "batch_size": 2, "accumulation": 4, "max_length": 2048},
            "evaluation": {"every": 0},
        },
        data=DataCard("rows.jsonl", 1_400, train_rows=1_240, sha256="cd" * 32, answer_words=tuple(range(60))),
        packages={"torch": "2.13.0", "trl": "1.15.0", "transformers": "5.17.0"},
        host=TrainingHost("a CPU", 2.0, 2**34, "Linux 6.1 x86_64"),
    )


MEASURES: list[Measure] = [long_runs_click_to_chart, live_run_line_to_screen, thousand_runs_list_shown]
