"""Models from elsewhere as a visitor gets them: from a stand-in for the hub, and from a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from evaluation.endpoints import EndpointModel
from evaluation.endpoints.file import FILE
from evaluation.store import ResponseStore
from scripts.live_app import LiveApp, ask, live_app
from tests.browser.test_arena import ANSWER_MS, EMBEDDED_KEY, SHORT, expect_done
from tests.endpoint_server import KEY_VARIABLE, llama_server
from tests.hub_server import HubServer
from tests.tiny_gguf import TEMPLATE, write_tiny

KEY = "a-key-that-nobody-may-see"
REPOSITORY, FILE_NAME = "maker/Small-Chat-Instruct-GGUF", "small-chat-instruct-q8_0.gguf"
CARD = b"""---
license: apache-2.0
base_model: [maker/Small-Chat, "http://example.com/x www.example.com x@example.com"]
---
<script>document.title = 'Broken into'</script>
"""
SLOW_BYTES_S = 1000.0
"""So the file takes half a minute, unless it is let go."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """Has one model, which says what comes to its mind."""
    model = write_tiny(tmp_path_factory.mktemp("hub") / FILE_NAME, f"{TEMPLATE}hi!", context_length=512)
    with HubServer() as server:
        server.add(REPOSITORY, {"README.md": CARD, FILE_NAME: model.read_bytes()}, downloads=12_345)
        yield server


@pytest.fixture(scope="module")
def app(
    browser: Browser, hub: HubServer, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApp]:
    """One server for all: it knows the hub and the key of the endpoint from its environment."""
    folder = tmp_path_factory.mktemp("models_page")
    environment = {
        "MODELS_DIR": str(folder / "models"),
        "RESULTS_DIR": str(folder / "results"),
        "CACHE_DIR": str(shared_cache),
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "home"),
        "HF_TOKEN": "",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        KEY_VARIABLE: KEY,
    }
    with live_app(folder, **environment) as running:
        yield running
        print(f"Server at {running.url}:\n{running.log.read_text(errors='replace')}")


def open_section(page: Page, app: LiveApp, name: str) -> None:
    page.goto(f"{app.url}/models")
    page.get_by_role("tab", name=name).click(timeout=20_000)


def write(page: Page, fields: dict[str, str]) -> None:
    """Into the inputs with these labels."""
    for label, text in fields.items():
        page.get_by_role("textbox", name=label, exact=True).fill(text)


def test_a_model_of_the_hub_is_found_judged_downloaded_and_asked(app: LiveApp, hub: HubServer, page: Page) -> None:
    """Searched by words; license, size and fit are shown before the download, its progress during it; then a link
    leads into the arena, where it answers. Nothing in its card becomes a script or a link."""
    open_section(page, app, "From the hub")
    search = page.get_by_label("Search the Hugging Face hub")
    search.fill("small chat instruct")
    search.press("Enter")
    page.get_by_role("button", name=REPOSITORY).click()
    expect(page.get_by_text("License: apache-2.0").last).to_be_visible()
    expect(page.get_by_text("conversations of")).to_be_visible()
    expect(page.get_by_text("www.\u200bexample.com")).to_be_visible()
    expect(page.locator("a[href*='example.com']")).to_have_count(0)
    repository = hub.repositories["model", REPOSITORY]
    repository.pace_bytes_s = SLOW_BYTES_S
    page.get_by_role("button", name="Download 35 kB").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_text("kB/s")).to_be_visible()
    repository.pace_bytes_s = None
    page.get_by_role("link", name="Chat with it").first.click(timeout=20_000)
    expect(page.get_by_role("combobox")).to_have_count(1, timeout=20_000)
    ask(page, SHORT)
    expect_done(page)
    assert "Broken into" not in page.title()
    responses = ResponseStore(app.log.parent / "results" / "responses").read().responses
    assert [(r.model.key == EMBEDDED_KEY, bool(r.text)) for r in responses] == [(False, True)]


def test_a_real_server_answers_beside_the_embedded_model(app: LiveApp, page: Page) -> None:
    """Added and tested on the page, it is asked together with the local model; both answer, the record says which
    clock measured it, and its key is nowhere."""
    with llama_server(KEY) as endpoint:
        open_section(page, app, "Servers")
        page.get_by_role("button", name="Add a server").click()
        write(page, {"Address": endpoint.base_url, "Variable that holds the key": KEY_VARIABLE})
        page.get_by_role("button", name="Test").click()
        expect(page.get_by_text(f"It answers and has: {endpoint.model}")).to_be_visible()
        write(page, {"Name": endpoint.name, "Model": endpoint.model})
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text(f"{KEY_VARIABLE}, which is set")).to_be_visible()
        assert KEY not in page.content() + (app.log.parent / "models" / FILE).read_text()

        served = EndpointModel(endpoint, endpoint.name)
        page.goto(f"{app.url}/?models={EMBEDDED_KEY},{served.key}")
        expect(page.get_by_role("combobox").nth(1)).to_have_value(f"Small server · {served.host.cpu}", timeout=20_000)
        ask(page, SHORT)
        expect(page.get_by_text("time to first token", exact=True)).to_have_count(2, timeout=ANSWER_MS)
        expect_done(page)
    stored = ResponseStore(app.log.parent / "results" / "responses").read().responses
    answers = {r.model.key: r for r in stored if r.model.key in (EMBEDDED_KEY, served.key)}
    assert answers[EMBEDDED_KEY].server is None and answers[EMBEDDED_KEY].text
    assert answers[served.key].server is not None and answers[served.key].text
    assert answers[served.key].host == served.host != answers[EMBEDDED_KEY].host
