"""What is said of everything that lies here, and what is taken away when one of it is removed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.endpoints import Endpoint, EndpointModel
from evaluation.endpoints.file import read_endpoints
from evaluation.host import host
from evaluation.hub import HubError
from evaluation.hub.origins import Origin, write_origin
from evaluation.models import Catalog, discover
from evaluation.models.inventory import Item, Measured, disk, inventory, measured_here, remove
from evaluation.settings import PUBLISHED_DIR
from evaluation.store import ResponseStore
from tests.benchmark_answers import BASE, TUNED, responses
from tests.gguf_files import write_gguf, write_lora_adapter

ORIGIN = Origin("maker/Tiny-GGUF", "Tiny.gguf", "c0ffee", "ab" * 32, "llama3.2", 1.8e9, "maker/Base-1M")
ENDPOINT = '[[endpoint]]\nname = "{}"\nbase_url = "http://gpu-box:8000/v1"\nmodel = "{}"\n'


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model of the hub with an adapter on it, a file that is none, and two endpoints."""
    folder = tmp_path / "models"
    (folder / "maker" / "Tiny-GGUF").mkdir(parents=True)
    base = write_gguf(folder / "maker" / "Tiny-GGUF" / "Tiny.gguf")
    write_origin(base, ORIGIN)
    write_lora_adapter(folder / "pirate.gguf", base, rank=2)
    (folder / "page.gguf").write_text("<!DOCTYPE html>")
    (folder / "endpoints.toml").write_text(ENDPOINT.format("Big", "big") + ENDPOINT.format("Bigger", "bigger"))
    run = tmp_path / "results" / "runs" / "r16"
    run.mkdir(parents=True)
    write_lora_adapter(run / "adapter.gguf", base, rank=2, seed=1)
    return folder


def catalog(models: Path, shared_cache: Path) -> Catalog:
    return discover(models, models.parent / "results", shared_cache)


def items(models: Path, shared_cache: Path) -> dict[str, Item]:
    return {item.name: item for item in inventory(catalog(models, shared_cache), models, {})}


def test_everything_is_told(models: Path, shared_cache: Path) -> None:
    """Kind, size of its own file, where it came from, license, figures, and why it can't be used or removed."""
    found = catalog(models, shared_cache)
    base = found.models[1]
    figures = Measured(3, 20.5, 8.0, 900_000_000)
    listed = inventory(found, models, {base.key: figures})
    assert [(item.kind, item.name, item.source, item.license) for item in listed] == [
        ("model", "SmolLM2 135M Instruct", "comes with the installation", "apache-2.0"),
        ("model", "Tiny 1M Instruct", "hub: maker/Tiny-GGUF", "llama3.2"),
        ("adapter", "Tiny 1M Instruct + Pirate", "a file that was put here", None),
        ("adapter", "Tiny 1M Instruct + r16", "training run r16", None),
        ("endpoint", "Big", "server: gpu-box:8000", None),
        ("endpoint", "Bigger", "server: gpu-box:8000", None),
        ("unusable", "page.gguf", "a file that was put here", None),
    ]
    tiny, pirate, page = listed[1], listed[2], listed[6]
    assert (tiny.key, tiny.quantization, tiny.measured, tiny.origin) == (base.key, "F32", figures, ORIGIN)
    assert tiny.size_bytes == (models / "maker" / "Tiny-GGUF" / "Tiny.gguf").stat().st_size
    assert tiny.loss is not None and "Tiny 1M Instruct + Pirate" in tiny.loss
    assert pirate.size_bytes == (models / "pirate.gguf").stat().st_size and pirate.loss is None
    assert page.reason is not None and "not a GGUF file" in page.reason and page.key is None
    assert [bool(item.why_kept) for item in listed] == [True, False, False, True, False, False, False]


def test_figures_are_those_of_this_machine(tmp_path: Path) -> None:
    """Medians of what was stored here; answers from elsewhere do not count, and endpoints are machines of their own."""
    server = EndpointModel(Endpoint("Big", "http://gpu-box:8000/v1", "big"), "Big")
    store = ResponseStore(tmp_path / "responses")
    for response in responses(prompts=4):
        if response.model.key == BASE.key:
            store.append(replace(response, host=host(), peak_memory_bytes=400_000_000))
            store.append(replace(response, id=f"X{response.id[1:]}", host=server.host, model=server.ref))
        elif response.model.key == TUNED.key:
            store.append(response)
    found = measured_here(tmp_path, PUBLISHED_DIR)
    assert TUNED.key not in found
    here = found[BASE.key]
    assert (here.answers, here.peak_memory_bytes) == (8, 400_000_000)
    assert here.decode_tok_s == pytest.approx(80, rel=0.05)
    assert here.latency_150_s == pytest.approx(0.2 + 150 * 1.4 / 80, rel=0.1)
    assert found[server.key].answers == 8


def test_removing_takes_the_file_its_origin_and_empty_folders(models: Path, shared_cache: Path) -> None:
    """And leaves what lies beside it; a worker that has the file open keeps what it reads."""
    tiny = items(models, shared_cache)["Tiny 1M Instruct"]
    assert tiny.path is not None
    with tiny.path.open("rb") as open_elsewhere:
        remove(tiny, models)
        assert open_elsewhere.read(4) == b"GGUF"
    assert not (models / "maker").exists() and (models / "pirate.gguf").exists()
    left = items(models, shared_cache)
    assert "Tiny 1M Instruct" not in left and left["pirate.gguf"].kind == "unusable"
    remove(left["page.gguf"], models)
    assert "page.gguf" not in items(models, shared_cache)
    remove(tiny, models)  # somebody else was faster


def test_an_endpoint_is_taken_out_of_its_file(models: Path, shared_cache: Path) -> None:
    """The others stay. A file with faults is left as it is, for they would be lost."""
    big = items(models, shared_cache)["Big"]
    remove(big, models)
    assert [endpoint.name for endpoint in read_endpoints(models)[0]] == ["Bigger"]
    with (models / "endpoints.toml").open("a") as file:
        file.write("[[endpoint]]\n")
    found = items(models, shared_cache)
    with pytest.raises(HubError, match="mend"):
        remove(found["Bigger"], models)
    assert found["endpoints.toml"].why_kept
    assert len(read_endpoints(models)[0]) == 1


def test_what_is_not_ours_is_not_removed(models: Path, shared_cache: Path, tmp_path: Path) -> None:
    """The embedded model, adapters of runs, and what a link leads to; a link itself may go."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_gguf(elsewhere / "theirs.gguf", {"general.name": "x"}, seed=5)
    (models / "folder").symlink_to(elsewhere)
    write_gguf(tmp_path / "single.gguf", {"general.name": "y"}, seed=6)
    (models / "link.gguf").symlink_to(tmp_path / "single.gguf")
    found = items(models, shared_cache)
    for name in ("SmolLM2 135M Instruct", "Tiny 1M Instruct + r16", "theirs.gguf"):
        with pytest.raises(HubError, match=r"can't be removed here\. It "):
            remove(found[name], models)
    with pytest.raises(HubError, match="does not lie in"):
        remove(replace(found["page.gguf"], path=tmp_path / "single.gguf"), models)
    remove(found["link.gguf"], models)
    assert (tmp_path / "single.gguf").exists() and (elsewhere / "theirs.gguf").exists()
    assert not (models / "link.gguf").is_symlink()


def test_disk(models: Path) -> None:
    """Everything in the folder counts, also what is being downloaded; a folder that is not there takes nothing."""
    before = disk(models).used_bytes
    (models / ".downloads" / "0").mkdir(parents=True)
    (models / ".downloads" / "0" / "part").write_bytes(bytes(12_345))
    assert disk(models).used_bytes == before + 12_345
    empty = disk(models / "none" / "at all")
    assert empty.used_bytes == 0 and empty.free_bytes == pytest.approx(shutil.disk_usage(models).free, rel=0.05)
