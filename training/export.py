"""Make the GGUF file that llama.cpp, and so the arena, runs: the adapter by itself, or merged into its base.

    python -m training.export concise-20261123-101500
    python -m training.export results/runs/concise-20261123-101500 --merge Q4_K_M
    python -m training.export concise-20261123-101500 --push your-name/concise --private

The adapter by itself is small and is exchanged for another one in no time; merged, the model answers faster. Before a
file is put into the run's folder, llama.cpp runs it, and what it predicts is compared with what PEFT predicts.
"""

import argparse
import difflib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gguf import LlamaFileType

from training import hub
from training.base import BaseError, FoundBase, find_base, load_model, load_tokenizer
from training.conversion import adapter_as_gguf, base_as_gguf, merged_as_gguf
from training.converter import ConverterError, converter
from training.llama_process import LlamaError, quantize
from training.next_tokens import COARSE, EXACT, QUANTIZED_BASE, Bound, Mismatch, Reference, compare, of_peft
from training.recipe import RecipeError, from_settings
from training.runlog import (
    ADAPTER_FILE,
    ADAPTER_FOLDER,
    ADAPTER_WEIGHTS,
    Export,
    Run,
    RunError,
    RunWriter,
    read_run,
    run_folders,
)
from training.settings import cache_dir, results_dir

if TYPE_CHECKING:
    from peft import PeftModel

QUANTIZATIONS = (
    *("F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0"),
    *("IQ4_NL", "IQ4_XS", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K"),
)
"""llama.cpp's, from fine to coarse; its smaller ones need statistics of the model's activations first."""


class ExportError(Exception):
    """A run cannot be exported, or its export is wrong; the message says why and what to do."""


def export_adapter(folder: Path, base: FoundBase) -> Export:
    """Write the run's adapter as ``adapter.gguf`` with 16-bit weights.

    Raises ``ExportError``, also when llama.cpp predicts something else with it than PEFT; then no file is left. Raises
    ``ConverterError`` when llama.cpp's converter cannot be had or fails.
    """
    run = _run_with_adapter(folder)
    converter(cache_dir())
    with _workshop(folder) as work, ThreadPoolExecutor() as pool:
        made = adapter_as_gguf(folder / ADAPTER_FOLDER, run.name, base, work, pool)
        exact_base = base_as_gguf(base, work, pool)
        reference = of_peft(_with_peft(folder, base), load_tokenizer(base))
        difference = _checked(reference, exact_base.result(), made.result(), EXACT, work)
        if base.gguf is not None:  # what people run is the file itself
            difference = _checked(reference, base.gguf, made.result(), QUANTIZED_BASE, work)
        return _kept(made.result(), folder / ADAPTER_FILE, "F16", reference, difference)


def export_merged(folder: Path, base: FoundBase, quantization: str) -> Export:
    """Write the base with the adapter merged into it as ``model-<QUANTIZATION>.gguf``.

    Raises ``ExportError`` and ``ConverterError`` as ``export_adapter`` does.
    """
    wanted = _quantization(quantization)
    run = _run_with_adapter(folder)
    converter(cache_dir())
    with _workshop(folder) as work, ThreadPoolExecutor() as pool:
        adapted = _with_peft(folder, base)
        reference = of_peft(adapted, load_tokenizer(base))
        exact = merged_as_gguf(adapted.merge_and_unload(), run.name, base, work, pool).result()
        del adapted
        difference = _checked(reference, exact, None, EXACT, work)
        made = exact
        if wanted != "F16":
            made = work / "quantized.gguf"
            quantize(exact, made, LlamaFileType[f"MOSTLY_{wanted}"])
            difference = _checked(reference, made, None, COARSE, work)
        return _kept(made, folder / f"model-{wanted}.gguf", wanted, reference, difference)


def record_export(folder: Path, export: Export) -> None:
    """Note an export in ``run.json``, instead of an earlier one of the same file. Raises ``RunError``."""
    writer = RunWriter.amend(folder)
    try:
        others = (each for each in writer.run.exports if each.file != export.file)
        writer.update(exports=(*others, export))
    finally:
        writer.release()


def find_run(name: str) -> Path:
    """The folder of a run, from its id or as it is. Raises ``RunError``."""
    folders = {folder.name: folder for folder in run_folders(results_dir())}
    if name in folders:
        return folders[name]
    if Path(name).is_dir():
        return Path(name).resolve()
    ids = sorted(folders, reverse=True)
    near = [each for each in ids if each.startswith(name)] or difflib.get_close_matches(name, ids, n=3, cutoff=0.4)
    known = f"The nearest is {' or '.join(near[:3])}." if near else f"There are: {', '.join(ids[:10]) or 'none yet'}."
    raise RunError(f"There is no run {name} in {results_dir()}, and no such folder. {known}")


def _run_with_adapter(folder: Path) -> Run:
    try:
        run = read_run(folder)
    except RunError as error:
        raise ExportError(str(error)) from None
    if run.origin != "trained":
        raise ExportError(
            f"The run {run.id} was imported, its adapter is not here: export a run that was trained here."
        )
    if not all((folder / ADAPTER_FOLDER / name).is_file() for name in ("adapter_config.json", ADAPTER_WEIGHTS)):
        raise ExportError(
            f"The run {run.id} has no adapter, because it is not finished: finish it with "
            f"`python -m training.finetune --resume {run.id}`."
        )
    return run


def _quantization(name: str) -> str:
    wanted = name.strip().upper().replace("-", "_")
    if wanted in QUANTIZATIONS:
        return wanted
    # of those that are equally near, the one of medium size, as Q4_K_M for Q4_K
    near = max(QUANTIZATIONS, key=lambda each: (difflib.SequenceMatcher(a=wanted, b=each).ratio(), each.endswith("_M")))
    raise ExportError(f"There is no quantization {name}: the nearest is {near}. There are {', '.join(QUANTIZATIONS)}.")


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A folder for what is needed on the way; what goes wrong meanwhile becomes a sentence."""
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="export-") as work:
            yield Path(work)
    except (BaseError, LlamaError) as error:
        raise ExportError(f"The run {folder.name} was not exported. {error}") from error
    except Mismatch as error:
        raise ExportError(
            f"The export of {folder.name} is wrong, so it was not kept: {error} The adapter itself is unharmed in "
            f"{folder / ADAPTER_FOLDER}; with PEFT it can be used as it is."
        ) from None
    except OSError as error:
        raise ExportError(
            f"The run {folder.name} was not exported: {error}. Make room and give access where that is the matter, and "
            f"try again."
        ) from error


def _with_peft(folder: Path, base: FoundBase) -> "PeftModel":
    import torch
    from peft import PeftModel

    model = load_model(base, torch.float32)
    try:
        return PeftModel.from_pretrained(model, folder / ADAPTER_FOLDER, torch_device="cpu")
    except Exception as error:  # whatever damaged weights or settings lead PEFT to
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ExportError(
            f"The adapter in {folder / ADAPTER_FOLDER} cannot be used with {base.record.model} ({reason}): restore it "
            f"from a copy, or train it again."
        ) from error


def _checked(reference: Reference, model: Path, adapter: Path | None, bound: Bound, work: Path) -> float:
    return compare(reference, model, adapter, bound, work / "probabilities.npy")


def _kept(made: Path, target: Path, quantization: str, reference: Reference, difference: float) -> Export:
    """Put the finished file into the run's folder, whole or not at all."""
    unfinished = target.with_name(f".{target.name}-unfinished")
    try:
        shutil.move(made, unfinished)
        with unfinished.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return Export(
        file=target.name,
        kind="adapter" if target.name == ADAPTER_FILE else "merged",
        quantization=quantization,
        sha256=sha256,
        size_bytes=target.stat().st_size,
        checked_prompts=len(reference.prompts),
        largest_difference=difference,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="id of a run, or its folder")
    parser.add_argument("--merge", metavar="QUANTIZATION", help=f"one model file instead: {', '.join(QUANTIZATIONS)}")
    parser.add_argument("--push", metavar="USER/NAME", help="put the adapter into this repository of the hub")
    parser.add_argument("--private", action="store_true", help="with --push: nobody else may read the repository")
    options = parser.parse_args(arguments)
    if options.private and not options.push:
        parser.error("--private goes with --push only")
    try:
        folder = find_run(options.run)
        if options.merge or not options.push or not (folder / ADAPTER_FILE).is_file():
            _export(folder, options.merge)
        if options.push:
            print(hub.push(folder, options.push, options.private))
    except (RunError, ExportError, ConverterError, BaseError, RecipeError, hub.HubError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was exported.", file=sys.stderr)
        return 130
    return 0


def _export(folder: Path, quantization: str | None) -> None:
    if quantization is not None:
        _quantization(quantization)
    run = _run_with_adapter(folder)
    if run.status == "running":
        raise ExportError(f"The run {run.id} is still being trained: wait for it, or stop it first.")
    base = base_of(run)
    export = export_adapter(folder, base) if quantization is None else export_merged(folder, base, quantization)
    record_export(folder, export)
    print(
        f"{folder / export.file} is ready: {export.quantization}, {export.size_bytes / 1e6:,.1f} MB. On "
        f"{export.checked_prompts} prompts no token's probability differs from PEFT's by more than "
        f"{export.largest_difference:.3f}."
    )


def base_of(run: Run) -> FoundBase:
    """The base that the run was trained on. Raises ``ExportError``, ``BaseError`` and ``RecipeError``."""
    section = from_settings(run.recipe).base
    if run.base is not None and run.base.revision is not None:
        section = replace(section, revision=run.base.revision)
    base = find_base(section)
    if run.base is not None and run.base.sha256 != base.record.sha256:
        raise ExportError(
            f"{base.location} is not the file any more that {run.id} was trained on: put that file back (its SHA-256 "
            f"is {run.base.sha256}), then export."
        )
    return base


if __name__ == "__main__":
    sys.exit(main())
