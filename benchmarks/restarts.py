"""What a Space that loses its disk at every restart loses of its records: the real app, restarted under load.

    python -m benchmarks.restarts                         # 20 restarts and 10 kills, about 12 minutes on 2 cores
    python -m benchmarks.restarts --restarts 5 --kills 2

Visitors chat in a browser; the app is told to end (SIGTERM) while answers are being written, or killed (SIGKILL), and
begins anew on an empty disk. Its data set lies on the tests' stand-in for the hub. What was on the disk at each end is
compared with what the data set holds.
"""

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page

from evaluation.store import ResponseStore, from_json_line
from scripts.live_app import ask, chromium, live_app, message_box
from tests.hub_server import HubServer

DATASET = "owner/records"
VISITORS = 3
QUESTIONS = ("Say one word.", "Name three colors.", "Write a long story about a lighthouse keeper.")
CHATTING_S = (4.0, 12.0)
END_S = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--kills", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, HubServer() as hub, chromium() as browser:
        hub.tokens["hf_owner"] = "owner"
        told, lost_s, ended_s = 0, [], []
        for number in range(args.restarts):
            on_disk, took_s = live(Path(folder) / f"told-{number}", hub, browser, signal.SIGTERM)
            ended_s.append(took_s)
            told += len(on_disk.keys() - stored(hub).keys())
            print(f"restart {number + 1}: {len(on_disk)} records on the disk, ended after {took_s:.1f} s", flush=True)
        doubled = sum(count - 1 for count in stored(hub).values())
        print(f"{args.restarts} restarts, {len(stored(hub))} records: {told} lost, {doubled} doubled.")
        print(f"The app ended within {max(ended_s, default=0):.1f} s.")
        killed, most = 0, 0
        for number in range(args.kills):
            on_disk, _ = live(Path(folder) / f"killed-{number}", hub, browser, signal.SIGKILL)
            lost = on_disk.keys() - stored(hub).keys()
            killed, most = killed + len(lost), max(most, len(lost))
            newest = max(on_disk.values(), default=0.0)
            lost_s += [newest - on_disk[id] for id in lost]
            print(f"kill {number + 1}: {len(lost)} lost", flush=True)
        print(f"{args.kills} kills: {killed} records lost in all, at most {most} at once,", end=" ")
        print(f"the oldest {max(lost_s, default=0):.1f} s older than the last one.")


def live(folder: Path, hub: HubServer, browser: Browser, how: signal.Signals) -> tuple[dict[str, float], float]:
    """One life of the app: the end of each answer on its disk by id, UTC s, and how long it took to end, s."""
    folder.mkdir()
    environment = {
        "RESULTS_DIR": str(folder / "results"), "MODELS_DIR": str(folder), "RESULTS_DATASET": DATASET,
        "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_owner", "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
    }  # fmt: skip
    with live_app(folder, **environment) as app:
        contexts = [browser.new_context() for _ in range(VISITORS)]
        pages = [context.new_page() for context in contexts]
        for page in pages:
            page.goto(app.url)
        for page in pages:
            message_box(page).wait_for(timeout=60_000)
        until = time.monotonic() + random.uniform(*CHATTING_S)
        while time.monotonic() < until:
            for page in pages:
                _ask_again(page)
            pages[0].wait_for_timeout(100)
        began = time.monotonic()
        os.kill(app.pid, how)
        psutil.wait_procs([psutil.Process(app.pid)], timeout=END_S)
        took_s = time.monotonic() - began
        for context in contexts:
            context.close()
    return {
        answer.id: answer.ended_at for answer in ResponseStore(folder / "results" / "responses").read().responses
    }, took_s


def _ask_again(page: Page) -> None:
    if message_box(page).is_enabled() and page.get_by_role("button", name="Stop").count() == 0:
        ask(page, random.choice(QUESTIONS))


def stored(hub: HubServer) -> Counter[str]:
    """How often each answer is in the data set."""
    repository = hub.repositories.get(("dataset", DATASET))
    files = repository.files if repository else {}
    return Counter(
        from_json_line(line).id for name in files if name.startswith("responses/") for line in files[name].splitlines()
    )


if __name__ == "__main__":
    main()
