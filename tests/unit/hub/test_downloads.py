"""Downloads from the stand-in hub: whole, checked, resumed, cancelled, refused; nothing half-written is listed."""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.hub import HubError, transfer, unfinished
from evaluation.hub.downloads import Downloads
from evaluation.hub.origins import read_origin
from evaluation.hub.part import Part
from evaluation.hub.references import Reference
from evaluation.hub.repositories import HubFile, HubRepository, look_up
from evaluation.models import Catalog, discover
from tests.gguf_files import CHAT_SHAPES, write_gguf, write_lora_adapter
from tests.hub_server import HubServer, Repository

TOKEN = "hf_QwErTyUiOpAsDfGhJkLzXcVbNm"
FILE = "Tiny-1M-Q8_0.gguf"
CARD = b"---\nlicense: mit\nbase_model: maker/Base-1M\n---\n# Tiny\n"
WAIT_S = 20


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    monkeypatch.setattr(transfer, "PAUSES_S", (0.01, 0.01))
    with HubServer() as server:
        server.use(monkeypatch, tmp_path / "hf")
        yield server


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A chat model of 2 MB."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return write_gguf(path, shapes={**CHAT_SHAPES, "token_embd.weight": (8, 60_000)}).read_bytes()


@pytest.fixture
def tiny(hub: HubServer, content: bytes) -> Repository:
    return hub.add("maker/Tiny-GGUF", {FILE: content, "README.md": CARD})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def downloads(models: Path, shared_cache: Path) -> Iterator[Downloads]:
    made = Downloads(models, shared_cache)
    yield made
    for each in made.list():
        made.cancel(each.id)


def seen(repository: Repository, path: str = FILE) -> tuple[HubRepository, HubFile]:
    """What is known of a repository and its file before the download."""
    about = look_up(Reference(repository.id))
    return about, next(file for file in about.files if file.path == path)


def found(models: Path, tmp_path: Path, shared_cache: Path) -> Catalog:
    return discover(models, tmp_path / "results", shared_cache)


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.005)


def storage_requests(hub: HubServer) -> list[str | None]:
    return [each.range for each in hub.requests if "/storage/" in each.path and each.method == "GET"]


def test_a_download_gets_its_place_when_it_is_whole(
    hub: HubServer, tiny: Repository, downloads: Downloads, models: Path, tmp_path: Path, content: bytes,
    monkeypatch: pytest.MonkeyPatch, shared_cache: Path,
) -> None:  # fmt: skip
    """It has speed and time left while it runs, and is no model before its end; then it is one, with its origin, and
    listed as done until it is forgotten. The token went to the hub only, not to the host that has the bytes."""
    hub.tokens[TOKEN] = "reader"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    tiny.pace_bytes_s = 4e6
    started = downloads.start(*seen(tiny))
    assert (started.state, started.size_bytes) == ("running", len(content))
    assert started.target == models / "maker" / "Tiny-GGUF" / FILE
    until(lambda: downloads.list()[0].speed_bytes_s is not None)
    (running,) = downloads.list()
    assert running.state == "running" and 0 < running.done_bytes < len(content)
    assert running.speed_bytes_s and 1e6 < running.speed_bytes_s < 8e6
    assert running.left_s == pytest.approx((len(content) - running.done_bytes) / running.speed_bytes_s)
    assert downloads.start(*seen(tiny)).id == started.id  # the same one, not a second
    catalog = found(models, tmp_path, shared_cache)
    assert len(catalog.models) == 1 and not catalog.unusable
    done = downloads.wait(started.id, WAIT_S)
    assert (done.state, done.error, done.done_bytes) == ("done", None, len(content))
    assert done.target.read_bytes() == content
    assert found(models, tmp_path, shared_cache).models[1].base.path == done.target
    origin = read_origin(done.target)
    assert origin is not None and origin.downloaded_at == pytest.approx(time.time(), abs=60)
    assert (origin.repo_id, origin.file, origin.license, origin.base_model, origin.commit, origin.sha256) == (
        "maker/Tiny-GGUF", FILE, "mit", "maker/Base-1M", tiny.commits[0].sha, hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    assert not list((models / ".downloads").iterdir())
    assert [each.state for each in downloads.list()] == ["done"] and Downloads(models, shared_cache).list() == []
    downloads.forget(done.id)
    assert downloads.list() == [] and done.target.exists()
    by_host = {(each.host, each.token) for each in hub.requests if FILE in each.path}
    assert by_host == {("127.0.0.1", TOKEN), ("localhost", None)}
    with pytest.raises(HubError, match="is here already"):
        downloads.start(*seen(tiny))


def test_an_adapter_is_matched_to_its_base(
    hub: HubServer, downloads: Downloads, models: Path, tmp_path: Path, shared_cache: Path
) -> None:
    """A LoRA as GGUF, in a folder of its repository, gets its place in the same folder and is one model with its
    base."""
    models.mkdir()
    lora = write_lora_adapter(tmp_path / "lora.gguf", write_gguf(models / "base.gguf"), rank=2)
    card = b"---\nbase_model: maker/Base-1M\nlibrary_name: peft\n---\n"
    repository = hub.add("other/loras", {"gguf/pirate-lora-f16.gguf": lora.read_bytes(), "README.md": card})
    about, file = seen(repository, "gguf/pirate-lora-f16.gguf")
    assert file.kind == "adapter"
    done = downloads.wait(downloads.start(about, file).id, WAIT_S)
    assert (done.state, done.target) == ("done", models / "other" / "loras" / "gguf" / "pirate-lora-f16.gguf")
    adapters = [model.adapter for model in found(models, tmp_path, shared_cache).models if model.adapter]
    assert [adapter.path for adapter in adapters] == [done.target]
    origin = read_origin(done.target)
    assert origin is not None and origin.base_model == "maker/Base-1M"


def test_a_file_of_ones_own_is_not_replaced(
    tiny: Repository, downloads: Downloads, models: Path, content: bytes
) -> None:
    """Neither before the download, which is refused, nor when it appeared meanwhile, which keeps what came."""
    place = models / "maker" / "Tiny-GGUF" / FILE
    place.parent.mkdir(parents=True)
    place.write_bytes(b"my own")
    assert downloads.replaced(*seen(tiny)) is None
    with pytest.raises(HubError, match="not replaced"):
        downloads.start(*seen(tiny))
    assert downloads.list() == []
    place.unlink()
    tiny.pace_bytes_s = 1e6
    id = downloads.start(*seen(tiny)).id
    place.write_bytes(b"my own")
    tiny.pace_bytes_s = None
    refused = downloads.wait(id, WAIT_S)
    assert refused.state == "failed" and refused.error is not None and "not replaced" in refused.error
    assert refused.done_bytes == len(content) and place.read_bytes() == b"my own" and read_origin(place) is None
    place.unlink()
    downloads.resume(id)
    assert downloads.wait(id, WAIT_S).target.read_bytes() == content


def test_a_newer_version_replaces_the_older_and_says_so(tiny: Repository, downloads: Downloads, content: bytes) -> None:
    """Only where the content is another one, not where only the words beside it are."""
    assert downloads.replaced(*seen(tiny)) is None
    done = downloads.wait(downloads.start(*seen(tiny)).id, WAIT_S)
    tiny.commit({"README.md": b"better words"}, "words")
    assert downloads.replaced(*seen(tiny)) is None
    changed = content[:-4] + b"\1\2\3\4"
    tiny.commit({FILE: changed}, "better weights")
    sentence = downloads.replaced(*seen(tiny))
    assert sentence is not None and tiny.commits[0].sha[:7] in sentence
    assert downloads.wait(downloads.start(*seen(tiny)).id, WAIT_S).target.read_bytes() == changed
    origin = read_origin(done.target)
    assert origin is not None and origin.commit == tiny.commits[-1].sha


def test_the_folder_of_an_owner_may_lie_on_another_disk(
    tiny: Repository, downloads: Downloads, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file cannot be moved it is copied beside its place; what fails leaves nothing there, no origin either."""
    move = os.replace

    def within_a_folder(old: str, new: str) -> None:
        if os.path.dirname(old) != os.path.dirname(new):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        move(old, new)

    def until_full(old: Path, new: Path, **_: object) -> None:
        Path(new).write_bytes(Path(old).read_bytes()[:1000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", within_a_folder)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", until_full)
        failed = downloads.wait(downloads.start(*seen(tiny)).id, WAIT_S)
    assert failed.error is not None and "disk is full" in failed.error
    assert not list(failed.target.parent.iterdir())
    downloads.resume(failed.id)
    done = downloads.wait(failed.id, WAIT_S)
    assert done.target.read_bytes() == content and read_origin(done.target)
    assert len(list(done.target.parent.iterdir())) == 2


def test_a_cancelled_one_is_resumed_by_another_process(
    hub: HubServer, tiny: Repository, downloads: Downloads, models: Path, content: bytes, shared_cache: Path
) -> None:
    """Cancelling ends it within a second and keeps what came. After a restart it is listed as interrupted; resumed, it
    asks only for the rest."""
    tiny.pace_bytes_s = 1e6
    id = downloads.start(*seen(tiny)).id
    until(lambda: downloads.list()[0].done_bytes > 200_000)
    before = time.monotonic()
    downloads.cancel(id)
    assert time.monotonic() - before < 1 and downloads.list()[0].state == "interrupted"
    tiny.pace_bytes_s = None
    again = Downloads(models, shared_cache)
    (left,) = again.list()
    assert left.state == "interrupted" and 200_000 < left.done_bytes < len(content)
    hub.requests.clear()
    again.resume(id)
    assert again.wait(id, WAIT_S).target.read_bytes() == content
    assert storage_requests(hub) == [f"bytes={left.done_bytes}-"]


def test_two_on_one_folder_never_write_the_same_part(
    tiny: Repository, downloads: Downloads, models: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who else looks, as another process does, sees the other's download, and can neither stop nor drop nor double it;
    nor can anybody go on with one that is just being dropped."""
    tiny.pace_bytes_s = 2e6
    id = downloads.start(*seen(tiny)).id
    other = Downloads(models, shared_cache)
    until(lambda: other.list()[0].done_bytes > 100_000)
    assert other.list()[0].state == "running"
    for action in (other.cancel, other.forget, other.resume):
        with pytest.raises(HubError, match="another process"):
            action(id)
    assert other.wait(id, 0.05).state == "running"
    downloads.cancel(id)
    assert other.wait(id, WAIT_S).state == "interrupted"
    delete = shutil.rmtree

    def resumed_meanwhile(folder: Path) -> None:
        with pytest.raises(HubError, match="another process"):
            downloads.resume(id)
        delete(folder)

    monkeypatch.setattr(shutil, "rmtree", resumed_meanwhile)
    other.forget(id)
    assert other.list() == []


def test_a_connection_that_breaks_is_made_again(
    hub: HubServer, tiny: Repository, downloads: Downloads, content: bytes
) -> None:
    """At 99% as well: the rest is asked for by range."""
    tiny.cut_after_bytes = len(content) - 1000
    id = downloads.start(*seen(tiny)).id
    assert downloads.wait(id, WAIT_S).target.read_bytes() == content
    assert storage_requests(hub) == [None, f"bytes={len(content) - 1000}-"]


def test_one_that_always_stops_at_99_percent_says_so(tiny: Repository, downloads: Downloads, content: bytes) -> None:
    """After some tries in vain it fails with a sentence and keeps what came."""
    tiny.served[FILE] = content[:-1000]
    id = downloads.start(*seen(tiny)).id
    failed = downloads.wait(id, WAIT_S)
    assert failed.state == "failed" and failed.error is not None
    assert "stopped at 99%" in failed.error and "resume" in failed.error
    assert failed.done_bytes == len(content) - 1000 and not failed.target.exists()


def test_wrong_bytes_are_not_kept(tiny: Repository, downloads: Downloads, models: Path, content: bytes) -> None:
    """A checksum that differs throws everything away, so that another try starts over."""
    tiny.served[FILE] = content[:-1] + bytes([content[-1] ^ 1])
    id = downloads.start(*seen(tiny)).id
    failed = downloads.wait(id, WAIT_S)
    assert failed.error is not None and "checksum" in failed.error and failed.done_bytes == 0
    assert not failed.target.parent.exists()
    tiny.served.clear()
    downloads.resume(id)
    assert downloads.wait(id, WAIT_S).target.read_bytes() == content


def test_a_file_that_changed_on_the_hub_starts_over(
    hub: HubServer, tiny: Repository, downloads: Downloads, content: bytes
) -> None:
    """A part of the old content is no part of the new one; the same content at a newer commit goes on."""
    tiny.pace_bytes_s = 1e6
    id = downloads.start(*seen(tiny)).id
    until(lambda: downloads.list()[0].done_bytes > 100_000)
    downloads.cancel(id)
    tiny.commit({"README.md": b"better words"}, "words")
    downloads.start(*seen(tiny))
    until(lambda: downloads.list()[0].done_bytes > 200_000)
    downloads.cancel(id)
    assert storage_requests(hub)[1]
    tiny.pace_bytes_s = None
    changed = content[:-4] + b"\1\2\3\4"
    tiny.commit({FILE: changed}, "better weights")
    hub.requests.clear()
    assert downloads.start(*seen(tiny)).id == id
    assert downloads.wait(id, WAIT_S).target.read_bytes() == changed
    assert storage_requests(hub) == [None]


def test_a_file_that_is_not_what_its_name_says_is_refused(
    hub: HubServer, downloads: Downloads, models: Path, tmp_path: Path, shared_cache: Path
) -> None:
    """The checksum is right, but it is no GGUF file: the reason is told, and nothing of it stays."""
    page = hub.add("maker/page", {FILE: b"<!DOCTYPE html><title>No model</title>" + bytes(1000)})
    failed = downloads.wait(downloads.start(*seen(page)).id, WAIT_S)
    assert failed.state == "failed" and failed.error is not None
    assert "not a GGUF file" in failed.error and failed.done_bytes == 0
    catalog = found(models, tmp_path, shared_cache)
    assert len(catalog.models) == 1 and not catalog.unusable
    downloads.forget(failed.id)
    assert downloads.list() == [] and not list((models / ".downloads").iterdir())


def test_a_hub_that_leads_nowhere_is_not_asked_again(hub: HubServer, tiny: Repository, downloads: Downloads) -> None:
    """It redirects to what is no address: no connection is at fault, so waiting would not help."""
    hub.storage_url = "http://localhost:port"
    failed = downloads.wait(downloads.start(*seen(tiny)).id, WAIT_S)
    assert failed.error is not None and "is not a hub" in failed.error
    assert [each.method for each in hub.requests if "/resolve/" in each.path] == ["HEAD"]


def test_what_the_disk_says(
    tiny: Repository, downloads: Downloads, models: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little room is told before the first byte. A disk that fills up meanwhile costs next to nothing of what came,
    and another process can tell why it stopped."""
    room = shutil.disk_usage(models.parent)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: room._replace(free=10_000_000))
        with pytest.raises(HubError, match=r"needs 1.9 MB more on the disk, but only 10 MB is free"):
            downloads.start(*seen(tiny))
    assert downloads.list() == [] and not list((models / ".downloads").iterdir())
    append, write_whole, room_bytes = Part.append, unfinished.write_whole, 1_100_000

    def append_until_full(part: Part, block: bytes) -> None:
        append(part, block[: room_bytes - part.size_bytes])
        if part.size_bytes == room_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_if_there_is_room(path: Path, written: bytes) -> None:
        if path.with_name(unfinished.PART).stat().st_size + len(written) > room_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_whole(path, written)

    with monkeypatch.context() as patch:
        patch.setattr(Part, "append", append_until_full)
        started = downloads.start(*seen(tiny))
        patch.setattr(unfinished, "write_whole", write_if_there_is_room)
        until(lambda: downloads.list()[0].state == "failed")
        full = downloads.wait(started.id, WAIT_S)
    assert full.error is not None and "disk is full" in full.error
    (left,) = Downloads(models, shared_cache).list()
    assert (left.state, left.error) == ("failed", full.error) and left.done_bytes > 1_000_000


def test_what_was_taken_down_meanwhile(hub: HubServer, tiny: Repository, downloads: Downloads) -> None:
    """A repository that is gone when a download is resumed is told; one that gives no access is not asked for more."""
    tiny.pace_bytes_s = 1e6
    id = downloads.start(*seen(tiny)).id
    until(lambda: downloads.list()[0].done_bytes > 100_000)
    downloads.cancel(id)
    repository, file = seen(tiny)
    del hub.repositories["model", tiny.id]
    downloads.resume(id)
    gone = downloads.wait(id, WAIT_S)
    assert gone.state == "failed" and gone.error is not None and "no model maker/Tiny-GGUF" in gone.error
    downloads.forget(id)
    assert not downloads.list()
    with pytest.raises(HubError, match="ask for access"):
        downloads.start(replace(repository, accessible=False, why_not="First ask for access."), file)


def test_paths_that_lead_elsewhere_are_refused(tiny: Repository, downloads: Downloads, models: Path) -> None:
    """Whatever a repository calls its files, they lie in its own folder and are not hidden."""
    repository, file = seen(tiny)
    for path in (
        "../x.gguf",
        "a/../../x.gguf",
        "/etc/x.gguf",
        ".hidden.gguf",
        "a//x.gguf",
        "a\\x.gguf",
        "x\n.gguf",
        "",
    ):
        with pytest.raises(HubError, match="folder of its own"):
            downloads.start(repository, replace(file, path=path))
    for repo_id in ("../models", "a/b/c", "./x", "a/.."):
        with pytest.raises(HubError, match="folder of its own"):
            downloads.start(replace(repository, repo_id=repo_id), file)
    for id in ("../../etc", "x", ""):
        with pytest.raises(HubError, match="no such download"):
            downloads.forget(id)
    assert not models.exists()
