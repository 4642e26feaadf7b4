"""What a training run was made of, fact by fact: settings of its recipe, its data, its environment.

What came out of it (trainable parameters, exports, times) and what it was called are no such facts.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

from evaluation.runs.checked import as_number
from training.runlog import DataCard, Run, TrainingHost

Section = Literal["recipe", "data", "environment"]

LABELS = {
    "method": "Method",
    "base.model": "Base model",
    "base.sha256": "Base model file (SHA-256)",
    "base.revision": "Base model commit",
    "base.max_length": "Max length (tokens)",
    "lora.rank": "LoRA rank",
    "lora.alpha": "LoRA alpha",
    "lora.dropout": "LoRA dropout",
    "lora.target_modules": "Target modules",
    "training.steps": "Steps",
    "optimizer.learning_rate": "Learning rate",
    "optimizer.schedule": "Learning rate schedule",
    "optimizer.warmup_steps": "Warm-up steps",
    "training.batch_size": "Batch size",
    "training.gradient_accumulation": "Gradient accumulation",
    "processes": "Processes",
    "training.seed": "Seed",
    "optimizer.name": "Optimizer",
    "optimizer.weight_decay": "Weight decay",
    "optimizer.max_grad_norm": "Gradient clipping (norm)",
    "training.backend": "Backend asked for",
    "training.log_every": "Steps per line of the log",
    "training.save_every": "Steps between checkpoints",
    "evaluation.every": "Steps between evaluations",
    "evaluation.batch_size": "Batch size of evaluations",
    "data.source": "Data source",
    "data.split": "Split",
    "data.revision": "Commit asked for",
    "data.form": "Form of the rows",
    "data.min_score": "Lowest score",
    "data.sources": "Only these sources",
    "data.min_answer_words": "Shortest answer (words)",
    "data.max_answer_words": "Longest answer (words)",
    "data.duplicates": "Duplicates",
    "data.sample": "Sample (rows)",
    "data.held_out": "Held-out source",
    "data.held_out_rows": "Held-out rows split off",
    "card.sha256": "Rows trained on (SHA-256)",
    "card.train_rows": "Rows trained on",
    "card.name": "Data",
    "card.revision": "Data commit",
    "card.rows": "Rows read",
    "card.unusable": "Unusable rows",
    "card.filters": "Rows left by filters",
    "card.truncated": "Conversations cut at max length",
    "card.held_out_rows": "Held-out rows",
    "card.license": "License of the data",
    "backend": "Backend",
    "host.gpu": "GPU",
    "host.cpu": "CPU",
    "host.cores": "Cores",
    "host.memory": "Memory",
    "host.system": "System",
    "commit": "Code commit",
    "dirty": "Uncommitted changes",
}
"""Known facts for people, most telling first; other keys are spelled out by themselves."""
_ORDER = {key: place for place, key in enumerate(LABELS)}
_PACKAGE_PLACE = _ORDER["commit"] - 0.5
_UNKNOWN_PLACE = _ORDER["data.source"] - 0.5
_SECTIONS: dict[str, Section] = {"data": "data", "card": "data"}
_ENVIRONMENT = ("backend", "host", "packages", "commit", "dirty")
_HASH_DIGITS = 12


@dataclass(frozen=True)
class Fact:
    """One of them."""

    section: Section
    label: str
    """For people, in the field's terms."""
    value: str
    """For people; two runs have the same one when their values are the same."""


Facts = Mapping[str, Fact]
"""By key: the setting's full name, such as ``lora.rank``; ``card.``, ``host.`` and ``packages.`` begin the others."""


def facts(run: Run) -> dict[str, Fact]:
    """Everything that the run records; what it does not is not there."""
    values = dict(_flat(run.recipe)) | _base(run)
    if "training.steps" not in values and run.steps is not None:
        values["training.steps"] = str(run.steps)
    if run.origin == "trained":  # of imported ones the number is only assumed
        values["processes"] = str(run.processes)
    if run.dirty is not None:
        values["dirty"] = _text(run.dirty)
    short = {
        "method": run.method and _METHODS.get(run.method, run.method),
        "backend": run.backend and _BACKENDS[run.backend],
        "commit": run.commit and run.commit[:_HASH_DIGITS],
    }
    values |= {key: value for key, value in short.items() if value} | _card(run.data) | _host(run.host)
    values |= {f"packages.{name}": version for name, version in run.packages.items()}
    return {key: Fact(section(key), label(key), values[key]) for key in sorted(values, key=place)}


_METHODS = {"lora": "LoRA"}
_BACKENDS = {"trl": "TRL", "unsloth": "Unsloth"}


def section(key: str) -> Section:
    """Where a fact belongs."""
    first = key.partition(".")[0]
    return "environment" if first in _ENVIRONMENT else _SECTIONS.get(first, "recipe")


def label(key: str) -> str:
    """For people: ``LoRA rank``, ``torch``; of an unknown setting ``Use rslora (lora)``."""
    first, _, rest = key.partition(".")
    if key in LABELS:
        return LABELS[key]
    if first == "packages":
        return rest
    words = (rest or first).replace("_", " ").replace(".", " ").strip()
    return f"{words[:1].upper()}{words[1:]} ({first})" if rest else f"{words[:1].upper()}{words[1:]}"


@lru_cache(maxsize=4096)
def place(key: str) -> tuple[int, float, str]:
    """Sorts facts: recipe, data, environment, and within them as people would ask."""
    unknown = _PACKAGE_PLACE if key.startswith("packages.") else _UNKNOWN_PLACE
    return ("recipe", "data", "environment").index(section(key)), _ORDER.get(key, unknown), key


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        name = f"{above}{key}"
        if name in ("name", "description"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, _text(value)


def _text(value: object) -> str:
    if value is None or value == [] or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, list | tuple):  # of target modules and sources the order says nothing
        return ", ".join(sorted(map(_text, value)))
    return str(value)


def _base(run: Run) -> dict[str, str]:
    """What the run found counts, where the recipe says ``embedded`` or names a branch."""
    if run.base is None:
        return {}
    known = {"base.model": run.base.model, "base.sha256": (run.base.sha256 or "")[:_HASH_DIGITS]}
    known["base.revision"] = (run.base.revision or "")[:_HASH_DIGITS]
    return {key: value for key, value in known.items() if value}


def _card(card: DataCard | None) -> dict[str, str]:
    if card is None:
        return {}
    values = {
        "name": card.name,
        "rows": f"{card.rows:,}",
        "unusable": ", ".join(f"{reason}: {rows:,}" for reason, rows in card.unusable.items()) or "none",
        "filters": ", ".join(f"{step.name}: {step.rows_left:,}" for step in card.filters) or "none",
        "train_rows": f"{card.train_rows:,}",
        "held_out_rows": f"{card.held_out_rows:,}",
        "sha256": card.sha256 and card.sha256[:_HASH_DIGITS],
        "truncated": None if card.truncated is None else f"{card.truncated:,}",
        "license": card.license,
        "revision": card.revision and card.revision[:_HASH_DIGITS],
    }
    return {f"card.{key}": value for key, value in values.items() if value}


def _host(host: TrainingHost | None) -> dict[str, str]:
    if host is None:
        return {}
    memory_bytes = as_number(host.memory_bytes)
    values = asdict(host) | ({} if memory_bytes is None else {"memory": f"{memory_bytes / 2**30:.0f} GB"})
    values["system"] = re.sub(r"(\d+\.\d+)\.\S+", r"\1", host.system)  # a kernel's patch release is of no account
    del values["memory_bytes"]
    return {f"host.{key}": _text(value) for key, value in values.items()}
