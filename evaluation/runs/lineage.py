"""From a run to what became of it: adapter, exports, the model in the arena, its answers and benchmarks."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evaluation.leaderboard.answers import Answers, Measured
from evaluation.models import Catalog, ChatModel, key_part
from evaluation.runs.listing import RunSummary
from training.runlog import ADAPTER_FILE, ADAPTER_FOLDER, ADAPTER_WEIGHTS, Export, Run

__all__ = ["Lineage", "Measured", "in_arena", "lineage"]


@dataclass(frozen=True)
class Lineage:
    """What became of a run. Everything that is not there is empty or ``None``."""

    base: ChatModel | None
    """The very file that it was trained on, if that is here."""
    adapter_folder: Path | None
    weights_bytes: int | None
    """Of the adapter in PEFT's form; of a published run only the settings come along."""
    adapter_file: Path | None
    """The adapter as llama.cpp reads it, whether it is recorded among the exports or not."""
    exports: tuple[tuple[Export, bool], ...]
    """With whether its file is there."""
    models: tuple[ChatModel, ...]
    """In the arena: the adapter, one per base that it fits, and what was merged and put into the models' folder."""
    bases: tuple[ChatModel | None, ...]
    """Those models without what was trained, in the same order; ``None`` where that is not here."""
    why_unusable: str | None
    """Why the arena cannot use the adapter's file, as a sentence, if it found it."""
    measured: tuple[Measured, ...]
    """Most answers first."""


def lineage(summary: RunSummary, catalog: Catalog, answers: Answers) -> Lineage:
    """``answers`` must have been refreshed. Answers are found by the run's id, and by the content of its exports: then
    also those of a copy of the run, or of a merged model; it matters not whether the files are still there."""
    run, folder = summary.run, summary.folder
    models = in_arena(run, catalog)
    weights, adapter_file = folder / ADAPTER_FOLDER / ADAPTER_WEIGHTS, folder / ADAPTER_FILE
    return Lineage(
        base=_base(catalog, run.base.sha256) if run.base else None,
        adapter_folder=folder / ADAPTER_FOLDER if (folder / ADAPTER_FOLDER).is_dir() else None,
        weights_bytes=_size_bytes(weights),
        adapter_file=adapter_file if adapter_file.is_file() else None,
        exports=tuple((export, (folder / export.file).is_file()) for export in run.exports),
        models=tuple(model for model, _ in models),
        bases=tuple(base for _, base in models),
        why_unusable=next((each.reason for each in catalog.unusable if each.path == adapter_file.absolute()), None),
        measured=answers.measured(run.id, _parts(run.exports, "adapter"), _parts(run.exports, "merged")),
    )


def in_arena(run: Run, catalog: Catalog) -> tuple[tuple[ChatModel, ChatModel | None], ...]:
    """The models that were made of a run, each with the one without what was trained; ``None`` where that is not
    here."""
    of_run = run.base.sha256 if run.base else None
    return tuple(
        (model, _base(catalog, model.base.sha256 if model.adapter else of_run))
        for model in catalog.models
        if _is_of(model, run)
    )


def _is_of(model: ChatModel, run: Run) -> bool:
    if model.adapter is None:
        return any(export.kind == "merged" and export.sha256 == model.base.sha256 for export in run.exports)
    same_content = any(export.kind == "adapter" and export.sha256 == model.adapter.sha256 for export in run.exports)
    return model.adapter.run == run.id or same_content


def _base(catalog: Catalog, sha256: str | None) -> ChatModel | None:
    plain = (model for model in catalog.models if model.adapter is None)
    return next((model for model in plain if model.base.sha256 == sha256), None)


def _parts(exports: Iterable[Export], kind: str) -> tuple[str, ...]:
    """What the keys of their models hold of them."""
    return tuple(key_part(export.sha256) for export in exports if export.kind == kind)


def _size_bytes(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None
