"""A training as a visitor runs it: the real server, a real browser, a real trainer in a process of its own."""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import StartApp
from tests.tiny_gguf import write_tiny
from training.converter import converter
from training.run_lock import holder
from training.runlog import read_log, read_run
from training.settings import PROJECT_ROOT

START_MS, TRAIN_MS = 20_000, 120_000
STEPS = 20
CIRCLES = 2
"""For each step of a run: its loss, and what is hovered over on the smoothed line."""
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True)
def nothing_left_running(tmp_path: Path) -> Iterator[None]:
    """A training outlives the server that started it, so one that a failed test left behind is ended here, with the
    export that it may have begun."""
    yield
    if pid := holder(tmp_path / "results" / "runs" / ".launch"):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


@pytest.fixture
def base(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that is loaded, trained and exported in seconds, with what the export needs at hand."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    fetched = converter(PROJECT_ROOT / ".cache")
    with suppress(FileExistsError):
        (shared_cache / fetched.name).symlink_to(fetched)
    (tmp_path / "models").mkdir()
    return write_tiny(tmp_path / "models" / "Tiny.Q8_0.gguf", TEMPLATE)


def circles(page: Page) -> Locator:
    """Those of the loss chart."""
    return page.get_by_test_id("stVegaLiteChart").first.locator("[aria-roledescription=circle]")


def steps(folder: Path) -> list[int]:
    """Those that the log has of training."""
    return [entry.step for entry in read_log(folder).entries if entry.kind == "train"]


def test_a_run_is_started_watched_interrupted_resumed_and_found_in_the_arena(
    base: Path, start_app: StartApp, page: Page, tmp_path: Path
) -> None:
    """The smallest recipe, on a smaller model. The curve grows by itself while the run goes on; interrupted and
    resumed, it has learned each step once; the way to the arena leads to the base beside it."""
    app = start_app()
    page.goto(f"{app.url}/training")
    page.get_by_text("Start a training run").first.click(timeout=START_MS)
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled(timeout=START_MS)
    held_out = tmp_path / "held-out.jsonl"
    turns = [{"role": "user", "content": "Ahoy?"}, {"role": "assistant", "content": "Ahoy, and a fair wind."}]
    held_out.write_text(json.dumps({"messages": turns}) + "\n")
    settings = {
        "name": "seafarer",
        "base.model": base,
        "data.held_out": held_out,
        "training.steps": STEPS,
        "training.gradient_accumulation": 8,
    }
    further = page.get_by_label("Further settings", exact=True)
    further.fill("\n".join(f"{key}={value}" for key, value in settings.items()))
    further.press("Control+Enter")
    expect(page.get_by_text("on held-out.jsonl, before and after")).to_be_visible()
    expect(page.get_by_text(f"{STEPS} steps of 16 conversations (2 × 8)")).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()

    progress = page.get_by_test_id("stProgress")
    expect(progress).to_contain_text("Starting", timeout=START_MS)
    expect(progress).to_contain_text(re.compile(rf"Step \d+ of {STEPS}"), timeout=TRAIN_MS)
    page.get_by_role("button", name="Interrupt").click()
    resume = page.get_by_role("button", name="Resume").first
    expect(resume).to_be_enabled(timeout=START_MS)
    (folder,) = (tmp_path / "results" / "runs").glob("seafarer-*")
    interrupted = read_run(folder)
    assert interrupted.status == "interrupted" and "Stopped by the user at step" in str(interrupted.reason)
    done = steps(folder)
    assert 0 < len(done) < STEPS
    expect(circles(page)).to_have_count(CIRCLES * len(done), timeout=START_MS)

    resume.click()
    expect(circles(page).nth(CIRCLES * len(done))).to_be_attached(timeout=TRAIN_MS)
    expect(page.get_by_text("seafarer is trained")).to_be_visible(timeout=TRAIN_MS)
    expect(circles(page)).to_have_count(CIRCLES * STEPS, timeout=START_MS)
    assert steps(folder) == list(range(1, STEPS + 1))

    page.get_by_role("link", name="Open base against this").first.click(timeout=START_MS)
    for pane, model in ((1, "Tiny · Q8_0"), (2, "Tiny + seafarer · Q8_0")):
        box = page.get_by_role("combobox", name=re.compile(f"Pane {pane}"))
        expect(box).to_have_value(re.compile(re.escape(model)), timeout=START_MS)
    expect(page.get_by_test_id("stException")).to_have_count(0)
