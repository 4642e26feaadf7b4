"""The real server, started as a user starts it: ``streamlit run`` in the project's folder, without an argument."""

from playwright.sync_api import Page, Request, expect

from scripts.live_app import LiveApp, message_box


def test_the_first_page_opens_ready_and_asks_nobody_but_its_own_server(app: LiveApp, page: Page) -> None:
    """Every import works from the real entry file, which AppTest with pytest's path cannot show. And fonts, scripts and
    usage statistics: with the cable pulled the page is the same."""
    foreign: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((app.url, "data:", "blob:")):
            foreign.append(request.url)

    page.on("request", note)
    page.goto(app.url)
    expect(page.get_by_role("heading", name="Arena", exact=True)).to_be_visible(timeout=20_000)
    expect(message_box(page)).to_be_enabled(timeout=20_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.wait_for_load_state("networkidle")
    assert foreign == []
