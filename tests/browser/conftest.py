"""The real server and a real Chromium. A failing test shows what its server printed."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from playwright.sync_api import Browser, Page

from scripts.live_app import LiveApp, chromium, find_chromium, live_app


class StartApp(Protocol):
    def __call__(self, **environment: str) -> LiveApp: ...


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests. Without it they are skipped, but where CI=true, they fail."""
    if find_chromium() is None:
        reason = "NO BROWSER TESTED: Chromium is missing. Install it with: sudo apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A visitor with a profile of their own at 1440 x 900; an uncaught JavaScript error fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert not errors, f"The page raised uncaught errors: {errors}"


@pytest.fixture
def start_app(own_folders: None, tmp_path: Path) -> Iterator[StartApp]:
    """Starts servers on this test's own folders; ``start_app(MODELS_DIR=...)`` changes a variable."""
    with ExitStack() as servers:
        apps: list[LiveApp] = []

        def start(**environment: str) -> LiveApp:
            apps.append(servers.enter_context(live_app(tmp_path, **environment)))
            return apps[-1]

        yield start
        for app in apps:
            print(f"Server at {app.url}:\n{app.log.read_text(errors='replace')}")


@pytest.fixture
def app(browser: Browser, start_app: StartApp) -> LiveApp:
    """A server with the embedded model only and no results yet."""
    return start_app()
