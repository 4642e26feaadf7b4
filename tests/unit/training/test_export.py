"""Exports against PEFT: on a tiny model with random weights, by llama.cpp's own converters and runtime.

The converters come from this installation's cache, where the first run of these tests puts them.
"""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.hub.downloads import Downloads
from evaluation.hub.origins import read_origin
from evaluation.hub.references import Reference
from evaluation.hub.repositories import look_up
from tests import by_llama_cpp
from tests.finished_run import make_run
from tests.hub_server import HubServer
from training import conversion, convert_adapter, export, llama_process
from training.base import FoundBase, find_base, load_model, load_tokenizer
from training.converter import ConverterError, converter
from training.gguf_header import read_header
from training.next_tokens import of_peft
from training.recipe import BaseSection, DataSection, Recipe, as_settings
from training.runlog import Base, Run, RunWriter, read_run
from training.settings import PROJECT_ROOT

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
RECIPE = {"name": "brief", "base": {"model": "embedded"}, "data": {"source": "maker/rows"}}
TEXT = "<|im_start|>user\nIs 7 a prime number?<|im_end|>\n<|im_start|>assistant\nYes, as only 1 and 7 divide it"


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model in Hugging Face's form: two layers, a token for each byte and letter."""
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokens = ["<unk>", "<|im_start|>", "<|im_end|>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    tokens += [chr(code) for code in range(ord("!"), ord("~") + 1)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    fast: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        add_prefix_space=False,
        chat_template=TEMPLATE,
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.05,
    )
    folder = tmp_path_factory.mktemp("base") / "Tiny-1M-Chat"
    model: Any = LlamaForCausalLM(config)
    model.lm_head.weight.data *= 6  # sure of its predictions, so that a wrong one shows
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny_adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As PEFT saves one, with random weights that change every prediction."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    settings = LoraConfig(r=4, lora_alpha=2, target_modules=projections, init_lora_weights=False, task_type="CAUSAL_LM")
    folder = tmp_path_factory.mktemp("adapter")
    get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base), settings).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def converters() -> Path:
    return converter(PROJECT_ROOT / ".cache")


@pytest.fixture(autouse=True)
def cached_converters(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, with the converters in it for those tests that use them."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("CACHE_DIR", str(cache))
    if "tiny_adapter" in request.fixturenames:
        folder = request.getfixturevalue("converters")
        cache.mkdir()
        (cache / folder.name).symlink_to(folder)


def finished_run(base: Path | str, adapter: Path, tmp_path: Path) -> Path:
    section = BaseSection(model=str(base))
    recipe = Recipe(name="brief", base=section, data=DataSection(source="maker/rows"))
    run = Run("brief-1", "brief", "running", base=find_base(section).record, recipe=as_settings(recipe))
    writer = RunWriter.create(tmp_path / "results", run)
    shutil.copytree(adapter, writer.folder / "adapter")
    writer.close("finished")
    return writer.folder


def by_peft(base: Path, adapter: Path | None = None) -> np.ndarray:
    """Next-token probabilities after each token of ``TEXT``."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(base)(TEXT, return_tensors="pt").input_ids
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    with torch.inference_mode():
        probabilities: np.ndarray = torch.softmax(model(tokens).logits[0], dim=-1).numpy()
    return probabilities


def with_llama_cpp(model: Path) -> np.ndarray:
    """The same, with the library's high-level API."""
    logits = np.array(by_llama_cpp.logits(model, TEXT))
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def predictions(base: FoundBase, adapter: Path) -> np.ndarray:
    """PEFT's on the prompts of the export's own comparison."""
    import torch
    from peft import PeftModel

    model = PeftModel.from_pretrained(load_model(base, torch.float32), str(adapter))
    return of_peft(model, load_tokenizer(base)).probabilities


@pytest.fixture(scope="module")
def merged(
    tiny_base: Path, tiny_adapter: Path, converters: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder of a run after ``--merge q8_0`` on the command line."""
    folder = tmp_path_factory.mktemp("merged")
    (folder / "cache").mkdir()
    (folder / "cache" / converters.name).symlink_to(converters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_DIR", str(folder / "results"))
        patch.setenv("CACHE_DIR", str(folder / "cache"))
        run = finished_run(tiny_base, tiny_adapter, folder)
        assert export.main([run.name, "--merge", "q8_0"]) == 0
    yield run


def test_a_merged_model_predicts_what_peft_predicts(merged: Path, tiny_base: Path, tiny_adapter: Path) -> None:
    """Without the adapter beside it; and the arena can chat with it: name and chat template are inside."""
    made = merged / "model-Q8_0.gguf"
    expected = by_peft(tiny_base, tiny_adapter)
    assert np.abs(with_llama_cpp(made) - expected).max() < 0.06
    assert np.abs(by_peft(tiny_base) - expected).max() > 0.3
    header = read_header(made)
    assert (header["general.name"], header["tokenizer.chat_template"]) == ("Tiny 1M Chat brief", TEMPLATE)
    (noted,) = read_run(merged).exports
    assert (noted.file, noted.kind, noted.quantization) == (made.name, "merged", "Q8_0")
    assert (noted.size_bytes, noted.sha256) == (made.stat().st_size, sha256(made.read_bytes()).hexdigest())
    assert noted.checked_prompts == 5 and 0 < noted.largest_difference < 0.06


@pytest.fixture(scope="module")
def exported(
    tiny_base: Path, tiny_adapter: Path, converters: Path, merged: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The folder of a run with a base on the hub after its adapter was exported, and what was printed."""
    folder = tmp_path_factory.mktemp("exported")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, HubServer() as hub, contextlib.redirect_stdout(printed):
        (folder / "cache").mkdir()
        (folder / "cache" / converters.name).symlink_to(converters)
        patch.setenv("CACHE_DIR", str(folder / "cache"))
        hub.use(patch, folder)
        hub.add("maker/Tiny-1M-Chat", {path.name: path.read_bytes() for path in tiny_base.iterdir()})
        run = finished_run("maker/Tiny-1M-Chat", tiny_adapter, folder)
        earlier = replace(read_run(merged).exports[0], file="adapter.gguf", sha256="0" * 64)
        export.record_export(run, earlier)
        export.record_export(run, read_run(merged).exports[0])
        assert export.main([str(run)]) == 0
    return run, printed.getvalue()


def test_an_adapter_predicts_what_peft_predicts(exported: tuple[Path, str]) -> None:
    """Here with a base on the hub; and the run notes the file once, however often it is exported."""
    folder, printed = exported
    made = folder / "adapter.gguf"
    assert f"{made} is ready: F16" in printed
    of_merged, noted = read_run(folder).exports
    assert of_merged.kind == "merged"
    assert (noted.kind, noted.quantization, noted.checked_prompts) == ("adapter", "F16", 5)
    assert (noted.size_bytes, noted.sha256) == (made.stat().st_size, sha256(made.read_bytes()).hexdigest())
    assert 0 < noted.largest_difference < 0.01
    header = read_header(made)
    assert (header["general.name"], header["general.base_model.0.name"]) == ("brief", "Tiny 1M Chat")


def test_a_wrong_export_is_not_kept(
    merged: Path, exported: tuple[Path, str], tiny_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp knows nothing of rank-stabilized LoRA: its converter, whose part a copy plays here, makes the same file
    of such an adapter, which is then applied at half its strength.

    That, and nothing else about a base with quantized weights, is the difference that is reported.
    """
    as_converted = exported[0] / "adapter.gguf"
    monkeypatch.setattr(conversion, "convert", lambda script, *arguments: shutil.copy(as_converted, arguments[-1]))
    found = find_base(BaseSection(str(merged / "model-Q8_0.gguf")))
    folder = finished_run(found.location, tiny_adapter, tmp_path)
    plain = predictions(found, folder / "adapter")
    settings = folder / "adapter" / "adapter_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"use_rslora": True}))
    by_strength = np.abs(predictions(found, folder / "adapter") - plain).max()
    (folder / "adapter.gguf").write_text("an earlier one")
    with pytest.raises(export.ExportError, match=r"export of brief-1 is wrong, so it was not kept") as refused:
        export.export_adapter(folder, found)
    reported = re.search(r"by up to (\d\.\d+)", str(refused.value))
    assert reported and float(reported[1]) == pytest.approx(by_strength, abs=0.01)
    assert (folder / "adapter.gguf").read_text() == "an earlier one"
    assert [path.name for path in folder.iterdir() if "gguf" in path.name] == ["adapter.gguf"]
    assert not list((tmp_path / "cache").glob("export-*"))


def test_an_adapter_of_others_is_downloaded_and_converted(
    tiny_base: Path, tiny_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From PEFT's form on the hub to a GGUF file among the models, with its origin. Where its settings name a folder of
    who trained it, the card's base is taken, quantized weights or not; and rank-stabilized scaling is kept."""
    settings = json.loads((tiny_adapter / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (4, 2)
    settings |= {"use_rslora": True, "base_model_name_or_path": "/content/base"}
    weights = (tiny_adapter / "adapter_model.safetensors").read_bytes()
    config = json.loads((tiny_base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    with HubServer() as hub:
        hub.use(monkeypatch, tmp_path / "hf")
        for name, value in (("HF_ENDPOINT", hub.url), ("HF_HOME", str(tmp_path / "hf"))):  # for another process
            monkeypatch.setenv(name, value)
        files = {path.name: path.read_bytes() for path in tiny_base.iterdir()}
        hub.add("maker/Tiny-1M-Chat", files | {"config.json": json.dumps(config).encode()})
        files = {
            "README.md": b"---\nlicense: mit\nbase_model: maker/Tiny-1M-Chat\nlibrary_name: peft\n---\n",
            "adapter_config.json": json.dumps(settings).encode(),
            "adapter_model.safetensors": weights,
        }
        hub.add("other/brief-lora", files)
        repository = look_up(Reference("other/brief-lora"))
        downloads = Downloads(tmp_path / "models", tmp_path / "cache")
        done = downloads.wait(downloads.start(repository, repository.files[0]).id, 240)
    assert (done.state, done.error) == ("done", None)
    assert done.target == tmp_path / "models" / "other" / "brief-lora" / "brief-lora.gguf"
    header = read_header(done.target)
    assert (header["general.name"], header["general.type"]) == ("brief-lora", "adapter")
    assert header["adapter.lora.alpha"] == 2 * 4**0.5
    origin = read_origin(done.target)
    assert origin is not None and (origin.license, origin.base_model) == ("mit", "maker/Tiny-1M-Chat")
    assert origin.sha256 == sha256(weights).hexdigest()


def test_an_adapter_that_llama_cpp_would_misread_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its converter would make a wrong file of these without a word."""
    lora: dict[str, Any] = {"peft_type": "LORA", "r": 4, "lora_alpha": 2}
    for settings, word in (
        (lora | {"use_dora": True}, "use_dora"),
        (lora | {"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
        (lora | {"modules_to_save": ["lm_head"]}, "modules_to_save"),
        (lora | {"peft_type": "IA3"}, "kind IA3"),
        (lora | {"base_model_name_or_path": "../base"}, "names no base model"),
        ([], "no settings of PEFT"),
    ):
        (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
        assert convert_adapter.main([str(tmp_path), str(tmp_path / "made.gguf"), "--name", "x"]) == 1
        assert word in capsys.readouterr().out
    assert not (tmp_path / "made.gguf").exists()


def test_weights_in_pytorchs_own_form_are_downloaded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base that holds no others is accepted, so the converter must be given them."""
    given: list[Path] = []
    monkeypatch.setattr(conversion, "convert", lambda script, folder, *arguments: given.append(Path(folder)))
    weights = {"pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"}
    with HubServer() as hub, ThreadPoolExecutor() as pool:
        hub.use(monkeypatch, tmp_path)
        hub.add("maker/old", dict.fromkeys((*weights, "config.json", "training_args.bin"), b"{}"))
        base = find_base(BaseSection("maker/old"))
        conversion.base_as_gguf(base, tmp_path, pool).result()
    assert {path.name for path in given[0].iterdir()} == {*weights, "config.json"}


@pytest.mark.parametrize(("cores", "threads"), [(0.5, 1), (2.5, 2)])
def test_llama_cpp_takes_no_more_threads_than_the_container_may_run(
    cores: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads beyond its quota would only wait for each other."""
    taken = []

    def quantize(source: bytes, result: bytes, parameters: Any) -> int:
        taken.append(parameters._obj.nthread)
        return 0

    monkeypatch.setattr("llama_cpp.llama_model_quantize", quantize)
    monkeypatch.setattr(llama_process, "usable_cores", lambda: cores)
    llama_process._quantize("from.gguf", "to.gguf", 1, [])
    assert taken == [threads]


def test_without_a_connection_a_sentence_says_how_to_export_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run itself is finished by then."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(ConverterError, match=r"pip could not fetch llama-cpp-python .*`python -m training.export RUN`"):
        converter(tmp_path / "cache")
    assert "once" in capsys.readouterr().err
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(("name", "nearest"), [("Q4KM", "Q4_K_M"), ("q8", "Q8_0"), ("Q4_K", "Q4_K_M"), ("f32", "F16")])
def test_an_unknown_quantization_is_refused_with_the_nearest(
    name: str, nearest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is loaded."""
    folder = make_run(tmp_path)
    assert export.main([str(folder), "--merge", name]) == 1
    assert f"no quantization {name}: the nearest is {nearest}." in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_a_run_that_is_not_there_is_refused_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path)
    for name in ("demo", "demo-20260101-12000"):
        assert export.main([name]) == 1
        assert "The nearest is demo-20260101-120000." in capsys.readouterr().err
    (tmp_path / "elsewhere").mkdir()
    assert export.main([str(tmp_path / "elsewhere")]) == 1
    assert "elsewhere has no run.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"origin": "imported"}, "was imported, its adapter is not here"),
        ({"recipe": {}}, "The recipe kept with the run"),
        ({"recipe": RECIPE | {"base": {"model": "/gone.gguf"}}}, "/gone.gguf is neither a file nor a folder here"),
        ({"recipe": RECIPE, "base": Base("embedded", sha256="ab" * 32)}, "is not the file any more that"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_sentence(
    changes: dict[str, Any], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path, **changes)
    assert export.main([folder.name]) == 1
    assert sentence in capsys.readouterr().err


def test_an_unfinished_run_has_nothing_to_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path)
    shutil.rmtree(folder / "adapter")
    assert export.main([folder.name]) == 1
    assert "finish it with `python -m training.finetune --resume demo-20260101-120000`" in capsys.readouterr().err


def test_push_takes_the_adapter_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is exported first only where it was not before."""
    folder = make_run(tmp_path)
    with HubServer() as hub:
        hub.use(monkeypatch, tmp_path)
        hub.tokens["hf_secret"] = "user"
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        assert export.main([folder.name, "--push", "user/demo", "--private"]) == 0
        pushed = hub.repositories["model", "user/demo"]
    assert pushed.private and pushed.files["adapter.gguf"] == (folder / "adapter.gguf").read_bytes()
    assert re.search(r"http\S+/user/demo", capsys.readouterr().out)
