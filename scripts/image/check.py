"""Looks at an image that lies in a root folder: what it holds, and whether the app in it starts, answers and ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser

from scripts.image.build import Stage, owner_of
from scripts.image.chroot import command_in
from scripts.live_app import ask, chromium, find_chromium, message_box, wait_until_healthy
from scripts.start_space import PORT, SAYS, VOLUME

SPACE = {
    "SPACE_ID": "you/arena",
    "SPACE_HOST": "you-arena.hf.space",
    "OWNERS": "you",
    "OPENID_PROVIDER_URL": "https://huggingface.co",
    "OAUTH_CLIENT_ID": "client",
    "OAUTH_CLIENT_SECRET": "secret",
}
"""What a Space adds to the environment."""
SECRETS = Path("/home/user/.streamlit/secrets.toml")
WRITABLE = ("/home/user", "/tmp", "/var/tmp", "/run/lock", "/data")
LARGEST_BYTES, LONGEST_START_S, LONGEST_END_S, LONGEST_ANSWER_S = 1_500_000_000, 60.0, 10.0, 120.0
ABSENT = ("cc", "gcc", "g++", "make", "git", "curl")
ABSENT_PACKAGES = ("torch", "trl", "transformers", "peft", "pytest", "playwright")


class CheckError(Exception):
    """The image is not as it should be."""


@dataclass(frozen=True)
class Running:
    """The app as it runs in the root."""

    process: "subprocess.Popen[bytes]"
    log: Path
    begun: float
    """``time.monotonic()``."""

    @property
    def server(self) -> psutil.Process:
        """Streamlit itself, which is process 1 inside."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            if "streamlit" in child.cmdline():
                return child
        raise CheckError(f"No server runs. It printed:\n{self.log.read_text(errors='replace')}")


def check(image: Stage, folder: Path) -> None:
    """Everything, printed as it is found. Raises ``CheckError``."""
    if find_chromium() is None:
        raise CheckError("Chromium is not installed. Install it with: sudo apt-get install chromium")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise CheckError(
                f"Something serves port {PORT} of this machine already, which the image needs. End it first."
            )
    _check_files(image)
    with chromium() as browser:
        for case, owner in {
            "no volume": None,
            "a volume of the app's user": image.user,
            "a volume of root": "root",
        }.items():
            print(f"-- started with {case}", flush=True)
            volume = None
            if owner is not None:
                volume = folder / f"volume-{owner}"
                shutil.rmtree(volume, ignore_errors=True)
                volume.mkdir()
                os.chown(volume, *map(int, owner_of(image.root, owner).split(":")))
            _check_start(image, folder, volume, browser)


def _check_files(image: Stage) -> None:
    size_bytes = int(subprocess.check_output(["du", "--summarize", "--bytes", image.root]).split()[0])
    print(f"size of the root: {size_bytes:,} bytes")
    _demand(size_bytes < LARGEST_BYTES, f"The image is larger than {LARGEST_BYTES:,} bytes.")

    def inside(script: str) -> list[str]:
        user = owner_of(image.root, image.user)
        command = command_in(image.root, ["sh", "-c", script], environment=image.environment, user=user)
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout.split()

    programs = inside(f"command -v {' '.join(ABSENT)}")
    packages = inside(f"ls /venv/lib/python3*/site-packages | grep -xE '{'|'.join(ABSENT_PACKAGES)}'")
    files = inside("find /app -name 'test*'")
    print(f"compilers, training packages, tests: {' '.join([*programs, *packages, *files]) or 'none'}")
    _demand(not (programs or packages or files), "They have no place in the image.")
    places = inside(r"find / -xdev -writable \( -type d -o -type f \) -prune -print 2>/dev/null")
    print(f"what its user may write: {' '.join(places)}")
    _demand(bool(places) and all(place in WRITABLE for place in places), f"That should be only {' '.join(WRITABLE)}.")


def _check_start(image: Stage, folder: Path, volume: Path | None, browser: Browser) -> None:
    with _running(image, folder, volume) as app:
        url = f"http://127.0.0.1:{PORT}"
        wait_until_healthy(url, app.process, app.log)
        print(f"healthy after {time.monotonic() - app.begun:.1f} s")
        page = browser.new_page()
        page.goto(url)
        message_box(page).wait_for(timeout=LONGEST_START_S * 1000)
        first_page_s = time.monotonic() - app.begun
        print(f"first page after {first_page_s:.1f} s")
        _demand(first_page_s < LONGEST_START_S, f"That is more than {LONGEST_START_S:.0f} s.")
        uids = app.server.uids()
        print(f"user of the server: {uids.effective}")
        _demand(set(uids) == {1000}, "That should be 1000.")
        healthy = subprocess.run(_inside(image, image.health, None), stdin=subprocess.DEVNULL, capture_output=True)
        print(f"health check of the image: {'healthy' if healthy.returncode == 0 else healthy.stderr.decode()}")
        _demand(healthy.returncode == 0, "It should be healthy.")
        says = [line for line in app.log.read_text(errors="replace").splitlines() if line.startswith(SAYS)]
        print(*says, sep="\n")
        secrets = _outside(image, SECRETS, volume)
        print(f"secrets for signing in: {SECRETS}, mode {secrets.stat().st_mode & 0o777:o}")
        _demand(not secrets.stat().st_mode & 0o077, "Others should not read them.")
        results = Path(says[0].split("kept in ", 1)[1].split()[0].rstrip(",."))
        folder = _outside(image, results, volume) / "responses"
        before = set(folder.glob("*"))
        ask(page, "Name three colours.")
        print(f"answer, stored in {results}: {_answer(folder, before)!r}")
        page.close()
        server, begun = app.server, time.monotonic()
        server.send_signal(signal.SIGTERM)
        app.process.wait(LONGEST_END_S)
        print(f"ended by SIGTERM after {time.monotonic() - begun:.1f} s, status {app.process.returncode}")


def _outside(image: Stage, path: Path, volume: Path | None) -> Path:
    """Where a path of the image lies on this machine."""
    if volume is not None and path.is_relative_to(VOLUME):
        return volume / path.relative_to(VOLUME)
    return image.root / path.relative_to("/")


def _answer(folder: Path, before: set[Path]) -> str:
    """Text of the answer that is stored there, once it is; each start writes a file of its own."""
    deadline = time.monotonic() + LONGEST_ANSWER_S
    while time.monotonic() < deadline:
        for file in set(folder.glob("*.jsonl")) - before:
            if lines := file.read_text().splitlines():
                text = json.loads(lines[-1])["text"]
                _demand(bool(text), "The model answered nothing.")
                return str(text)
        time.sleep(0.2)
    raise CheckError(f"No answer was stored within {LONGEST_ANSWER_S:.0f} s.")


def _inside(image: Stage, command: list[str], volume: Path | None) -> list[str]:
    return command_in(
        image.root,
        command,
        environment={**image.environment, **SPACE},
        folder=image.folder,
        user=owner_of(image.root, image.user),
        binds={volume: str(VOLUME)} if volume else None,
    )


@contextmanager
def _running(image: Stage, folder: Path, volume: Path | None) -> Iterator[Running]:
    log = folder / "server.log"
    with log.open("wb") as output:
        begun = time.monotonic()
        process = subprocess.Popen(
            _inside(image, image.command, volume), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield Running(process, log, begun)
    finally:
        process.kill()  # and with it everything inside
        process.wait()
        if volume is not None:
            (image.root / str(VOLUME).lstrip("/")).rmdir()


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise CheckError(otherwise)
