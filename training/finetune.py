"""Fine-tune a model from a recipe; everything about it is kept in a folder under results/runs/.

    python -m training.finetune training/recipes/demo.toml
    python -m training.finetune training/recipes/smollm2-r16.toml --set lora.rank=32 --set training.steps=120
    python -m training.finetune --resume r16-20261123-101500
    accelerate launch --multi_gpu --num_processes 2 -m training.finetune training/recipes/demo.toml

Ctrl-C stops after the step in progress; --resume goes on from there. When training is done, the adapter is also written
in the form that the arena uses, and offered there at once.
"""

import argparse
import errno
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from training import data, quiet_waiting
from training.base import BaseError, FoundBase, find_base
from training.chat import ChatError
from training.recipe import Recipe, RecipeError, as_settings, from_settings, read_recipe
from training.runlog import LogEntry, Run, RunError, RunWriter, read_log, read_run, run_id
from training.settings import PROJECT_ROOT, results_dir

if TYPE_CHECKING:
    from peft import PeftModel
    from trl import SFTTrainer

    from training.progress import RunCallback

CHECKPOINTS = "checkpoints"


class FinetuneError(Exception):
    """Training cannot start or go on; the message tells the user why and what to do."""


@dataclass(frozen=True)
class Resumed:
    """A stopped run and where it goes on."""

    folder: Path
    run: Run
    checkpoint: Path | None
    """``None``: it stopped before its first checkpoint, and starts again."""

    @property
    def step(self) -> int:
        return int(self.checkpoint.name.rpartition("-")[2]) if self.checkpoint else -1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.finetune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", type=Path, nargs="?", help="a TOML file such as training/recipes/demo.toml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="replace a setting"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with a stopped run: its id or folder")
    options = parser.parse_args(arguments)
    quiet_waiting()
    if (options.recipe is None) == (options.resume is None):
        parser.error("name either a recipe or, with --resume, a run")
    if options.resume and options.overrides:
        parser.error("--set does not go with --resume: a run keeps the settings it began with")
    try:
        if options.resume:
            resumed = find_resumed(options.resume)
            return finetune(from_settings(dict(resumed.run.recipe)), resumed)
        return finetune(read_recipe(options.recipe, options.overrides))
    except (RecipeError, BaseError, data.DataError, ChatError, RunError, FinetuneError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def finetune(recipe: Recipe, resumed: Resumed | None = None) -> int:
    """Train, keep everything in the run's folder, export. Returns 0 when finished, 1 failed, 130 interrupted."""
    base = find_base(recipe.base)  # cheap checks first: nothing heavy is loaded for what is not there
    if resumed is not None and resumed.run.base is not None and resumed.run.base.sha256 != base.record.sha256:
        raise FinetuneError(f"{base.record.model} is not the file any more that {resumed.run.id} was trained on.")
    data.check_source(recipe.data)

    from training import backends

    try:
        backend = backends.choose_backend(recipe)
    except backends.BackendError as error:
        raise FinetuneError(str(error)) from None
    from accelerate import PartialState

    processes = PartialState(cpu=not backends.has_gpu())
    writer = None
    if processes.is_main_process:
        writer = RunWriter.reopen(resumed.folder, resumed.step) if resumed else _new_run(recipe, base, backend)
        writer.update(processes=processes.num_processes)
    folder = _shared(writer.folder if writer else None)
    try:
        status = _train_and_tell(recipe, base, backend, folder, writer, resumed)
    except BaseException as error:
        if writer is not None:
            interrupted = isinstance(error, KeyboardInterrupt)
            with suppress(RunError):  # a full disk, as a rule; without its lock the run reads as interrupted
                writer.close("interrupted" if interrupted else "failed", _sentence(error))
        if isinstance(error, OSError | MemoryError) or "out of memory" in str(error):
            raise FinetuneError(_sentence(error)) from error
        raise
    if writer is not None and status == 0:
        _export(folder)
    return status


def find_resumed(name: str) -> Resumed:
    """The stopped run of this id or folder. Raises ``RunError`` or ``FinetuneError``."""
    from training.export import find_run

    folder = find_run(name)
    run = read_run(folder)
    if run.status == "running":
        raise FinetuneError(f"{run.id} is still being trained. Wait for it, or stop it first.")
    if run.status == "finished" or run.origin != "trained":
        raise FinetuneError(f"{run.id} is finished; there is nothing to resume. Start a new run from its recipe.")
    from training.progress import COMPLETE

    complete = [mark.parent for mark in (folder / CHECKPOINTS).glob(f"checkpoint-*/{COMPLETE}")]
    latest = max(complete, key=lambda each: int(each.name.rpartition("-")[2]), default=None)
    return Resumed(folder, run, latest)


def _new_run(recipe: Recipe, base: FoundBase, backend: str) -> RunWriter:
    from training import provenance

    now = time.time()
    commit, dirty = provenance.commit()
    run = Run(
        id=run_id(recipe.name, now),
        name=recipe.name,
        status="running",
        started_at=now,
        steps=recipe.training.steps,
        backend=backend,  # type: ignore[arg-type]
        base=base.record,
        recipe=as_settings(recipe),
        commit=commit,
        dirty=dirty,
        packages=provenance.packages(),
        host=provenance.training_host(),
    )
    return RunWriter.create(results_dir(), run)


def _shared(folder: Path | None) -> Path:
    """The main process's folder, in every process."""
    from accelerate.utils import broadcast_object_list

    found: list[Path | None] = [folder]
    broadcast_object_list(found)
    assert found[0] is not None
    return found[0]


def _train_and_tell(
    recipe: Recipe,
    base: FoundBase,
    backend: str,
    folder: Path,
    writer: RunWriter | None,
    resumed: Resumed | None,
) -> int:
    from training.progress import RunCallback, StopRequest

    last = _last_step(folder) if resumed else None
    with StopRequest() as stop:
        callback = RunCallback(writer, stop, last)
        trainer = _prepare(recipe, base, backend, folder, writer, callback)
        checkpoint = resumed.checkpoint if resumed else None
        trainer.args.eval_on_start = trainer.args.eval_on_start and checkpoint is None
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if callback.diverged:
        if writer is not None:
            writer.close("failed", callback.diverged)
            print(callback.diverged, file=sys.stderr)
        return 1
    if callback.interrupted_by:
        if writer is not None:
            writer.close("interrupted", f"Stopped by {callback.interrupted_by} at step {trainer.state.global_step}.")
            print(f"Go on with: python -m training.finetune --resume {writer.run.id}", file=sys.stderr)
        return 130
    _finish(trainer, callback, folder, writer)
    return 0


def _prepare(
    recipe: Recipe, base: FoundBase, backend: str, folder: Path, writer: RunWriter | None, callback: "RunCallback"
) -> "SFTTrainer":
    import datasets
    import transformers

    from training import backends
    from training.trainer import encoded, make_trainer

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    prepared = data.prepare(recipe.data, recipe.training.seed)
    transformers.set_seed(recipe.training.seed)  # the adapter begins with random weights
    try:
        model, tokenizer = backends.load(recipe, base, backend)  # type: ignore[arg-type]
    except backends.BackendError as error:
        raise FinetuneError(str(error)) from None
    today = datetime.fromtimestamp(read_run(folder).started_at or 0, UTC).date().isoformat()  # also after a resume
    train, truncated = encoded(prepared.train, tokenizer, recipe, today)
    held_out = encoded(prepared.held_out, tokenizer, recipe, today)[0] if prepared.held_out is not None else None
    if not len(train):
        raise FinetuneError(f"No conversation fits base.max_length={recipe.base.max_length}: raise it.")
    if writer is not None:
        trainable, total = model.get_nb_trainable_parameters()
        writer.update(
            data=replace(prepared.card, truncated=truncated),
            trainable_parameters=trainable,
            base=replace(base.record, parameters=total - trainable),
        )
    return make_trainer(
        recipe,
        backend,  # type: ignore[arg-type]
        model,
        tokenizer,
        train,
        held_out,
        folder / CHECKPOINTS,
        callback,
    )


def _finish(trainer: "SFTTrainer", callback: "RunCallback", folder: Path, writer: RunWriter | None) -> None:
    if trainer.eval_dataset is not None and callback.evaluated_at != trainer.state.global_step:
        trainer.evaluate()
    if writer is not None:
        _save_adapter(trainer.accelerator.unwrap_model(trainer.model), folder / "adapter", writer.run)
        writer.close("finished")
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def _save_adapter(model: "PeftModel", folder: Path, run: Run) -> None:
    model.peft_config["default"].base_model_name_or_path = run.base.model if run.base else None  # not a path of here
    model.save_pretrained(str(folder), save_embedding_layers=False)  # they are not trained; to ask costs a look-up
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty form; a push writes a card


def _export(folder: Path) -> None:
    """In a process of its own: it loads the base again, beside which the trained model need not stay in memory."""
    if subprocess.run([sys.executable, "-m", "training.export", str(folder)], cwd=PROJECT_ROOT).returncode == 0:
        print(f"The arena offers it as {read_run(folder).name}.")
    else:
        adapter, command = folder / "adapter", f"python -m training.export {folder.name}"
        print(f"The adapter itself is in {adapter}. Export it later with: {command}", file=sys.stderr)


def _last_step(folder: Path) -> LogEntry | None:
    steps = [entry for entry in read_log(folder).entries if entry.kind == "train"]
    return steps[-1] if steps else None


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Stopped at once by a second signal; it resumes from the last checkpoint."
    if isinstance(error, MemoryError) or "out of memory" in str(error):
        return "The memory did not suffice. A lower base.max_length or training.batch_size needs less."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full ({error.filename or results_dir()}). Free some space and resume the run."
    return str(error).strip() or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
