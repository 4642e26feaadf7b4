"""Make the GGUF file of a LoRA adapter in PEFT's form that was not trained here.

    python -m training.convert_adapter FOLDER OUT.gguf --name "Concise" --base unsloth/Llama-3.2-1B-Instruct

Of the base model only configuration and tokenizer are needed, which come from the hub. The adapter's own settings say
which base that is; ``--base`` is asked where they name none that can be had.
"""

import argparse
import json
import math
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from training import hub
from training.base import BaseError, FoundBase
from training.conversion import adapter_as_gguf
from training.converter import ConverterError, converter
from training.public import ADAPTER_CONFIG
from training.runlog import ADAPTER_WEIGHTS, Base
from training.settings import cache_dir

SETTING = "base_model_name_or_path"


class AdapterError(Exception):
    """An adapter cannot be converted; the message is a sentence for the user."""


def convert_adapter(folder: Path, made: Path, name: str, base: str | None = None) -> None:
    """Write ``made`` with 16-bit weights. Raises ``AdapterError``, ``BaseError``, ``ConverterError`` and
    ``OSError``."""
    settings = _settings(folder)
    found = _base([str(settings.get(SETTING)), *(base or "").split(", ")])
    converter(cache_dir())
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="export-") as work, ThreadPoolExecutor(1) as pool:
        source = Path(work) / "source"
        source.mkdir()
        (source / ADAPTER_WEIGHTS).symlink_to((folder / ADAPTER_WEIGHTS).resolve())
        (source / ADAPTER_CONFIG).write_text(json.dumps(settings), encoding="utf-8")
        shutil.move(adapter_as_gguf(source, name, found, Path(work), pool).result(), made)


def _settings(folder: Path) -> dict[str, Any]:
    """PEFT's, in terms that the converter knows: it makes a wrong file of what it does not know, without a word."""
    try:
        settings: dict[str, Any] = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        kind, rank, alpha = settings["peft_type"], settings.get("r"), settings.get("lora_alpha")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise AdapterError(f"Its {ADAPTER_CONFIG} holds no settings of PEFT: take another adapter.") from None
    if kind != "LORA":
        raise AdapterError(f"It is an adapter of the kind {str(kind)[:40]}: only LoRA adapters can be used.")
    for setting in ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save"):
        if settings.get(setting):
            raise AdapterError(
                f"It was trained with {setting}, which llama.cpp does not know: take another adapter, or its author's "
                "merged model."
            )
    if settings.get("use_rslora"):  # scales by alpha / sqrt(rank), where LoRA scales by alpha / rank
        if not isinstance(rank, int) or not isinstance(alpha, int | float) or rank < 1:
            raise AdapterError(f"Its {ADAPTER_CONFIG} states no rank: take another adapter.")
        settings |= {"use_rslora": False, "lora_alpha": alpha * math.sqrt(rank)}
    return settings


def _base(candidates: Sequence[str]) -> FoundBase:
    """The first one that can be had."""
    fault = None
    for repo_id in dict.fromkeys(candidates):
        if not re.fullmatch(r"\w[\w.-]*/[\w.-]+", repo_id, re.ASCII):  # such as a folder of who trained it
            continue
        try:
            commit = hub.check_model(repo_id, setting=f"{SETTING} of {ADAPTER_CONFIG}")
            return FoundBase("hub", repo_id, commit, Base(repo_id, "hub", revision=commit))
        except hub.HubError as error:
            fault = fault or str(error)
    raise AdapterError(
        fault
        or f"Its {ADAPTER_CONFIG} names no base model on the hub: take an adapter that does, or one as a GGUF file."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.convert_adapter",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="adapter_config.json and the weights beside it")
    parser.add_argument("made", type=Path, metavar="OUT.gguf", help="the file to write")
    parser.add_argument("--name", required=True, help="what the file calls itself")
    parser.add_argument(
        "--base", metavar="OWNER/NAME", help="repository of the base model on the hub, or several: a/b, c/d"
    )
    options = parser.parse_args(arguments)
    try:
        convert_adapter(options.folder, options.made, options.name, options.base)
    except (AdapterError, BaseError, ConverterError, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
