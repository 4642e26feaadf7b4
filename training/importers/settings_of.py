"""A run's settings in the words of this project's recipes, from what a Trainer and PEFT write beside a log."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from training.importers.found import Facts
from training.runlog import Base

_ARGUMENTS = {
    "learning_rate": "optimizer.learning_rate",
    "optim": "optimizer.name",
    "lr_scheduler_type": "optimizer.schedule",
    "warmup_steps": "optimizer.warmup_steps",
    "weight_decay": "optimizer.weight_decay",
    "max_grad_norm": "optimizer.max_grad_norm",
    "max_steps": "training.steps",
    "num_train_epochs": "training.epochs",
    "train_batch_size": "training.batch_size",
    "per_device_train_batch_size": "training.batch_size",
    "gradient_accumulation_steps": "training.gradient_accumulation",
    "seed": "training.seed",
    "logging_steps": "training.log_every",
    "save_steps": "training.save_every",
    "eval_steps": "evaluation.every",
}
_ADAPTER = {
    "r": "lora.rank",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "target_modules": "lora.target_modules",
}
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def trainer_settings(arguments: Mapping[str, Any]) -> Facts:
    """From the arguments of a Trainer, or the state that repeats some of them. Others of them are not looked at:
    they hold paths and names of the machine."""
    known = {name: value for name, value in arguments.items() if isinstance(value, int | float | str)}
    if known.get("max_steps") in (-1, 0):  # as many as the epochs need
        del known["max_steps"]
    return Facts(recipe=_sections(known, _ARGUMENTS))


def adapter_settings(folder: Path) -> Facts:
    """From the ``adapter_config.json`` that PEFT writes beside an adapter; nothing without one."""
    with suppress(OSError, ValueError, RecursionError):
        config = json.loads((folder / "adapter_config.json").read_bytes())
        if isinstance(config, dict):
            modules = config.get("target_modules")
            if isinstance(modules, list):  # PEFT holds a set, in no order
                config["target_modules"] = sorted(map(str, modules))
            kind = config.get("peft_type")
            return Facts(
                base=base_model(config.get("base_model_name_or_path"), config.get("revision")),
                method="dora" if config.get("use_dora") else kind.lower() if isinstance(kind, str) else None,
                recipe=_sections(config, _ADAPTER),
            )
    return Facts()


def base_model(name: object, revision: object = None, architecture: object = None) -> Base | None:
    """The model behind a name or path; of a path only the last part is kept."""
    if not isinstance(name, str) or not name.strip():
        return None
    on_hub = _HUB_ID.fullmatch(name) is not None
    return Base(
        model=name if on_hub else re.split(r"[/\\]", name.rstrip("/\\"))[-1],
        kind="hub" if on_hub else "folder",
        architecture=architecture if isinstance(architecture, str) else None,
        revision=revision if isinstance(revision, str) else None,
    )


def _sections(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for name, place in names.items():
        if values.get(name) is not None:
            section, key = place.split(".")
            sections.setdefault(section, {})[key] = values[name]
    return sections
