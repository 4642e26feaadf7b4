"""The lineage of a run in words: a station for each thing that was made, and the command that makes what is missing."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from evaluation.leaderboard.wording import bold, counted, escaped
from evaluation.runs.checked import as_number
from evaluation.runs.lineage import Lineage
from evaluation.runs.listing import RunSummary
from evaluation.settings import PROJECT_ROOT
from training.runlog import ADAPTER_FILE, Export, Run


@dataclass(frozen=True)
class Station:
    """One thing on the way from the base to the arena."""

    name: str
    lines: tuple[str, ...]
    """Markdown."""
    commands: tuple[str, ...] = ()
    """For a terminal in the project's folder."""
    before_commands: tuple[str, ...] = ()
    """Markdown: what the commands do, where the lines do not tell."""


def stations(summary: RunSummary, lineage: Lineage, results_dir: Path) -> tuple[Station, ...]:
    """In the order in which they were made. Without an adapter nothing can follow, and nothing is said of it."""
    if not (lineage.weights_bytes or lineage.exports or lineage.adapter_file or lineage.models):
        return _base(summary.run, lineage), _adapter(summary, lineage, results_dir)
    return (
        _base(summary.run, lineage),
        _adapter(summary, lineage, results_dir),
        _exports(summary, lineage, results_dir),
        _arena(summary, lineage),
    )


def _base(run: Run, lineage: Lineage) -> Station:
    if run.base is None:
        return Station("Base", ("Which model was trained is not recorded.",))
    facts = [
        f"**{escaped(run.base.model)}**",
        f"{count} parameters" if (count := _count(run.base.parameters)) else None,
        f"license {escaped(run.base.license)}" if run.base.license else "license not recorded",
        f"revision {escaped(run.base.revision[:12])}" if run.base.revision else None,
    ]
    lines = [" · ".join(filter(None, facts))]
    if lineage.base:
        lines.append(f"In the arena as {bold(lineage.base.name)}, {escaped(lineage.base.base.quantization)}.")
    elif run.base.sha256:
        lines.append("This file is not here: the arena can load the adapter once it is in the models' folder.")
    return Station("Base", tuple(lines))


def _adapter(summary: RunSummary, lineage: Lineage, results_dir: Path) -> Station:
    run, lines = summary.run, []
    if facts := " · ".join(filter(None, (_rank(summary), _trained(run)))):
        lines.append(facts)
    if lineage.weights_bytes is not None:
        lines.append(f"`adapter/`, for PEFT: {_megabytes(lineage.weights_bytes)}.")
        return Station("Adapter", tuple(lines))
    if run.origin == "trained" and run.status in ("interrupted", "failed"):
        known = summary.steps_done is not None and run.steps
        far = f" after {summary.steps_done:,} of {run.steps:,} steps" if known else ""
        if summary.read_only:
            return Station("Adapter", (*lines, f"None: the run stopped{far}."))
        resume = f"python -m training.finetune --resume {_argument(summary, results_dir)}"
        return Station("Adapter", (*lines, f"None yet: the run stopped{far}."), (resume,), ("This goes on with it:",))
    return Station("Adapter", (*lines, _why_no_weights(run, lineage)))


def _why_no_weights(run: Run, lineage: Lineage) -> str:
    if run.origin != "trained":
        source = f" from {escaped(run.imported_from)}" if run.imported_from else ""
        return f"There is none here: the run was imported{source}, and only what is in that file is known."
    if run.status == "running":
        return "It is written when the training has ended."
    if lineage.adapter_folder:
        return "`adapter/` holds its settings only, the weights in PEFT's form are not here."
    return "The folder `adapter/` is gone: restore it from a copy, or train again."


def _exports(summary: RunSummary, lineage: Lineage, results_dir: Path) -> Station:
    make = f"python -m training.export {_argument(summary, results_dir)}"
    lines, commands = [], []
    before: tuple[str, ...] = ()
    for export, is_there in lineage.exports:
        lines.append(_export(export, is_there))
        if not is_there and lineage.weights_bytes:
            commands.append(make if export.kind == "adapter" else f"{make} --merge {shlex.quote(export.quantization)}")
    if not lineage.exports and lineage.adapter_file:
        lines.append(f"`{ADAPTER_FILE}` is there, but how it was made and whether it was checked is not recorded.")
    elif not lineage.exports and lineage.weights_bytes:
        lines.append("None yet.")
        commands.append(make)
        before = ("This makes and checks the file that the arena needs:",)
    elif not lineage.exports:
        lines.append("None.")
    return Station("Exports", tuple(lines), tuple(commands), before)


def _export(export: Export, is_there: bool) -> str:
    merged = ", merged into its base" if export.kind == "merged" else ""
    size = _megabytes(export.size_bytes)
    facts = " · ".join(filter(None, (f"**{escaped(export.file)}**{merged}", escaped(export.quantization), size)))
    if not is_there:
        return f"{facts} · the file is not there any more"
    if not export.checked_prompts:
        return f"{facts} · not checked against PEFT"
    return (
        f"{facts} · checked on {counted(export.checked_prompts, 'prompt')}: no token's probability differs from PEFT's "
        f"by more than {export.largest_difference:.2g}"
    )


def _arena(summary: RunSummary, lineage: Lineage) -> Station:
    lines = [", ".join(bold(model.name) for model in lineage.models)] if lineage.models else []
    merged = [export.file for export, is_there in lineage.exports if is_there and export.kind == "merged"]
    if merged and all(model.adapter for model in lineage.models):
        lines.append(f"To ask the merged model, copy **{escaped(merged[-1])}** into the models' folder.")
    return Station("Arena", tuple(lines or [_why_not_in_the_arena(summary.run, lineage)]))


def _why_not_in_the_arena(run: Run, lineage: Lineage) -> str:
    if lineage.adapter_file is None:
        return f"Not offered: it needs the file `{ADAPTER_FILE}`."
    if run.archived:
        return "Not offered, because the run is archived."
    if lineage.why_unusable:
        return f"Not offered. {escaped(lineage.why_unusable)}"
    return "Not offered: the arena looks for adapters in its own results folder only, and this run lies elsewhere."


def _rank(summary: RunSummary) -> str | None:
    rank, alpha = (as_number(summary.setting("lora", name)) for name in ("rank", "alpha"))
    if rank is None:
        return None
    return f"Rank {rank:g}" + ("" if alpha is None or not rank else f", alpha {alpha:g} (scale {alpha / rank:.3g})")


def _trained(run: Run) -> str | None:
    trained, of = as_number(run.trainable_parameters), as_number(run.base.parameters if run.base else None)
    if not trained:
        return None
    return f"{_count(run.trainable_parameters)} trained parameters{f', {trained / of:.1%} of the base' if of else ''}"


def _argument(summary: RunSummary, results_dir: Path) -> str:
    """How the commands find the run: by its id, or its folder where they would not look for it."""
    folder = summary.folder.resolve()
    known = [(results_dir / part).resolve() for part in ("runs", "published/runs")]
    if folder.parent in known:
        return shlex.quote(summary.run.id)
    return shlex.quote(str(folder.relative_to(PROJECT_ROOT) if folder.is_relative_to(PROJECT_ROOT) else folder))


def _count(parameters: int | None) -> str | None:
    found = as_number(parameters)
    if not found:
        return None
    if found < 1e5:
        return f"{found:,.0f}"
    return f"{found / 1e9:.2f} billion" if found >= 1e9 else f"{found / 1e6:,.1f} million"


def _megabytes(size_bytes: int) -> str | None:
    found = as_number(size_bytes)
    if found is None:
        return None
    return f"{found / 1e9:.1f} GB" if found >= 1e9 else f"{found / 1e6:.1f} MB"
