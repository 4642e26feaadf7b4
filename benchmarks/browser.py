"""What a user in front of the browser gets, on the same machine: speed, start, a killed model, a full leaderboard."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, expect

from benchmarks import store
from benchmarks.report import Measure, Row, medians, ratio
from benchmarks.rig import QUESTION, answer, is_small, running_engine, tokens_for
from evaluation.models import ChatModel
from evaluation.records import Response
from evaluation.store import ResponseStore
from scripts.live_app import (
    PROJECT_ROOT,
    LiveApp,
    ask,
    chromium,
    find_free_port,
    live_app,
    message_box,
    wait_until_healthy,
)

REPEATS = 5
WAIT_MS = 300_000


def one_pane(page: Page, app: LiveApp, model: ChatModel, max_tokens: int = 512) -> None:
    """Open the arena with one pane and ask; returns when the answer is running."""
    page.goto(f"{app.url}/?models={model.key}")
    limit = page.get_by_role("spinbutton", name="Max tokens")
    expect(limit).to_be_visible(timeout=WAIT_MS)
    limit.fill(str(max_tokens))
    limit.press("Enter")
    page.wait_for_timeout(1000)  # until the page has taken it
    ask(page, QUESTION)
    expect(page.get_by_role("button", name="Stop")).to_be_visible(timeout=WAIT_MS)


def seen_by_a_browser(models: list[ChatModel]) -> Iterator[Row]:
    """Busy decode speed of the same answer, recorded while a browser shows it and by the engine alone, in turns."""
    with (
        tempfile.TemporaryDirectory() as folder,
        live_app(Path(folder), RESULTS_DIR=folder, MODELS_DIR=str(models[-1].base.path.parent)) as app,
        chromium() as browser,
        running_engine() as engine,
    ):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        responses = Path(folder) / "responses"
        for model in models:
            shown, alone = [], []
            for repeat in range(2 * REPEATS + 1):
                one_pane(page, app, model, tokens_for(model))
                seen = _next_response(responses)
                page.wait_for_timeout(1000)  # until the figures are drawn
                found = answer(engine, model, max_tokens=seen.completion_tokens).decode_tok_s
                assert seen.model.key == model.key and seen.decode_tok_s and found
                if repeat:  # the first is a warm-up
                    shown.append(seen.decode_tok_s)
                    alone.append(found)
            detail = medians(shown, alone, "tokens/s")
            target = "≥ 0.85" if is_small(model) else "≥ 0.95"
            what = f"{model.name}: decode speed seen by a browser ÷ engine alone"
            yield Row(what, target, ratio(shown, alone), len(shown), detail)


def _next_response(folder: Path) -> Response:
    """The next one stored. Waits by looking at the file's size, which costs the cores nothing."""

    def size() -> int:
        return sum(path.stat().st_size for path in folder.glob("*.jsonl"))

    before = size()
    while size() == before:
        time.sleep(0.25)
    return ResponseStore(folder).read().responses[-1]


def killed_worker_in_the_pane(models: list[ChatModel]) -> Iterator[Row]:
    """From SIGKILL to the sentence on the screen."""
    times = []
    with (
        tempfile.TemporaryDirectory() as folder,
        live_app(Path(folder), RESULTS_DIR=str(Path(folder) / "results"), MODELS_DIR=folder) as app,
        chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        for _ in range(REPEATS):
            one_pane(page, app, models[0])
            page.wait_for_timeout(1500)
            (worker,) = app.workers()
            began = time.monotonic()
            worker.kill()
            expect(page.get_by_text("was killed")).to_be_visible(timeout=WAIT_MS)
            times.append(time.monotonic() - began)
    yield Row("killed worker → message in the pane, worst, s", "≤ 1", max(times), REPEATS)


def start_to_usable(models: list[ChatModel]) -> Iterator[Row]:
    """``make app``, already set up, until the browser's input takes text."""
    times = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for _ in range(3):
            port = find_free_port()
            began = time.monotonic()
            process = subprocess.Popen(
                ["make", "app"],
                cwd=PROJECT_ROOT,
                env=os.environ | {"PORT": str(port), "RESULTS_DIR": folder},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                page = browser.new_page()
                wait_until_healthy(f"http://127.0.0.1:{port}", process, Path(os.devnull))
                page.goto(f"http://127.0.0.1:{port}")
                expect(message_box(page)).to_be_enabled(timeout=WAIT_MS)
                times.append(time.monotonic() - began)
                page.close()
            finally:
                os.killpg(process.pid, 15)
                process.wait()
    yield Row("`make app`, already set up → page usable in the browser, worst, s", "≤ 5", max(times), len(times))


def store_on_the_leaderboard_page(_: list[ChatModel]) -> Iterator[Row]:
    """From the click in the navigation until the table is there, with the data in memory."""
    times = []
    with (
        store.million_answers() as folder,
        live_app(folder, RESULTS_DIR=str(folder), MODELS_DIR=str(folder)) as app,
        chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{app.url}/leaderboard?host={store.HOST.key}")
        table = page.get_by_test_id("stDataFrame")
        expect(table).to_be_visible(timeout=WAIT_MS)
        for _ in range(REPEATS):
            page.get_by_role("link", name="Arena").click()
            expect(message_box(page)).to_be_enabled(timeout=WAIT_MS)
            page.wait_for_timeout(1_000)  # until nothing is drawn any more
            began = time.monotonic()
            page.get_by_role("link", name="Leaderboard").click()
            expect(table).to_be_visible(timeout=WAIT_MS)
            times.append(time.monotonic() - began)
    what = (
        f"leaderboard with {store.FILES * store.ROWS_PER_FILE:,} stored answers: click → table in the browser, worst, s"
    )
    yield Row(what, "≤ 2", max(times), REPEATS)


MEASURES: list[Measure] = [
    seen_by_a_browser,
    killed_worker_in_the_pane,
    start_to_usable,
    store_on_the_leaderboard_page,
]
