"""A report as its readers have it: downloaded from the page, opened from a disk without any network."""

import shutil
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from evaluation.report.contents import Sources, Wishes, choose
from evaluation.report.page import report_page
from evaluation.settings import PUBLISHED_DIR
from evaluation.store import ResponseStore
from scripts.live_app import LiveApp
from tests.responses import PLAIN

START_MS = 20_000
PUBLISHED = "leaderboard?host=8ea861437d6d&benchmark=base-and-three-fine-tunes-20261123-040052"
MODELS, ANSWERS = 4, 860
LARGEST_BYTES = 5_000_000


def test_a_report_is_downloaded_and_read_offline(
    app: LiveApp, results: Path, page: Page, browser: Browser, tmp_path: Path
) -> None:
    """The button of the leaderboard makes one file. It asks nobody for anything, draws its charts, tells a point's
    values, sorts its table, fits a phone's width and is paper of several pages, whose charts are as wide as they."""
    shutil.copytree(PUBLISHED_DIR, results, ignore=shutil.ignore_patterns("adapter*"))
    report = download(app, page, tmp_path / "report.html")
    assert report.stat().st_size < LARGEST_BYTES
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    problems: list[str] = []
    asked: list[str] = []
    context.on("weberror", lambda error: problems.append(str(error.error)))
    context.on("request", lambda request: asked.append(request.url))
    context.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    reader = context.new_page()
    reader.goto(report.as_uri())

    expect(reader.get_by_role("heading", name="Base and three fine-tunes")).to_be_visible()
    expect(reader.locator("#answers svg .mark-symbol.role-mark path")).to_have_count(ANSWERS, timeout=START_MS)
    for chart in ("latency", "quality", "differences", "loss"):
        assert reader.locator(f"#{chart} svg .role-mark path").count() >= MODELS
    reader.locator("#answers svg .mark-symbol.role-mark path").first.hover(force=True)
    expect(reader.locator("#vg-tooltip-element")).to_contain_text("Latency, s")

    rows = reader.locator("table.board tbody tr")
    name = rows.first.locator("th").inner_text()
    reader.get_by_role("button", name="Words", exact=True).click()
    words = [float(each) for each in rows.evaluate_all("rows => rows.map(row => row.cells[8].dataset.value)")]
    assert words == sorted(words) and len(words) == MODELS and rows.first.locator("th").inner_text() != name
    assert reader.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"

    reader.set_viewport_size({"width": 390, "height": 800})
    assert reader.evaluate("document.documentElement.scrollWidth") == 390
    assert reader.locator(".scroll").first.evaluate("box => box.scrollWidth > box.clientWidth")

    paper = reader.pdf(prefer_css_page_size=True, print_background=True)
    assert 5 < paper.count(b"/Type /Page\n") < 20
    assert not problems and asked == [report.as_uri()]
    context.close()


def test_what_models_wrote_stays_within_the_page(browser: Browser, tmp_path: Path) -> None:
    """A table and a long line of code in an answer scroll in it, on a phone, too; on paper, which cannot, the line goes
    on below. The cells of such a table are read from the left and wrap."""
    columns, line = 12, "x = " + " + ".join(f"term_{number}" for number in range(60))
    rows = [[f"**Column {number}**" for number in range(columns)], ["---"] * columns, ["A sentence to wrap"] * columns]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    ResponseStore(tmp_path / "responses").append(replace(PLAIN, text=f"{table}\n\n```python\n{line}\n```\n"))
    wishes = Wishes(host=PLAIN.host.key, conversations=(PLAIN.place.conversation,))
    report = tmp_path / "report.html"
    report.write_text(report_page(choose(Sources(tmp_path, tmp_path), wishes)), encoding="utf-8")
    reader = browser.new_page(viewport={"width": 1280, "height": 900})
    reader.goto(report.as_uri())
    for width in (1280, 390):
        reader.set_viewport_size({"width": width, "height": 800})
        assert reader.evaluate("document.documentElement.scrollWidth") == width
    for scrolling in (reader.locator(".answer table"), reader.locator(".answer pre")):
        assert scrolling.evaluate("box => box.scrollWidth > box.clientWidth")
    cell = reader.locator(".answer td").first
    assert cell.evaluate("cell => [getComputedStyle(cell).whiteSpace, getComputedStyle(cell).textAlign]") == [
        "normal",
        "start",
    ]
    reader.emulate_media(media="print")
    reader.set_viewport_size({"width": 700, "height": 900})
    assert reader.evaluate("document.documentElement.scrollWidth") == 700
    for whole in (reader.locator(".answer table"), reader.locator(".answer pre")):
        assert whole.evaluate("box => box.scrollWidth <= box.clientWidth")
    reader.close()


def download(app: LiveApp, page: Page, path: Path) -> Path:
    """As a visitor does it who owns the machine."""
    page.goto(f"{app.url}/{PUBLISHED}")
    page.get_by_role("button", name="Report", exact=True).click(timeout=START_MS)
    expect(page.get_by_text("r16-120steps", exact=True)).to_be_visible()  # the runs go in unless they are taken out
    with page.expect_download() as made:
        page.get_by_role("button", name="Download report").click()
    made.value.save_as(path)
    return path
