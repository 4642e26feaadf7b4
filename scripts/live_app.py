"""The real app and a real browser, for whoever looks from outside: browser tests, screenshots, measurements.

Both are context managers and leave nothing running:

    with live_app(tmp, RESULTS_DIR=str(tmp / "results")) as app, chromium() as browser:
        browser.new_page().goto(app.url)
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Locator, Page, sync_playwright

PROJECT_ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 60
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class LiveApp:
    """A running server."""

    url: str
    pid: int
    """Of the server, which leads a process group of its own."""
    log: Path
    """Everything the server printed."""

    def workers(self) -> list[psutil.Process]:
        """The engine's processes, one per loaded model."""
        children = psutil.Process(self.pid).children(recursive=True)
        return [child for child in children if "evaluation.engine.worker" in child.cmdline()]


def message_box(page: Page) -> Locator:
    """The arena's input."""
    return page.get_by_test_id("stChatInputTextArea")


def ask(page: Page, text: str) -> None:
    """Type and send with the keyboard."""
    message_box(page).fill(text)
    message_box(page).press("Enter")


def find_chromium() -> str | None:
    """Path of the installed Chromium (or Chrome)."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium. Raises ``FileNotFoundError`` when none is installed."""
    path = find_chromium()
    if path is None:
        raise FileNotFoundError("Chromium is not installed. Install it with: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@contextmanager
def live_app(folder: Path, **environment: str) -> Iterator[LiveApp]:
    """Serve the app on a free port as ``streamlit run`` does, its log in ``folder``; end it with all its processes.

    Raises ``RuntimeError`` with the server's output when it does not answer within ``START_TIMEOUT_S``.
    """
    port = find_free_port()
    log = folder / f"server-{port}.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "--server.address", "127.0.0.1", "--server.port", str(port)],
            cwd=PROJECT_ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    app = LiveApp(f"http://127.0.0.1:{port}", server.pid, log)
    try:
        wait_until_healthy(app.url, server, log)
        yield app
    finally:
        _end(server)


def find_free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server answers. Raises ``RuntimeError`` with what is in its ``log`` when it does not."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=5):
            return
        time.sleep(0.05)
    raise RuntimeError(f"The server does not answer at {url}. It printed:\n{log.read_text(errors='replace')}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ask politely, so that the app can put its house in order; then end the whole group."""
    with suppress(subprocess.TimeoutExpired):
        server.send_signal(signal.SIGTERM)
        server.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
