"""The hub: what can be downloaded is told beforehand, and a run that is pushed brings no secret with it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.finished_run import ROW, make_run
from tests.hub_server import HubServer
from training.hub import HubError, check_dataset, check_model, license_of, push
from training.recipe import read_recipe
from training.runlog import Run, RunWriter

TOKEN = "hf_QwErTyUiOpAsDfGhJkLzXcVbNm"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The stand-in, an empty cache and nobody logged in."""
    with HubServer() as server:
        server.use(monkeypatch, tmp_path / "hf")
        yield server


@pytest.fixture
def log_in(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.tokens[TOKEN] = "ada"
    monkeypatch.setenv("HF_TOKEN", TOKEN)


MODEL_FILES = {
    "config.json": json.dumps({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2}).encode(),
    "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast"}',
    "tokenizer.json": json.dumps(
        {
            "version": "1.0",
            "added_tokens": [],
            "pre_tokenizer": {"type": "Whitespace"},
            "model": {"type": "WordLevel", "vocab": {"hello": 0, "world": 1, "?": 2}, "unk_token": "?"},
        }
    ).encode(),
    "model.safetensors": bytes(range(256)) * 40,
    "README.md": b"---\nlicense: llama3.2\n---\n# Tiny\n",
}


def download(repo_id: str) -> str:
    from huggingface_hub import snapshot_download

    return snapshot_download(repo_id)


def test_a_model_is_found_by_branch_tag_and_commit(hub: HubServer) -> None:
    """The commit is what a run records, so that it can be repeated when the branch has moved on."""
    tiny = hub.add("maker/tiny", MODEL_FILES)
    first = tiny.commits[0].sha
    tiny.tags["v1"] = first
    second = tiny.commit({"config.json": b"{}"}, "change").sha

    assert check_model("maker/tiny") == second
    assert check_model("maker/tiny", "main") == second
    assert check_model("maker/tiny", "v1") == check_model("maker/tiny", first) == first


def test_an_unknown_revision_is_told(hub: HubServer) -> None:
    hub.add("maker/tiny", MODEL_FILES)
    with pytest.raises(HubError, match=r"The model maker/tiny has no revision v9: name a commit, branch or tag"):
        check_model("maker/tiny", "v9")


def test_an_unknown_repository_is_told_with_what_to_check(hub: HubServer) -> None:
    """Without a token a private repository looks the same, so logging in is part of the advice."""
    with pytest.raises(HubError, match=r"knows no model maker/tyni: check the spelling .* `hf auth login`"):
        check_model("maker/tyni")
    with pytest.raises(HubError, match=r"knows no data set maker/talk: check the spelling .* data\.source"):
        check_dataset("maker/talk")


def test_a_private_repository_opens_with_its_owners_token(
    hub: HubServer, log_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("ada/secret", MODEL_FILES, private=True)
    hub.add("eve/secret", MODEL_FILES, private=True)
    assert check_model("ada/secret")
    with pytest.raises(HubError, match=r"knows no model eve/secret: .* check that your token may read it"):
        check_model("eve/secret")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="knows no model ada/secret"):
        check_model("ada/secret")


@pytest.mark.parametrize(("kind", "check"), [("model", check_model), ("dataset", check_dataset)])
def test_a_gated_repository_says_how_to_get_in(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, kind: str, check: object
) -> None:
    """Its info is public, only its files are not: looking at the info alone would let training start and fail."""
    gated = hub.add("maker/gated", MODEL_FILES, kind, gated=True)
    hub.tokens[TOKEN] = "ada"
    assert callable(check)
    page = rf"{hub.url}/{'datasets/' if kind == 'dataset' else ''}maker/gated\b"
    with pytest.raises(HubError, match=rf"maker/gated is gated: log in with `hf auth login`.*access at {page}"):
        check("maker/gated")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(HubError, match=rf"gated and your token gives no access: ask for it at {page}"):
        check("maker/gated")
    gated.readers.add("ada")
    assert check("maker/gated") == gated.commits[0].sha


def test_a_token_that_the_hub_does_not_know_is_not_repeated(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("maker/tiny", MODEL_FILES)
    for token in (TOKEN, "hf_ümläut"):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(HubError, match=r"token.*`hf auth login`") as caught:
            check_model("maker/tiny")
        assert token not in str(caught.value)


def test_a_name_that_cannot_be_one_is_told(hub: HubServer) -> None:
    with pytest.raises(HubError, match=r"is not the name of a model on the hub: write base\.model as user/name"):
        check_model("maker/tiny model")


def test_a_folder_here_that_would_be_read_instead_is_told(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers and datasets take a folder of the current one before they ask the hub."""
    hub.add("maker/tiny", MODEL_FILES)
    (tmp_path / "maker" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HubError, match=r"base\.model is the model maker/tiny on the hub, but .* write \./maker/tiny"):
        check_model("maker/tiny")


def test_the_stand_in_is_reached_past_a_proxy(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many machines reach the world through one, which cannot lead back to them."""
    hub.add("maker/tiny", MODEL_FILES)
    for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    hub.use(monkeypatch, tmp_path / "hf")
    assert Path(download("maker/tiny"), "model.safetensors").read_bytes() == MODEL_FILES["model.safetensors"]


def test_a_broken_hub_is_told(hub: HubServer) -> None:
    hub.add("maker/tiny", MODEL_FILES)
    hub.broken = 503
    with pytest.raises(HubError, match=r"answers with the error 503, .* try again later, or name a local folder"):
        check_model("maker/tiny")


def test_a_stranger_at_the_hubs_address_is_told(hub: HubServer) -> None:
    """Such as the login page of a network, which answers everything with success."""
    hub.broken = 200
    with pytest.raises(HubError, match=r"What answers at 127\.0\.0\.1:\d+ is not a hub"):
        check_model("maker/tiny")


def test_without_a_connection_a_complete_download_will_do(hub: HubServer) -> None:
    """The cache's own commit is returned; a cache that lacks a file would fail later, so it does not count."""
    tiny = hub.add("maker/tiny", MODEL_FILES)
    hub.add("maker/other", MODEL_FILES)
    folder = Path(download("maker/tiny"))
    hub.stop()

    assert check_model("maker/tiny") == check_model("maker/tiny", tiny.commits[0].sha) == tiny.commits[0].sha
    with pytest.raises(HubError, match=r"127\.0\.0\.1:\d+ cannot be reached, and the model maker/other is not comple"):
        check_model("maker/other")
    (folder / "model.safetensors").unlink()
    with pytest.raises(HubError, match="connect once to download it, or name a local folder or a GGUF file"):
        check_model("maker/tiny")


def test_hf_hub_offline_asks_nobody(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    tiny = hub.add("maker/tiny", MODEL_FILES)
    hub.add("maker/other", MODEL_FILES)
    download("maker/tiny")
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    assert check_model("maker/tiny") == tiny.commits[0].sha
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set, and the model maker/other is not completely in"):
        check_model("maker/other")
    assert not hub.requests


def test_hf_endpoint_leads_to_another_hub(hub: HubServer, tmp_path: Path) -> None:
    """The ordinary way, through the environment; and nothing heavy is imported for it."""
    tiny = hub.add("maker/tiny", MODEL_FILES)
    heavy = ("torch", "transformers", "datasets", "peft", "trl")
    code = "import sys; from training.hub import check_model; print(check_model('maker/tiny'));"
    code += f"print(sorted(set({heavy}) & set(sys.modules)))"
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    root = Path(__file__).parents[3]
    printed = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)
    assert printed.stdout.splitlines() == [tiny.commits[0].sha, "[]"], printed.stderr


def test_the_license_comes_from_the_card(hub: HubServer) -> None:
    """Also without a connection, once the card was downloaded. A card that states none leaves it unknown."""
    hub.add("maker/tiny", MODEL_FILES)
    hub.add("maker/named", {"README.md": b"---\nlicense: other\nlicense_name: qwen\n---\n"})
    hub.add("maker/talk", {"README.md": b"# Only words\n"}, "dataset")
    hub.add("maker/bare", {"data.jsonl": b"{}"}, "dataset")
    assert license_of("model", "maker/tiny") == "llama3.2"
    assert license_of("model", "maker/named") == "qwen"
    assert license_of("dataset", "maker/talk") is None
    assert license_of("dataset", "maker/bare") is None
    hub.stop()
    assert license_of("model", "maker/tiny") == "llama3.2"


def test_transformers_reads_a_base_model_from_the_hub_and_then_from_the_cache(hub: HubServer) -> None:
    """The way of every recipe whose base is a hub id, on the commit that the check found."""
    from transformers import AutoConfig, AutoTokenizer

    hub.add("maker/tiny", MODEL_FILES)
    for _ in range(2):
        commit = check_model("maker/tiny")
        config = AutoConfig.from_pretrained("maker/tiny", revision=commit)
        tokenizer = AutoTokenizer.from_pretrained("maker/tiny", revision=commit)
        assert config.hidden_size == 64
        assert tokenizer("hello world")["input_ids"] == [0, 1]
        download("maker/tiny")
        hub.stop()


def test_datasets_reads_rows_from_the_hub_and_then_from_the_cache(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Offline, ``datasets`` takes what it prepared last, whatever revision is asked for; the check says so."""
    import datasets
    from huggingface_hub import constants

    hub.use(monkeypatch, tmp_path / "hf")  # again, now that datasets is imported
    talk = hub.add("maker/SmallTalk", {"train.jsonl": b'{"answer": "yes"}\n{"answer": "no"}\n'}, "dataset")
    first = talk.commits[0].sha
    for _ in range(2):
        commit = check_dataset("maker/SmallTalk")
        assert commit == first
        assert datasets.load_dataset("maker/SmallTalk", split="train", revision=commit)["answer"] == ["yes", "no"]
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"the data set maker/SmallTalk is not completely in the local cache"):
        check_dataset("maker/SmallTalk", "0" * 40)


def test_a_download_that_breaks_off_is_resumed(hub: HubServer) -> None:
    """The client keeps whole chunks of 10 MiB, asks for the rest by range, and the sum is whole."""
    tiny = hub.add("maker/tiny", {"model.safetensors": bytes(range(256)) * (11 << 12)})
    tiny.cut_after_bytes = (10 << 20) + 1000
    folder = Path(download("maker/tiny"))
    assert (folder / "model.safetensors").read_bytes() == tiny.files["model.safetensors"]
    assert [request.range for request in hub.requests if "/storage/" in request.path] == [None, f"bytes={10 << 20}-"]


# Pushing


def test_a_push_brings_all_that_others_need_in_one_commit(hub: HubServer, log_in: None, tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    url = push(folder, "ada/demo", private=True)

    pushed = hub.repositories["model", "ada/demo"]
    assert url == f"{hub.url}/ada/demo"
    assert pushed.private
    assert [commit.author for commit in pushed.commits] == [None, "ada"]
    assert set(pushed.files) - {".gitattributes"} == {
        "README.md", "adapter.gguf", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja",
        "log.jsonl", "loss.svg", "recipe.toml", "run.json", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert pushed.files["adapter_model.safetensors"] == b"weights" * 1000
    assert pushed.files["log.jsonl"] == (folder / "log.jsonl").read_bytes()
    assert json.loads(pushed.files["adapter_config.json"])["base_model_name_or_path"] == "maker/Tiny-1B"
    assert json.loads(pushed.files["run.json"])["data"]["train_rows"] == 1240


def test_a_pushed_recipe_can_be_run_again(hub: HubServer, log_in: None, tmp_path: Path) -> None:
    """Its local files are named without the folder that they lay in, so they count from the recipe."""
    push(make_run(tmp_path), "ada/demo", private=False)
    recipe = hub.repositories["model", "ada/demo"].files["recipe.toml"]
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "recipe.toml").write_bytes(recipe)
    (tmp_path / "again" / "tiny.gguf").touch()
    (tmp_path / "again" / "my rows.jsonl").touch()
    again = read_recipe(tmp_path / "again" / "recipe.toml")
    assert (again.name, again.lora.rank) == ("Demo <b>*run*</b>", 16)
    assert Path(again.data.source).name == "my rows.jsonl"


def test_peft_finds_a_pushed_adapter(hub: HubServer, log_in: None, tmp_path: Path) -> None:
    """At the repository's root, on the base as people know it."""
    from peft import PeftConfig

    config = PeftConfig.from_pretrained(push(make_run(tmp_path), "ada/demo", private=True).removeprefix(f"{hub.url}/"))
    assert config.base_model_name_or_path == "maker/Tiny-1B"


def test_a_push_brings_no_token_no_row_and_no_path(
    hub: HubServer, log_in: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The token is in the requests to the hub only, and not in those to the storage behind it."""
    folder = make_run(tmp_path)
    push(folder, "ada/demo", private=False)

    published = hub.repositories["model", "ada/demo"].files
    kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    printed = "".join(capfd.readouterr()).encode()
    assert not [name for name, content in published.items() if TOKEN.encode() in content]
    assert not [content for content in [*kept, printed] if TOKEN.encode() in content]
    assert not [name for name, content in published.items() if ROW.encode() in content]
    assert not [name for name, content in published.items() if str(tmp_path).encode() in content]
    assert ROW.encode() in (folder / "run.json").read_bytes()  # it stays at home
    assert {request.token for request in hub.requests if request.host == "localhost"} == {None}


def test_pushing_again_replaces_what_was_pushed(hub: HubServer, log_in: None, tmp_path: Path) -> None:
    """An adapter.gguf of the push before would be another adapter than the new weights."""
    folder = make_run(tmp_path)
    push(folder, "ada/demo", private=False)
    (folder / "adapter.gguf").unlink()
    (folder / "adapter" / "chat_template.jinja").unlink()
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"better!" * 1000)
    push(folder, "ada/demo", private=False)
    files = hub.repositories["model", "ada/demo"].files
    assert files["adapter_model.safetensors"] == b"better!" * 1000
    assert not {"adapter.gguf", "chat_template.jinja"} & files.keys()


def test_what_should_be_private_is_not_pushed_where_all_can_read(hub: HubServer, log_in: None, tmp_path: Path) -> None:
    public = hub.add("ada/demo", {"README.md": b""})
    with pytest.raises(HubError, match="ada/demo is there already and everyone can read it, so nothing was pushed"):
        push(make_run(tmp_path), "ada/demo", private=True)
    assert len(public.commits) == 1


def test_without_a_token_nothing_is_pushed(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"needs a token that may write: log in with `hf auth login`, or set HF_TOKEN\."):
        push(make_run(tmp_path), "ada/demo", private=True)
    assert not hub.requests


@pytest.mark.parametrize(
    ("repo_id", "sentence"),
    [
        ("bob/demo", "Your token may not write to bob/demo: check the user's or organization's name"),
        ("demo", "demo is not the name of a repository to push to: write USER/NAME."),
        ("ada/de mo", "ada/de mo is not the name of a repository: write USER/NAME."),
    ],
)
def test_a_push_to_the_wrong_place_is_told(
    hub: HubServer, log_in: None, tmp_path: Path, repo_id: str, sentence: str
) -> None:
    with pytest.raises(HubError, match=f"^{sentence}") as caught:
        push(make_run(tmp_path), repo_id, private=False)
    assert TOKEN not in str(caught.value)


def test_a_push_to_a_hub_that_is_down_is_told(hub: HubServer, log_in: None, tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    hub.broken = 502
    with pytest.raises(HubError, match="The hub answers with the error 502, so nothing was pushed to ada/demo"):
        push(folder, "ada/demo", private=False)
    hub.stop()
    with pytest.raises(HubError, match="cannot be reached, so nothing was pushed to ada/demo"):
        push(folder, "ada/demo", private=False)


def test_only_finished_runs_of_this_program_are_pushed(hub: HubServer, log_in: None, tmp_path: Path) -> None:
    imported = make_run(tmp_path, origin="imported")
    with pytest.raises(HubError, match="was imported"):
        push(imported, "ada/demo", private=False)
    stopped = RunWriter.create(tmp_path / "results", Run(id="stopped", name="stopped", status="running"))
    stopped.close("interrupted")
    with pytest.raises(HubError, match=r"The run stopped is interrupted, not finished: .* with --resume stopped"):
        push(stopped.folder, "ada/demo", private=False)
    (broken := make_run(tmp_path) / "adapter" / "adapter_config.json").write_text("{")
    with pytest.raises(HubError, match="cannot be pushed, because a file of it cannot be read"):
        push(broken.parent.parent, "ada/demo", private=False)
    with pytest.raises(HubError, match="not a training run"):
        push(tmp_path, "ada/demo", private=False)
    assert not hub.requests
