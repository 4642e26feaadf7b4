"""``python -m evaluation.models``: search, add, list and remove, as they are typed."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from evaluation.hub import fits, transfer
from evaluation.models.__main__ import main
from tests.gguf_files import CHAT_METADATA, CHAT_SHAPES, write_gguf
from tests.hub_server import HubServer

CARD = b"---\nlicense: llama3.2\n---\n# Tiny\n"
Q4, Q8 = "tiny-1m-instruct-q4_k_m.gguf", "Tiny 1M Instruct Q8_0.gguf"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    monkeypatch.setattr(transfer, "PAUSES_S", (0.01,))
    shapes = {**CHAT_SHAPES, "token_embd.weight": (8, 60_000)}
    files = {
        name: write_gguf(tmp_path / "made", CHAT_METADATA | {"general.file_type": kind}, shapes).read_bytes()
        for name, kind in ((Q4, 15), (Q8, 7))
    }
    with HubServer() as server:
        server.use(monkeypatch, tmp_path / "hf")
        tiny = server.add("maker/Tiny-GGUF", {**files, "mmproj-tiny.gguf": files[Q8], "README.md": CARD})
        tiny.downloads = 12_345
        server.add("maker/Locked-GGUF", {Q8: files[Q8]}, gated=True)
        yield server


def said(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> str:
    assert main(arguments) == status
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.out + printed.err


def test_from_words_to_a_model_and_away_again(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step names the next one's command; nothing is downloaded or removed without a yes."""
    out = said(capsys, 0, "search", "tiny")
    assert out.splitlines()[1].split() == ["maker/Tiny-GGUF", "12,345", "0", "llama3.2", "open"]
    assert "Locked" not in out and "No GGUF repository" in said(capsys, 1, "search", "nothing", "like", "that")
    out = said(capsys, 2, "add", "maker/Tiny-GGUF")
    assert "2 files that can be used" in out and "image part" in out
    assert f"python -m evaluation.models add maker/Tiny-GGUF:{Q4}" in out
    assert f"python -m evaluation.models add 'maker/Tiny-GGUF:{Q8}'" in out
    monkeypatch.setattr("builtins.input", lambda question: "")
    out = said(capsys, 2, "add", "maker/Tiny-GGUF:q4_k_m")
    assert "llama3.2" in out and "1.9 MB" in out and "Fits" in out and "open" in out and "--yes" in out
    target = tmp_path / "models" / "maker" / "Tiny-GGUF" / Q4
    assert not target.exists()
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert f"{target} is ready." in said(capsys, 0, "add", "maker/Tiny-GGUF:q4_k_m")
    assert "is here already" in said(capsys, 1, "add", "maker/Tiny-GGUF:q4_k_m", "--yes")
    (tmp_path / "models" / "page.gguf").write_text("<!DOCTYPE html>")
    out = said(capsys, 0, "list")
    (line,) = (line for line in out.splitlines() if line.startswith("Tiny 1M Instruct"))
    assert "Q4_K_M" in line and "1.9 MB" in line and line.endswith("llama3.2    hub: maker/Tiny-GGUF")
    assert "page.gguf: It is not a GGUF file" in out and "takes 1.9 MB" in out
    assert "comes with the installation" in said(capsys, 1, "remove", "SmolLM2 135M Instruct")
    assert "may mean any of several" in said(capsys, 1, "remove", "instruct")
    assert "Nothing here is called" in said(capsys, 1, "remove", "nobody")
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert "Nothing was removed" in said(capsys, 2, "remove", "tiny 1m")
    assert target.exists() and "Removed." in said(capsys, 0, "remove", "tiny 1m", "--yes")
    assert not target.parent.parent.exists()


def test_ctrl_c_keeps_what_came(hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says with which command it goes on, and that one asks for the rest only."""
    tiny = hub.repositories["model", "maker/Tiny-GGUF"]
    tiny.pace_bytes_s = 3e5
    folder = tmp_path / "models" / ".downloads"

    def interrupt() -> None:
        while True:
            with suppress(OSError):  # a folder that is just being made, or a part that was just begun anew
                if any(part.stat().st_size > 200_000 for part in folder.glob("*/part")):
                    break
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    out = said(capsys, 130, "add", f"maker/Tiny-GGUF:{Q8}", "--yes")
    assert f"kept. To go on from there: python -m evaluation.models add 'maker/Tiny-GGUF:{Q8}'" in out
    assert f"maker/Tiny-GGUF:{Q8}" in (listed := said(capsys, 0, "list")) and "interrupted" in listed
    tiny.pace_bytes_s = None
    hub.requests.clear()
    assert "is ready" in said(capsys, 0, "add", f"maker/Tiny-GGUF:{Q8}", "--yes")
    ranges = [request.range for request in hub.requests if "/storage/" in request.path]
    assert ranges[-1] and ranges[-1].startswith("bytes=") and ranges[-1] != "bytes=0-"
    assert (tmp_path / "models" / "maker" / "Tiny-GGUF" / Q8).read_bytes() == tiny.files[Q8]


def test_a_model_that_cannot_run_here_is_downloaded_only_for_who_insists(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A yes is not enough, given in advance or not."""
    monkeypatch.setattr(fits, "memory_limit_bytes", lambda: 100_000_000)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    for yes in ((), ("--yes",)):
        out = said(capsys, 1, "add", "maker/Tiny-GGUF:q4_k_m", *yes)
        assert "Does not fit" in out and "--anyway" in out
    assert not (tmp_path / "models").exists()
    assert "is ready" in said(capsys, 0, "add", "maker/Tiny-GGUF:q4_k_m", "--anyway")


def test_what_did_not_become_a_model(
    hub: HubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that stopped it is said how to go on, and it can be dropped by its name in the list; of one that was
    thrown away there is nothing to go on with. One that replaces an older version says so."""
    tiny = hub.repositories["model", "maker/Tiny-GGUF"]
    name, weights = f"maker/Tiny-GGUF:{Q4}", tiny.files[Q4]
    tiny.served[Q4] = weights[:-1000]
    assert "To go on from there" in said(capsys, 1, "add", name, "--yes")
    assert "failed" in said(capsys, 0, "list")
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert "99%" in said(capsys, 2, "remove", name) and "Removed." in said(capsys, 0, "remove", name, "--yes")
    assert "Downloads" not in said(capsys, 0, "list")
    tiny.served[Q4] = weights[:-4] + bytes(4)
    assert "thrown away" in (out := said(capsys, 1, "add", name, "--yes")) and "To go on" not in out
    tiny.served.clear()
    assert "replaces it" not in said(capsys, 0, "add", name, "--yes")
    tiny.commit({Q4: weights[:-4] + bytes(4)}, "better weights")
    assert "replaces it" in said(capsys, 0, "add", name, "--yes")


def test_what_cannot_be_added_is_said_in_a_sentence(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Words, other sites, unknown and gated repositories, unknown files, and a hub that fails."""
    for text, word in (
        ("llama 1b", "search 'llama 1b'"),
        ("https://example.com/maker/tiny", "does not lead to the hub"),
        ("maker/../etc", "not the name of a repository"),
        ("maker/nothing", "no model maker/nothing"),
        ("maker/Tiny-GGUF:Q2_K", "has no file Q2_K"),
        ("maker/Locked-GGUF", "ask for access"),
    ):
        assert word in said(capsys, 1, "add", text, "--yes")
    hub.stop()
    assert "cannot be reached" in said(capsys, 1, "add", "maker/Tiny-GGUF", "--yes")
