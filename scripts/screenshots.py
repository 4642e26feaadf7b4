"""Take the README's pictures from the running app: ``python -m scripts.screenshots`` writes ``docs/screenshots/*.png``.

The models are those of this installation, with the fine-tunes that come along; what they answer here is not kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import Browser, Page, expect

from scripts.live_app import PROJECT_ROOT, ask, chromium, live_app

PICTURES = PROJECT_ROOT / "docs" / "screenshots"
QUESTION = "Why is the sky blue? Answer in two sentences."
ANSWER_TIMEOUT_MS = 300_000
PHONE_WIDTH = 390
PAGE_HEIGHT = """
    Math.ceil(document.querySelector('[data-testid="stMainBlockContainer"]').getBoundingClientRect().height
    + (document.querySelector('[data-testid="stBottom"]')?.getBoundingClientRect().height ?? 0))
"""


def ask_and_wait(page: Page, url: str) -> None:
    """Put the question to the panes of the arena and wait until all have answered."""
    page.goto(url)
    ask(page, QUESTION)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible(timeout=ANSWER_TIMEOUT_MS)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)


def open_leaderboard(page: Page, url: str) -> None:
    """The benchmark that comes along."""
    page.goto(f"{url}/leaderboard")
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible(timeout=ANSWER_TIMEOUT_MS)


def open_benchmark(page: Page, url: str) -> None:
    """Ready to start one."""
    page.goto(f"{url}/benchmark")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled(timeout=ANSWER_TIMEOUT_MS)


def open_training(page: Page, url: str) -> None:
    """Two runs of equal length, of which one has twice the rank."""
    runs = [next((PROJECT_ROOT / "results/published/runs").glob(f"{name}-2*")).name for name in ("r16-120steps", "r32")]
    page.goto(f"{url}/training?run={'&run='.join(runs)}")
    expect(page.get_by_role("heading", name="Compare")).to_be_visible(timeout=ANSWER_TIMEOUT_MS)


def open_models(page: Page, url: str) -> None:
    """What is here."""
    page.goto(f"{url}/models")
    expect(page.get_by_text("SmolLM2 135M Instruct + r32").first).to_be_visible(timeout=ANSWER_TIMEOUT_MS)


def open_hub(page: Page, url: str) -> None:
    """What there is to begin with."""
    open_models(page, url)
    page.get_by_role("tab", name="From the hub").click()
    expect(page.get_by_text("Llama 3.2 3B Instruct").first).to_be_visible(timeout=ANSWER_TIMEOUT_MS)


@dataclass(frozen=True)
class View:
    """A browser window to look through, and what is opened in it."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    open: Callable[[Page, str], None]
    most_height: int = 4_000
    """Of a wide window; a longer page is cut off there."""


VIEWS = (
    View("arena-light", 1440, 900, "light", ask_and_wait),
    View("arena-dark", 1440, 900, "dark", ask_and_wait),
    View("arena-phone", PHONE_WIDTH, 844, "light", ask_and_wait),
    View("leaderboard-light", 1440, 900, "light", open_leaderboard),
    View("leaderboard-dark", 1440, 900, "dark", open_leaderboard),
    View("leaderboard-phone", PHONE_WIDTH, 844, "light", open_leaderboard),
    View("benchmark-light", 1440, 900, "light", open_benchmark),
    View("training-light", 1440, 900, "light", open_training, 1_950),
    View("training-dark", 1440, 900, "dark", open_training, 1_950),
    View("training-phone", PHONE_WIDTH, 844, "light", open_training),
    View("models-light", 1440, 900, "light", open_models),
    View("models-hub-light", 1440, 900, "light", open_hub),
)


def take(browser: Browser, view: View, url: str) -> Path:
    """Save one picture and return its path. A wide window is made as high as the page, up to a limit."""
    page = browser.new_page(
        viewport={"width": view.width, "height": view.height}, color_scheme=view.scheme, device_scale_factor=1.5
    )
    view.open(page, url)
    if view.width > PHONE_WIDTH:
        page.get_by_test_id("stSidebarHeader").hover()
        page.get_by_test_id("stSidebarCollapseButton").click()
        page.set_viewport_size({"width": view.width, "height": min(page.evaluate(PAGE_HEIGHT), view.most_height)})
    else:
        page.get_by_test_id("stVegaLiteChart").first.evaluate("chart => chart.scrollIntoView({block: 'center'})")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1_000)  # until nothing moves any more
    path = PICTURES / f"{view.name}.png"
    page.screenshot(path=path)
    page.close()
    return path


def main() -> None:
    """Take all pictures, those of the arena each of a new conversation."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, chromium() as browser:
        own = {name: str(Path(folder) / name) for name in ("RESULTS_DIR", "MODELS_DIR")}
        with live_app(Path(folder), **own) as app:
            for view in VIEWS:
                print(take(browser, view, app.url).relative_to(PROJECT_ROOT))


if __name__ == "__main__":
    main()
