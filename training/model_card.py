"""A model card from what a run recorded: what it is, how to use it, what it was made of, and how it went.

    (folder / "README.md").write_text(model_card(run, log))
    (folder / CHART_FILE).write_text(loss_chart(log) or "")

What was not recorded is left out, or said to be unknown. Texts of users are escaped, paths of the machine cut.
"""

import json
import math
import re
import shlex
import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from training.public import RECIPE_FILE, without_paths
from training.runlog import ADAPTER_FILE, LOG_FILE, RUN_FILE, Log, LogEntry, Run, with_each_step_once

CHART_FILE = "loss.svg"


def model_card(run: Run, log: Log, repo_id: str = ".") -> str:
    """The card as Markdown with front matter; ``repo_id`` is what its examples load, by default the card's folder."""
    sections = [_front_matter(run), _introduction(run), _with_peft(run, repo_id), _with_llama_cpp(run, repo_id)]
    sections += [_recipe(run), _data(run), _licenses(run), _results(run, log), _origin(run, log)]
    return "\n\n".join(section for section in sections if section) + "\n"


def loss_chart(log: Log) -> str | None:
    """Training and held-out loss by step as an SVG; ``None`` when no loss was logged."""
    import vl_convert

    names = {"train": "training", "eval": "held-out rows"}
    rows = [
        {"step": entry.step, "loss": entry.loss, "of": names[kind]}
        for kind in ("train", "eval")
        for entry in _losses(log, kind)
    ]
    if not rows:
        return None
    order = [name for name in names.values() if any(row["of"] == name for row in rows)]
    hues = ["#9ecae9", "#d62728"]
    return vl_convert.vegalite_to_svg(
        {
            "data": {"values": rows},
            "width": 640,
            "height": 280,
            "background": "white",
            "mark": {"type": "line", "point": {"size": 18}, "strokeWidth": 1.5},
            "encoding": {
                "x": {"field": "step", "type": "quantitative", "title": "Step", "axis": {"tickMinStep": 1}},
                "y": {
                    "field": "loss",
                    "type": "quantitative",
                    "title": "Loss, nats per token",
                    "scale": {"zero": False},
                },
                "color": {
                    "field": "of",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": order, "range": [hues[list(names.values()).index(name)] for name in order]},
                },
            },
        },
        vl_version="6.4",
    )


def _front_matter(run: Run) -> str:
    from huggingface_hub import ModelCardData

    stated = run.base.license if run.base is not None else None
    known = stated is not None and re.fullmatch(r"[a-z0-9.-]+", stated)  # such as apache-2.0 and llama3.2
    data = ModelCardData(
        base_model=run.base.model if run.base is not None and run.base.kind == "hub" else None,
        datasets=[run.data.name] if run.data is not None and "/" in run.data.name else None,
        library_name="peft",
        license=stated if known or not stated else "other",
        license_name=None if known else stated,
        pipeline_tag="text-generation",
        tags=["lora", *(["gguf"] if _adapter_gguf(run) else [])],
    )
    return f"---\n{data.to_yaml()}\n---"


def _introduction(run: Run) -> str:
    base = f"for {_text(run.base.model)}" if run.base is not None else "for a base model that was not recorded"
    lines = [f"# {_text(run.name)}", f"A LoRA adapter {base}, trained with Finetune Arena."]
    if description := run.recipe.get("description"):
        lines.append(_text(description))
    if run.notes:
        lines.append(_text(run.notes))
    return "\n\n".join(lines)


def _with_peft(run: Run, repo_id: str) -> str:
    if run.base is None:
        return ""
    where, repository = json.dumps(run.base.model, ensure_ascii=False), json.dumps(repo_id)
    before = ""
    if run.base.kind == "gguf":
        before = "The adapter was trained on the dequantized weights of this GGUF file; put it into the working folder."
        where = f'".", gguf_file={where}'
    elif run.base.kind == "hub" and run.base.revision:
        where += f", revision={json.dumps(run.base.revision)}"
    code = f"""```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({repository})
base = AutoModelForCausalLM.from_pretrained({where})
model = PeftModel.from_pretrained(base, {repository})
```"""
    return "\n\n".join(part for part in ("## Use with PEFT", before, code) if part)


def _with_llama_cpp(run: Run, repo_id: str) -> str:
    if not _adapter_gguf(run):
        return ""
    is_gguf = run.base is not None and run.base.kind == "gguf"
    base = shlex.quote(_one_line(run.base.model)) if run.base is not None and is_gguf else "base.gguf"
    download = "" if repo_id == "." else f"hf download {shlex.quote(repo_id)} {ADAPTER_FILE} --local-dir .\n"
    which = "" if is_gguf else "\n\n`base.gguf` is the base model as a GGUF file, in the quantization of your choice."
    return f"## Use with llama.cpp\n\n```sh\n{download}llama-cli -m {base} --lora {ADAPTER_FILE}\n```{which}"


def _recipe(run: Run) -> str:
    rows: list[tuple[str, Any]] = []
    for section, value in run.recipe.items():
        settings = value.items() if isinstance(value, Mapping) else [(None, value)]
        for key, setting in settings:
            if setting not in (None, "", [], ()) and section not in ("name", "description"):
                rows.append(
                    (f"{section}.{key}" if key else section, setting if isinstance(setting, list) else str(setting))
                )
    if not rows:
        return "## Recipe\n\nThe settings were not recorded."
    return f"## Recipe\n\nAs a file: `{RECIPE_FILE}`.\n\n{_table(('setting', 'value'), rows)}"


def _data(run: Run) -> str:
    if run.data is None:
        return "## Data\n\nWhat it was trained on was not recorded."
    data = run.data
    rows: list[tuple[str, Any]] = [("read", data.rows)]
    rows += [(f"left out: {reason}", f"−{count:,}") for reason, count in data.unusable.items()]
    rows += [(f"left after: {step.name}", step.rows_left) for step in data.filters]
    rows += [("trained on", data.train_rows), ("held out", data.held_out_rows)]
    lines = [f"## Data\n\n{_text(data.name)}", _table(("conversations", "count"), rows)]
    if data.truncated:
        lines.append(f"{data.truncated:,} of them were cut at the longest length.")
    if data.sources:
        lines.append(_table(("source", "trained on"), data.sources.items()))
    if data.sha256:
        lines.append(f"SHA-256 of the conversations trained on: `{data.sha256}`")
    return "\n\n".join(lines)


def _licenses(run: Run) -> str:
    base = run.base.license if run.base is not None else None
    lines = [f"- Base model: {_text(base)}" if base else "- Base model: **its license was not recorded**"]
    if run.data is None:
        lines.append("- Data: not recorded")
    elif run.data.license:
        lines.append(f"- Data: {_text(run.data.license)}")
    else:
        lines.append("- Data: **no license is stated for it**; no row of it is part of this repository")
    return "## Licenses\n\n" + "\n".join(lines)


def _results(run: Run, log: Log) -> str:
    train, held_out, lines = _losses(log, "train"), _losses(log, "eval"), []
    if train:
        tokens = f", {train[-1].tokens:,} tokens" if train[-1].tokens is not None else ""
        lines.append(f"- {train[-1].step:,} steps{tokens}")
        lines.append(f"- Training loss: {_loss(train[0])} to {_loss(train[-1])}")
    if held_out:
        start = f"{_loss(held_out[0])} to " if len(held_out) > 1 else ""
        rows = f" on {run.data.held_out_rows:,} conversations" if run.data and run.data.held_out_rows else ""
        lines.append(f"- Held-out loss{rows}: {start}{_loss(held_out[-1])}")
    if not lines:
        return "## Results\n\nNo loss was logged."
    note = "Mean cross-entropy of the answers' tokens, in nats. A single step's training loss is noisy."
    chart = f"![Training and held-out loss by step]({CHART_FILE})"
    return "\n\n".join(["## Results", "\n".join(lines), note, chart])


def _origin(run: Run, log: Log) -> str:
    host, rows = run.host, list[tuple[str, Any]]()
    if run.started_at is not None:
        rows.append(("started", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.started_at))))
    if log.entries and log.entries[-1].elapsed_s is not None:
        rows.append(("training took", f"{log.entries[-1].elapsed_s / 60:.1f} minutes"))
    if host is not None:
        machine = f"{host.cpu}, {host.cores:g} cores, {host.memory_bytes / 2**30:.1f} GiB, {host.system}"
        rows.append(("machine", machine + (f", {host.gpu}" if host.gpu else "")))
    if run.backend:
        rows.append(("backend", run.backend + (f", {run.processes} processes" if run.processes > 1 else "")))
    if run.trainable_parameters is not None:
        rows.append(("trained parameters", run.trainable_parameters))
    if run.base is not None and run.base.sha256:
        rows.append(("base file, SHA-256", run.base.sha256))
    if run.commit:
        rows.append(("commit of Finetune Arena", run.commit + (", with local changes" if run.dirty else "")))
    if run.packages:
        rows.append(("packages", [f"{name} {version}" for name, version in run.packages.items()]))
    for export in (export for export in run.exports if export.kind == "adapter"):
        checked = f"{export.quantization}, {export.size_bytes / 1e6:.1f} MB; compared with PEFT on "
        checked += f"{export.checked_prompts} prompts, the probability of a next token differed by at most "
        rows.append((export.file, f"{checked}{export.largest_difference:.2g}"))
    table = _table(("", ""), [("run", run.id), *rows])
    return f"## Where it comes from\n\n{table}\n\nThe whole record: `{RUN_FILE}` and `{LOG_FILE}`."


def _adapter_gguf(run: Run) -> bool:
    return any(export.file == ADAPTER_FILE for export in run.exports)


def _losses(log: Log, kind: Literal["train", "eval"]) -> list[LogEntry]:
    """Steps with a finite loss, in order, each once."""
    entries = (entry for entry in with_each_step_once(log.entries) if entry.kind == kind)
    return [entry for entry in entries if entry.loss is not None and math.isfinite(entry.loss)]


def _loss(entry: LogEntry) -> str:
    return f"{entry.loss:.4f} (step {entry.step})"


def _table(head: tuple[str, str], rows: Iterable[tuple[str, Any]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {_text(name)} | {_text(value)} |" for name, value in rows)])


def _text(value: Any) -> str:
    """A value for people, safe between other Markdown: one line, without paths, its punctuation not markup."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    plain = f"{value:,}" if isinstance(value, int) else _one_line(str(value))
    return re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", plain)


def _one_line(text: str) -> str:
    return " ".join(str(without_paths(text)).split())
