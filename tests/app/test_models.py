"""The Models page as an owner and as a stranger use it, over a stand-in for the hub."""

import re
from collections.abc import Callable, Iterator
from errno import ENOSPC
from pathlib import Path
from unittest.mock import Mock

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import services
from evaluation.endpoints import Endpoint, EndpointModel
from evaluation.endpoints.file import FILE, read_endpoints, write_endpoints
from evaluation.models import discover
from evaluation.settings import Settings
from evaluation.store import ResponseStore
from tests.app_page import press, run
from tests.fake_engine import FakeEngine
from tests.gguf_files import CHAT_METADATA, write_gguf, write_lora_adapter
from tests.hub_server import HubServer

PAGE, ARENA = "dashboard/app_pages/models.py", "dashboard/app_pages/arena.py"
HUB, SERVERS = ":material/cloud_download: From the hub", ":material/dns: Servers"
HOSTILE = "<b>x</b> ![y](http://z/w.png)"
UNESCAPED = re.compile(r"(?<!\\)<b>|(?<!\\)!\[y\]")
BIG_BOX = Endpoint("Big box", "http://gpu-box:8000/v1", "llama", "BIG_BOX_KEY")
OTHER_BOX, THIRD_BOX = (
    Endpoint(f"{each} box", f"http://{each.lower()}:8000/v1", "llama") for each in ("Other", "Third")
)

Open = Callable[..., AppTest]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the models."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        server.use(monkeypatch, tmp_path / "home")
        yield server


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_cache: Path, folder: Path) -> Open:
    """Open the page over the models in ``folder`` alone, in one of its sections."""
    monkeypatch.setattr("evaluation.models.discovery.EMBEDDED_PACKAGE", "none")  # its 98 MB tell nothing about the page
    monkeypatch.setattr(services, "engine", lambda: FakeEngine(ResponseStore(tmp_path / "responses").append))

    def catalog():
        return discover(folder, tmp_path, shared_cache)

    catalog.clear = lambda: None
    monkeypatch.setattr(services, "catalog", catalog)

    def show(section: str | None = None, public: bool = False) -> AppTest:
        monkeypatch.setattr(services, "settings", lambda: Settings(folder, tmp_path, shared_cache, public=public))
        app = AppTest.from_file("../../streamlit_app.py", default_timeout=20).switch_page(PAGE)
        if section:
            app.session_state["models_section"] = section
        return run(app)

    return show


def said(app: AppTest) -> str:
    """All that can be read, escaped as it is."""
    blocks = (app.title, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(str(element.value) for elements in blocks for element in elements)


def plain(app: AppTest) -> str:
    """The same as a reader sees it."""
    return re.sub(r"\\(.)", r"\1", said(app))


def keys(app: AppTest) -> list[str]:
    return [button.key for button in app.button if button.key]


def look_for(app: AppTest, text: str) -> AppTest:
    app.text_input(key="models_wanted").set_value(text)
    return run(app)


def test_what_is_here_is_listed_and_can_be_removed(show: Open, folder: Path) -> None:
    """A model, a server and a damaged file, each with what is known of it; removing asks first, names the file, and
    deletes nothing but it."""
    model = write_gguf(folder / "tiny-Q4_0.gguf", CHAT_METADATA | {"general.name": "Tiny", "general.license": "mit"})
    (folder / "half.gguf").write_bytes(b"GGUF")
    write_endpoints(folder, [BIG_BOX])
    app = show()
    assert all(name in plain(app) for name in ("**Tiny**", "license mit", "half.gguf", "Big box", "1 unusable file"))
    press(app, next(key for key in keys(app) if key.startswith("models_remove_") and "tiny" in key))
    assert model.exists() and "cannot be undone" in plain(app) and str(model) in [code.value for code in app.code]
    press(app, "models_remove_now")
    assert not model.exists() and (folder / "half.gguf").exists()
    assert "**Tiny**" not in plain(app) and "Big box" in plain(app)


def test_a_stranger_reads_but_changes_nothing(show: Open, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a public deployment there is the list alone: no folder, no address of a server, no button that changes
    anything, and a line that says why."""
    monkeypatch.setenv("PUBLIC_ENDPOINTS", "1")
    write_gguf(folder / "tiny.gguf")
    (folder / "half.gguf").write_bytes(b"GGUF")
    write_endpoints(folder, [BIG_BOX])
    app = show(public=True)
    assert "Tiny 1M Instruct" in plain(app) and "Big box" in plain(app) and "Only the owners" in plain(app)
    assert not keys(app) and not app.text_input
    assert str(folder) not in plain(app) and "gpu-box" not in plain(app)


def test_a_repository_is_judged_before_it_is_downloaded(show: Open, hub: HubServer, folder: Path) -> None:
    """Its license, its files and whether they fit are shown, hostile names to the letter and what may be anything last;
    what is downloaded is listed, with a link into the arena, and a second time nothing is offered but that. It is told
    as done until it was seen or is gone."""
    card = f"---\nlicense: other\nlicense_name: '{HOSTILE}'\n---\n{HOSTILE}".encode()
    model = write_gguf(folder.parent / "tiny-Q8_0.gguf", CHAT_METADATA | {"general.name": HOSTILE}).read_bytes()
    hub.add("maker/tiny-GGUF", {"README.md": card, "notes.gguf": b"", "tiny-Q8_0.gguf": model})
    app = look_for(show(HUB), "maker/tiny-GGUF")
    assert all(words in plain(app) for words in ("License: <b>x</b>", "to download", "Fits: it needs"))
    assert not UNESCAPED.search(said(app)) and app.radio[0].options[0].startswith("Q8\\_0")
    press(app, "models_download")
    from dashboard.models import data

    (download,) = data.downloads().list()
    assert data.downloads().wait(download.id, 20).state == "done"
    run(app)
    assert "This file is here" in plain(app) and "models_download" not in keys(app)
    close = f"models_forget_{download.id}"
    away = download.target.rename(folder / "away")
    assert close not in keys(run(app)) and "models_download" in keys(app)
    away.rename(download.target)
    assert close in keys(run(app))
    app.session_state["models_section"] = ":material/inventory_2: Here"
    assert "hub: maker/tiny-GGUF" in plain(run(app)) and not UNESCAPED.search(said(app))
    assert close not in keys(run(app))


def test_a_newer_version_is_offered_but_not_where_it_cannot_run(
    show: Open, hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says that it replaces the one that is here; what the machine has no memory for can't be clicked."""
    older, newer = (write_gguf(folder.parent / f"{seed}.gguf", seed=seed).read_bytes() for seed in (0, 1))
    tiny = hub.add("maker/tiny-GGUF", {"tiny-Q8_0.gguf": older})
    app = press(look_for(show(HUB), "maker/tiny-GGUF"), "models_download")
    from dashboard.models import data

    (download,) = data.downloads().list()
    assert data.downloads().wait(download.id, 20).state == "done"
    commit = tiny.commits[-1].sha[:7]
    tiny.commit({"tiny-Q8_0.gguf": newer}, "better weights")
    data.ask_again()
    assert f"tiny-Q8_0.gguf of commit {commit}; a download replaces it" in plain(run(app))
    assert not app.button(key="models_download").disabled
    monkeypatch.setattr("evaluation.hub.fits.memory_limit_bytes", lambda: 1_000_000)
    data.ask_again()
    run(app)
    assert "Does not fit" in plain(app) and app.button(key="models_download").disabled


def test_a_cancelled_download_is_resumed_or_discarded(show: Open, hub: HubServer, folder: Path) -> None:
    """While it runs it can be cancelled beside the file; then it is offered there to go on with, or, when asked once
    more, to be thrown away with all that came."""
    content = write_gguf(folder.parent / "tiny.gguf").read_bytes()
    tiny = hub.add("maker/tiny-GGUF", {"tiny-Q8_0.gguf": content})
    app = look_for(show(HUB), "maker/tiny-GGUF")
    tiny.pace_bytes_s = 100.0
    press(app, "models_download")
    cancel = next(key for key in keys(app) if key.startswith("models_cancel_"))
    press(app, cancel)
    assert "Interrupted at" in plain(app) and cancel not in keys(app) and "models_download" not in keys(app)
    resume = app.tabs[1].button(key=cancel.replace("cancel", "resume"))
    assert re.fullmatch(r"Resume, [\d.]+ kB left", resume.label) and "This deletes the" in plain(app)
    press(app, resume.key)
    assert cancel in [button.key for button in app.tabs[1].button]
    press(app, cancel)
    press(app, cancel.replace("cancel", "forget"))
    assert not any("maker" in path.name for path in folder.rglob("*")) and "Interrupted" not in plain(app)


def test_an_adapter_tells_which_base_it_needs(show: Open, hub: HubServer, folder: Path) -> None:
    """Without its base there is a search for it; once that is here, under whatever owner, the page says so."""
    base = write_gguf(folder.parent / "base.gguf")
    adapter = write_lora_adapter(folder.parent / "lora.gguf", base, tensors=("attn_q",)).read_bytes()
    card = b"---\nbase_model: maker/Tiny-1M-Instruct\nbase_model_relation: adapter\n---\n"
    hub.add("maker/tiny-lora", {"README.md": card, "tiny-lora-f16.gguf": adapter})
    app = look_for(show(HUB), "maker/tiny-lora")
    assert "works on maker/Tiny-1M-Instruct, which is not here" in plain(app)
    base.rename(folder / "tiny-1m-instruct-f32.gguf")
    assert "works on maker/Tiny-1M-Instruct, which is here: Tiny 1M Instruct" in plain(run(app))


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("maker/gone", "maker/gone"),
        ("../../etc/passwd", "not the name of a repository"),
        ("words of no model", "no GGUF model of that name"),
        ("https://me:secret@huggingface.co/maker/tiny", "with `hf auth login`"),
    ],
)
def test_what_the_hub_does_not_have_is_a_sentence(show: Open, hub: HubServer, wanted: str, sentence: str) -> None:
    """An unknown repository, an id that leads elsewhere, a search without results and a password each say so, with a
    remedy, commands as code."""
    app = look_for(show(HUB), wanted)
    assert sentence in plain(app) and "\\`" not in said(app)


def test_a_server_is_added_and_stands_beside_the_models(
    show: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address with a password in it is refused in words and not stored; a correct one is, beside what others added
    meanwhile. The page says that its key is not set and never shows one, and the arena offers it by name and address.
    Removing another one takes away nothing else."""
    monkeypatch.delenv("BIG_BOX_KEY", raising=False)
    app = press(show(SERVERS), "models_server_add")
    form = {"name": "Big box", "address": "http://me:secret@gpu-box:8000/v1", "model": "llama"}
    for field, value in {**form, "variable": "BIG_BOX_KEY"}.items():
        app.text_input(key=f"models_server_{field}").set_value(value)
    press(app, next(key for key in keys(app) if key.endswith("Add")))
    assert "user or a password" in plain(app) and not (folder / FILE).exists()
    app.text_input(key="models_server_address").set_value(BIG_BOX.base_url)
    write_endpoints(folder, [OTHER_BOX])
    add = next(key for key in keys(app) if key.endswith("Add"))
    with monkeypatch.context() as full:
        full.setattr("evaluation.endpoints.file.write_whole", Mock(side_effect=OSError(ENOSPC, "No space left")))
        assert "cannot be written" in plain(press(app, add)) and add in keys(app)
    press(app, add)
    assert read_endpoints(folder) == ((OTHER_BOX, BIG_BOX), ()) and "BIG_BOX_KEY is not set" in plain(app)
    monkeypatch.setenv("BIG_BOX_KEY", "sesame")
    assert "is set" in plain(run(app)) and "sesame" not in plain(app)
    press(app, f"models_remove_{EndpointModel(OTHER_BOX, '').key}_None")
    write_endpoints(folder, [BIG_BOX, OTHER_BOX, THIRD_BOX])
    press(app, "models_remove_now")
    assert read_endpoints(folder) == ((BIG_BOX, THIRD_BOX), ())
    app.switch_page(ARENA)
    assert "Big box · gpu-box:8000" in run(app).selectbox(key="arena_pane0_model").options


def test_a_damaged_file_of_servers_is_left_as_it_is(show: Open, folder: Path) -> None:
    """Its fault is shown, its good entries are listed, and nothing on the page can write over it."""
    write_endpoints(folder, [BIG_BOX])
    damaged = (folder / FILE).read_text() + '\n[[endpoint]]\nname = "No address"\n'
    (folder / FILE).write_text(damaged)
    app = show(SERVERS)
    assert "base_url is missing" in plain(app) and "Big box" in plain(app)
    assert [key for key in keys(app) if "_server" in key or "_remove" in key] == ["models_server_test_0"]
    assert (folder / FILE).read_text() == damaged
