"""A machine that loses its disk at every restart, as a Space does, and the data set of the hub that does not."""

import os
import signal
from pathlib import Path

import psutil
from playwright.sync_api import Page, expect

from scripts.live_app import ask
from tests.browser.conftest import StartApp
from tests.browser.test_arena import LONG, expect_writing, open_arena
from tests.hub_server import HubServer


def test_a_conversation_outlives_the_machine(start_app: StartApp, page: Page, tmp_path: Path) -> None:
    """The server is told to end while it writes its first answer. Under the same address, the next one on an empty disk
    shows the question and what there was of the answer."""
    with HubServer() as hub:
        hub.tokens["hf_owner"] = "owner"
        environment = {
            "RESULTS_DATASET": "owner/records",
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": "hf_owner",
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        app = start_app(**environment)
        open_arena(page, app)
        ask(page, LONG)
        expect_writing(page)
        conversation = page.url.removeprefix(app.url)
        os.kill(app.pid, signal.SIGTERM)
        psutil.wait_procs([psutil.Process(app.pid)], timeout=10)
        assert not psutil.pid_exists(app.pid)

        app = start_app(**environment, RESULTS_DIR=str(tmp_path / "another disk"))
        page.goto(app.url + conversation)
        expect(page.get_by_text(LONG)).to_be_visible(timeout=20_000)
        expect_writing(page)
        assert hub.repositories["dataset", "owner/records"].private
