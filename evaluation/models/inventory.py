"""Everything that lies here, for the Models page and ``python -m evaluation.models list``; and how it is removed."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from statistics import median
from typing import Literal

from evaluation.endpoints import EndpointModel
from evaluation.endpoints.file import FILE as ENDPOINTS_FILE
from evaluation.endpoints.file import EndpointError, read_endpoints, write_endpoints
from evaluation.host import host
from evaluation.hub import HubError
from evaluation.hub.origins import Origin, origin_file, read_origin
from evaluation.leaderboard.answers import Answers, Selection
from evaluation.models import Adapter, Catalog, ChatModel, UnusableFile
from evaluation.models.discovery import embedded_files
from evaluation.settings import PUBLISHED_DIR

Kind = Literal["model", "adapter", "endpoint", "unusable"]
SHOWN = 3
"""Names in a sentence."""


@dataclass(frozen=True)
class Measured:
    """What this machine's stored answers say of a model: medians; ``None`` is unknown."""

    answers: int
    decode_tok_s: float | None
    latency_150_s: float | None
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class Item:
    """A model, an adapter, an endpoint, or a file that can't be used."""

    kind: Kind
    name: str
    source: str
    """Where it came from, in words: ``comes with the installation``, ``hub: owner/name``, ``training run r16``, ..."""
    key: str | None = None
    """Of the model it makes; ``None`` when unusable."""
    path: Path | None = None
    quantization: str | None = None
    size_bytes: int | None = None
    """Of its file; an adapter's is that of the adapter alone."""
    license: str | None = None
    origin: Origin | None = None
    measured: Measured | None = None
    reason: str | None = None
    """Why it can't be used."""
    why_kept: str | None = None
    """Why it can't be removed here (it comes with the installation, belongs to a run, ...); ``None``: it can."""
    loss: str | None = None
    """What else goes with it when it is removed, as a sentence."""


@dataclass(frozen=True)
class Disk:
    """Of the folder of models."""

    used_bytes: int
    free_bytes: int


def inventory(catalog: Catalog, models_dir: Path, measured: Mapping[str, Measured]) -> list[Item]:
    """All of the catalog. ``measured``: by model key. An adapter that fits several bases comes with each of them."""
    items = [
        *(_adapter(model, model.adapter, models_dir) if model.adapter else _base(model, catalog, models_dir)
          for model in catalog.models),
        *map(_endpoint, catalog.endpoints),
        *(_unusable(file, models_dir) for file in catalog.unusable),
    ]  # fmt: skip
    return [replace(item, measured=measured.get(item.key)) if item.key else item for item in items]


def measured_here(results_dir: Path, published_dir: Path) -> dict[str, Measured]:
    """By model key, from the stored answers of this machine, and of the servers that answer for endpoints."""
    answers = Answers(results_dir, published_dir)
    answers.refresh()
    return measured_by(answers)


def measured_by(answers: Answers) -> dict[str, Measured]:
    """The same from answers that were read before, as they stood at the last ``refresh``."""
    servers = [each.key for each in answers.hosts() if each.cores is None]
    found: dict[str, Measured] = {}
    for key in (*servers, host().key):
        found |= _measured_on(key, answers)
    return found


def disk(models_dir: Path) -> Disk:
    """What the folder of models takes, unfinished downloads included, and what is free where it lies."""
    used = 0
    for folder, _, names in os.walk(models_dir):
        for name in names:
            with suppress(OSError):
                used += os.lstat(os.path.join(folder, name)).st_size
    there = next(each for each in (models_dir.absolute(), *models_dir.absolute().parents) if each.exists())
    return Disk(used, shutil.disk_usage(there).free)


def remove(item: Item, models_dir: Path) -> None:
    """Delete its file with what is kept about it, or the endpoint's entry; empty folders go, too. An engine that has
    the file open goes on with it. Raises ``HubError`` with a sentence when it can't be removed."""
    if item.kind == "endpoint":
        return _remove_endpoint(item, models_dir)
    why_kept = item.why_kept or (_why_kept(item.path, models_dir) if item.path else "It has no file.")
    if why_kept or item.path is None:
        raise HubError(f"{item.name} can't be removed here. {why_kept}")
    try:
        item.path.unlink(missing_ok=True)
        origin_file(item.path).unlink(missing_ok=True)
    except OSError as error:
        raise HubError(
            f"{item.path} can't be removed ({error.strerror}): make its folder writable for the user of this app."
        ) from None
    with suppress(OSError):  # the first one that is not empty ends it
        for folder in item.path.parents:
            if folder == models_dir.absolute() or not folder.is_relative_to(models_dir.absolute()):
                break
            folder.rmdir()
    return None


def _base(model: ChatModel, catalog: Catalog, models_dir: Path) -> Item:
    item = replace(
        _of_file("model", model.base.path, models_dir),
        key=model.key,
        name=model.name,
        quantization=model.quantization,
        size_bytes=model.base.size_bytes,
    )
    item = replace(item, license=item.license or model.base.license)
    if model.base.path in embedded_files():
        return replace(item, source="comes with the installation", why_kept="It comes with the installation.")
    tuned = [each.name for each in catalog.models if each.adapter and each.base.sha256 == model.base.sha256]
    if not tuned:
        return item
    more = [f"{len(tuned) - SHOWN} more"] if len(tuned) > SHOWN else []
    return replace(item, loss=f"Without it its fine-tunes can't be used: {', '.join([*tuned[:SHOWN], *more])}.")


def _adapter(model: ChatModel, adapter: Adapter, models_dir: Path) -> Item:
    item = replace(
        _of_file("adapter", adapter.path, models_dir),
        key=model.key,
        name=model.name,
        quantization=model.quantization,
        size_bytes=adapter.size_bytes,
    )
    if adapter.run is None:
        return item
    why_kept = f"It belongs to the training run {adapter.run}: archive that on the Training page."
    if adapter.path.is_relative_to(PUBLISHED_DIR):
        why_kept = f"It belongs to the training run {adapter.run}, which comes with the project."
    return replace(item, source=f"training run {adapter.run}", why_kept=why_kept)


def _endpoint(model: EndpointModel) -> Item:
    return Item("endpoint", model.name, f"server: {model.host.cpu}", model.key)


def _unusable(file: UnusableFile, models_dir: Path) -> Item:
    item = replace(_of_file("unusable", file.path, models_dir), reason=file.reason)
    with suppress(OSError):
        item = replace(item, size_bytes=file.path.stat().st_size)
    if file.path == models_dir.absolute() / ENDPOINTS_FILE:
        return replace(item, source="the file of endpoints", why_kept="It may hold other endpoints: mend it instead.")
    return item


def _of_file(kind: Kind, path: Path, models_dir: Path) -> Item:
    """What is known of any file."""
    origin = read_origin(path)
    return Item(
        kind,
        path.name,
        f"hub: {origin.repo_id}" if origin else "a file that was put here",
        path=path,
        license=origin.license if origin else None,
        origin=origin,
        why_kept=_why_kept(path, models_dir),
    )


def _why_kept(path: Path, models_dir: Path) -> str | None:
    """Only what lies in the folder of models, or a link there, is taken away."""
    inside = models_dir.absolute()
    if not path.is_relative_to(inside):
        return f"It does not lie in {inside}: remove it where it does, {path.parent}."
    if path.is_dir() and not path.is_symlink():
        return "It is a folder."
    if not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(inside)):
        return f"It lies behind a link, in {os.path.realpath(path.parent)}: remove it there, or remove the link."
    return None


def _remove_endpoint(item: Item, models_dir: Path) -> None:
    try:
        endpoints, _ = read_endpoints(models_dir)
        write_endpoints(models_dir, [each for each in endpoints if EndpointModel(each, "").key != item.key])
    except EndpointError as error:
        raise HubError(str(error)) from None


def _measured_on(host_key: str, answers: Answers) -> dict[str, Measured]:
    everything = Selection(host=host_key, common=False)
    figures = answers.cells(everything).groupby("model_key")[["decode_tok_s", "latency_150_s"]].median()
    models = answers.models(everything).set_index("model_key")
    found = {}
    for key in figures.index:
        peaks = models["peak_memory_bytes"][key]
        found[str(key)] = Measured(
            answers=int(models["answers"][key]),
            decode_tok_s=_known(figures["decode_tok_s"][key]),
            latency_150_s=_known(figures["latency_150_s"][key]),
            peak_memory_bytes=int(median(peaks)) if peaks else None,
        )
    return found


def _known(value: float) -> float | None:
    return None if isnan(value) else float(value)
