"""The real server and a real Chromium. A failing test shows what its server printed."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from playwright.sync_api import Browser, Page

from scripts.live_app import LiveApp, chromium, find_chromium, live_app

SETTLE_S = 0.3
"""So long after its tab was closed an answer is stored, which must not be the next test's."""


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


@pytest.fixture(scope="session")
def shared_app(browser: Browser, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    """One server for all tests that need no special one: a start takes three seconds."""
    folder = tmp_path_factory.mktemp("server")
    own = {name: str(folder / name[:-4].lower()) for name in ("MODELS_DIR", "RESULTS_DIR", "PUBLISHED_DIR")}
    with live_app(folder, CACHE_DIR=str(shared_cache), **own) as app:
        yield app


@pytest.fixture
def results(shared_app: LiveApp) -> Path:
    """The folder of results of ``app``, empty."""
    folder = shared_app.log.parent / "results"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@pytest.fixture
def models(shared_app: LiveApp) -> Iterator[Path]:
    """The folder of models of ``app``, empty again afterwards."""
    folder = shared_app.log.parent / "models"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def app(shared_app: LiveApp, results: Path) -> Iterator[LiveApp]:
    """A server with the embedded model only and no results yet."""
    printed = shared_app.log.stat().st_size
    yield shared_app
    time.sleep(SETTLE_S)
    print(f"Server at {shared_app.url}:\n{shared_app.log.read_bytes()[printed:].decode(errors='replace')}")
