"""Two published runs compared as a visitor does it: chosen on the page, one difference read."""

import re

from playwright.sync_api import Page, expect

from evaluation.settings import PUBLISHED_DIR
from tests.browser.conftest import StartApp

START_MS = 20_000
STEPS = 120


def test_rank_16_and_rank_32_differ_in_one_thing_that_matters(start_app: StartApp, page: Page) -> None:
    """The visitor comes with one run in the address and adds the other; the page says what differs and what came of
    it, draws the losses' differences step by step, and folds away what is equal."""
    app = start_app(PUBLISHED_DIR=str(PUBLISHED_DIR))
    first = next(path.name for path in (PUBLISHED_DIR / "runs").glob("r16-120steps-20*"))
    page.goto(f"{app.url}/training?run={first}")
    expect(page.get_by_role("heading", name="Training")).to_be_visible(timeout=START_MS)
    expect(page.get_by_role("heading", name="Compare")).to_have_count(0)
    chosen = page.get_by_test_id("stMultiSelect").filter(has_text="r16-120steps")
    chosen.get_by_role("combobox").fill("r32")
    page.get_by_role("option", name="r32", exact=True).click()
    page.keyboard.press("Escape")  # the open list hides the rest of the page from those who cannot see

    expect(page.get_by_role("heading", name="Compare")).to_be_visible(timeout=START_MS)
    expect(page.get_by_text("They differ in one thing that matters: LoRA rank 16 → 32 (alpha follows")).to_be_visible()
    expect(page.get_by_text("changed at once")).to_have_count(0)
    table = page.get_by_test_id("stTable").filter(has_text="What differs")
    expect(table.locator("tr", has_text="LoRA rank")).to_have_text(re.compile(r"LoRA rank\s*16\s*32"))
    expect(table.locator("tr", has_text="Learning rate")).to_have_count(0)
    expect(page.get_by_text(f"At the {STEPS} steps where both saw the same batch, r32's loss is lower")).to_be_visible()
    differences = page.get_by_label("Differences in loss, step by step", exact=True)
    expect(differences.locator("[aria-roledescription=circle]")).to_have_count(STEPS, timeout=START_MS)

    page.get_by_text(re.compile(r"What is equal \(\d\d\)")).click()
    expect(page.locator("tr", has_text="Learning rate").filter(has_text="0.0002")).to_be_visible()
    assert page.url.count("run=") == 2

    zoom_and_drag(page)
    page.get_by_test_id("stDataFrame").first.click(position={"x": 16, "y": 53})  # the first row's box: the newest run
    expect(page.get_by_role("heading", name="Compare")).to_have_count(0, timeout=START_MS)
    assert page.url.count("run=") == 1 and first not in page.url
    expect(page.get_by_test_id("stException")).to_have_count(0)


def zoom_and_drag(page: Page) -> None:
    """The wheel alone is the page's; with Ctrl it zooms, and a drag, which ends as a click beside all marks, moves."""
    chart = page.get_by_test_id("stVegaLiteChart").first
    last_step = chart.get_by_text(str(STEPS), exact=True)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 150
    page.mouse.move(x, y)
    page.mouse.wheel(0, -100)
    expect(last_step).to_be_visible()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    expect(last_step).to_have_count(0, timeout=START_MS)
    page.mouse.down()
    page.mouse.move(x + 100, y)
    page.mouse.up()
    page.wait_for_timeout(500)  # until the server has drawn what the drag says
    expect(page.get_by_text("They differ in one thing that matters").first).to_be_visible()
