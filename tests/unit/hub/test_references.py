"""What people paste, and what it must not lead to."""

import pytest
from huggingface_hub import constants

from evaluation.hub import HubError
from evaluation.hub.references import Reference, is_repo_id, parse_reference
from evaluation.hub.starter import starters
from evaluation.models.names import quantization_in


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (" maker/tiny-GGUF ", Reference("maker/tiny-GGUF")),
        ("maker/tiny:Q4_K_M", Reference("maker/tiny", "Q4_K_M")),
        ("maker/tiny@v2:sub/Tiny one.gguf", Reference("maker/tiny", "sub/Tiny one.gguf", "v2")),
        ("hf.co/maker/tiny:q8_0", Reference("maker/tiny", "q8_0")),
        ("https://huggingface.co/maker/tiny", Reference("maker/tiny")),
        ("https://huggingface.co/maker/tiny/tree/main/Q8_0", Reference("maker/tiny", None, "main")),
        ("https://huggingface.co/maker/tiny/blob/v2/a%20b.gguf", Reference("maker/tiny", "a b.gguf", "v2")),
        ("http://hf.co/m/t/resolve/refs%2Fpr%2F1/x/y.gguf?download=true", Reference("m/t", "x/y.gguf", "refs/pr/1")),
        ("https://huggingface.co/maker/tiny/discussions/3#note", Reference("maker/tiny")),
        ("https://mirror.example:8443/hub/maker/tiny/tree/v2", Reference("maker/tiny", None, "v2")),
        ("mirror.example:8443/hub/maker/tiny", Reference("maker/tiny")),
    ],
)
def test_ids_and_addresses_name_a_repository(text: str, meant: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, download links and the names that other programs use all lead to the repository, file and revision."""
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.example:8443/hub")
    assert parse_reference(text) == meant


@pytest.mark.parametrize("text", ["", "llama", "llama 3.2 1b", "qwen 1/2 billion", "q4_k_m gguf ../etc"])
def test_words_are_searched_for(text: str) -> None:
    """What is no name of a repository is no error, either."""
    assert parse_reference(text) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("../etc", "not the name of a repository"),
        ("maker/../tiny", "not the name of a repository"),
        ("maker/ti--ny", "not the name of a repository"),
        ("/home/me/model.gguf", "not the name of a repository"),
        ("maker/tiny:../../x.gguf", "leads out of the repository"),
        ("maker/tiny:C:\\x.gguf", "leads out of the repository"),
        ("maker/tiny@../main", "leads out of the repository"),
        ("https://huggingface.co/maker/tiny/resolve/main/..%2F..%2Fx.gguf", "leads out of the repository"),
        ("https://huggingface.co/maker", "names no model"),
        ("https://huggingface.co/datasets/maker/rows", "address of a data set"),
        ("https://huggingface.co/spaces/maker/app", "address of a Space"),
        ("https://huggingface.co.example/maker/tiny", "does not lead to the hub"),
        ("ftp://huggingface.co/maker/tiny", "does not lead to the hub"),
        ("http://[maker/tiny", "not an address"),
        ("https://me:hunter2@huggingface.co/maker/tiny", "name or a password"),
        ("https://huggingface.co:hunter2@example.com/maker/tiny", "name or a password"),
        ("me:hunter2@huggingface.co/maker/tiny", "not the name of a repository"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(text: str, says: str) -> None:
    """Nothing leads out of a repository or to another site, and no password is repeated."""
    with pytest.raises(HubError, match=says) as error:
        parse_reference(text)
    assert "hunter2" not in str(error.value)


def test_the_starter_catalog_names_what_the_project_is_about() -> None:
    """The study's bases and fine-tunes, then small models; each with a file whose quantization can be told."""
    groups = list(dict.fromkeys(starter.group for starter in starters()))
    assert groups == ["The study's bases", "The study's fine-tunes", "Small models for CPUs"]
    assert {starter.repo_id for starter in starters() if starter.group == groups[1]} == {
        "axelblenna/model", "axelblenna/Llama-1B-LoRA-Rank-r32", "axelblenna/model_llama3B_instruct",
        "axelblenna/Qwen2.5-1.5B-Instruct-GGUF",
    }  # fmt: skip
    for starter in starters():
        assert is_repo_id(starter.repo_id)
        assert starter.file and quantization_in(starter.file.removesuffix(".gguf")) and starter.license and starter.note
        assert starter.size_bytes and 200e6 < starter.size_bytes < 3e9
    assert len({(starter.repo_id, starter.file) for starter in starters()}) == len(starters()) == 14
