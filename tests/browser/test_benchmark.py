"""A benchmark as a visitor runs it: the real server, the real model, a real browser, a process of its own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from evaluation.benchmark import folder
from evaluation.store import ResponseStore
from scripts.live_app import LiveApp, ask, message_box

PROMPTS = ("Tell me a long story about a lighthouse.", "Describe a day at sea.", "List many fish.", "What is a whale?")
REPEATS, MAX_TOKENS = 2, 40
CELLS = len(PROMPTS) * REPEATS
START_MS, RUN_MS = 20_000, 60_000


@pytest.fixture(autouse=True)
def nothing_left_running(results: Path) -> Iterator[None]:
    """A benchmark outlives the server that started it, so one that a failed test left behind is ended here."""
    yield
    if left := folder.running(results):
        folder.cancel(left.folder)


def choose(page: Page) -> None:
    """Two repeats of an uploaded file, short answers, the only model there is."""
    page.get_by_test_id("stMultiSelect").filter(has_text="Prompt sets").get_by_label("Clear all").click()
    page.locator("input[type=file]").set_input_files(
        {"name": "sea.txt", "mimeType": "text/plain", "buffer": "\n".join(PROMPTS).encode()}
    )
    expect(page.get_by_text(f"The {len(PROMPTS)} prompts")).to_be_visible()
    page.get_by_text("Sampling", exact=True).click()
    for label, value in (("Max tokens", MAX_TOKENS), ("Repeats", REPEATS)):
        page.get_by_label(label, exact=True).fill(str(value))
        page.get_by_label(label, exact=True).press("Enter")
    expect(page.get_by_text(f"{CELLS} answers: 1 model × {len(PROMPTS)} prompts × {REPEATS} repeats")).to_be_visible()


def cancel_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Cancel")


def test_a_benchmark_is_started_cancelled_resumed_and_found_in_the_leaderboard(
    app: LiveApp, page: Page, results: Path
) -> None:
    """It runs on while the visitor is elsewhere, where the arena refuses to disturb it; every cell is stored once."""
    page.goto(f"{app.url}/benchmark")
    expect(page.get_by_role("button", name="Start")).to_be_enabled(timeout=START_MS)
    choose(page)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile(rf"[1-9] of {CELLS} answers")).first).to_be_visible(timeout=START_MS)
    cancel_button(page).click()
    expect(page.locator(".stMarkdownBadge", has_text="cancelled")).to_be_visible(timeout=START_MS)
    (cancelled,), _ = folder.benchmarks(results)
    assert cancelled.progress.status == "cancelled" and cancelled.progress.done < CELLS

    page.get_by_role("button", name="Resume").click()
    expect(cancel_button(page)).to_be_visible(timeout=START_MS)
    page.goto(app.url)
    expect(page.get_by_text("has this machine to itself")).to_be_visible(timeout=START_MS)
    ask(page, "Name a color.")
    expect(page.get_by_text("Nobody was asked")).to_be_visible()
    expect(message_box(page)).to_have_value("Name a color.")
    page.get_by_text("See the benchmark").click()
    expect(page.locator(".stMarkdownBadge", has_text="finished")).to_have_count(1, timeout=RUN_MS)
    expect(page.get_by_text(f"{CELLS} of {CELLS} answers")).to_be_visible()
    expect(cancel_button(page)).to_have_count(0)

    stored = [each for each in ResponseStore(results / "responses").read().responses if each.cell]
    cells = [(each.cell.prompt, each.cell.repeat) for each in stored if not each.cell.warm_up]
    assert len(cells) == len(set(cells)) == CELLS
    assert {each.sampling.seed for each in stored} == set(range(REPEATS))

    page.get_by_text("See in the leaderboard").first.click()
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible(timeout=START_MS)
    # The browser shares the machine with the model: some of the answers, or all, are disturbed.
    page.get_by_text("Count disturbed answers").click()
    row = page.get_by_test_id("stDataFrame").locator("tr", has_text="SmolLM2 135M Instruct")
    expect(row.locator("td", has_text=re.compile(rf"^{CELLS}$"))).to_be_attached(timeout=START_MS)
    page.get_by_role("tab", name="Every answer").click()
    page.get_by_test_id("stVegaLiteChart").locator("[aria-roledescription=circle]").last.click(timeout=START_MS)
    expect(page.get_by_role("dialog").get_by_text("Medians")).to_be_visible(timeout=START_MS)
    expect(page.get_by_test_id("stException")).to_have_count(0)
