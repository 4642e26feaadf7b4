"""A run's models as GGUF files with 16-bit weights: what llama.cpp's converters are given, and what they make of it.

Each function prepares the files and returns the result to come, made by another process meanwhile; ``work`` is a folder
for both.
"""

import json
import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from gguf import LlamaFileType

from training.base import FoundBase, load_config, load_tokenizer
from training.converter import ADAPTER_SCRIPT, MODEL_SCRIPT, convert
from training.llama_process import quantize

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_FILES_OF_A_MODEL = ("*.json", "*.jinja", "*.model", "*.txt", "model*.safetensors", "pytorch_model*.bin")


def adapter_as_gguf(adapter: Path, name: str, base: FoundBase, work: Path, pool: ThreadPoolExecutor) -> "Future[Path]":
    """The PEFT adapter in the folder ``adapter``, called ``name`` in the file."""
    base_folder, adapter_folder, made = work / "base", work / "adapter", work / "adapter.gguf"
    config = load_config(base)
    config.architectures = config.architectures or [_architecture(config)]
    if hasattr(config, "quantization_config"):  # of the base's weights, which are not looked at
        del config.quantization_config
    config.save_pretrained(base_folder)
    load_tokenizer(base).save_pretrained(base_folder)
    adapter_folder.mkdir()
    for path in adapter.glob("adapter_*"):
        (adapter_folder / path.name).symlink_to(path.resolve())
    _write_card(adapter_folder, {"model_name": name, "base_model": _source(base)})
    return _converted(pool, made, ADAPTER_SCRIPT, adapter_folder, "--base", base_folder)


def base_as_gguf(base: FoundBase, work: Path, pool: ThreadPoolExecutor) -> "Future[Path]":
    """The base; one that is a GGUF itself is dequantized by llama.cpp."""
    made = work / "base.gguf"
    if base.gguf is not None:
        quantized = base.gguf

        def dequantize() -> Path:
            quantize(quantized, made, LlamaFileType.MOSTLY_F16)
            return made

        return pool.submit(dequantize)
    location = base.location
    if base.kind == "hub":
        from huggingface_hub import snapshot_download

        location = snapshot_download(base.location, revision=base.revision, allow_patterns=list(_FILES_OF_A_MODEL))
    return _converted(pool, made, MODEL_SCRIPT, location)


def merged_as_gguf(
    model: "PreTrainedModel", name: str, base: FoundBase, work: Path, pool: ThreadPoolExecutor
) -> "Future[Path]":
    """A whole model, made from ``base``, with its tokenizer and chat template."""
    folder, made = work / "merged", work / "merged.gguf"
    model.save_pretrained(folder)
    load_tokenizer(base).save_pretrained(folder)
    stated = {"model_name": f"{title(base)} {name}", "base_model": _source(base), "license": base.record.license}
    _write_card(folder, stated)
    return _converted(pool, made, MODEL_SCRIPT, folder)


def title(base: FoundBase) -> str:
    """``SmolLM2 135M Instruct`` for ``SmolLM2-135M-Instruct.Q4_1.gguf``."""
    name = re.sub(r"\.gguf$", "", base.record.model.rpartition("/")[2], flags=re.IGNORECASE)
    name = re.sub(r"[-._](I?Q\d\w*|BF16|F16|F32)$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[-_\s]+", " ", name).strip()


def _architecture(config: "PretrainedConfig") -> str:
    """The class that the converters know a model by; a GGUF names its own kind of architecture instead."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return str(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type])


def _converted(pool: ThreadPoolExecutor, made: Path, script: str, *arguments: str | Path) -> "Future[Path]":
    def run() -> Path:
        convert(script, *arguments, "--outtype", "f16", "--outfile", made)
        return made

    return pool.submit(run)


def _source(base: FoundBase) -> str:
    return base.location if base.kind == "hub" else title(base)


def _write_card(folder: Path, stated: Mapping[str, str | None]) -> None:
    """A model card, from which the converters take what the file says about itself."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in stated.items() if value]
    (folder / "README.md").write_text("\n".join(["---", *lines, "---", ""]), encoding="utf-8")
