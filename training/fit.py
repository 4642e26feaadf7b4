"""One run, from its data to its adapter, however it ends."""

import errno
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import datasets
import transformers

from training import backends, checkpoints, data
from training.base import FoundBase
from training.checkpoints import step_of
from training.progress import RunCallback, StopRequest
from training.recipe import Recipe
from training.runlog import (
    ADAPTER_FOLDER,
    DataCard,
    Ended,
    FilterStep,
    Run,
    RunError,
    RunWriter,
    read_log,
    read_run,
)
from training.trainer import encoded, make_trainer

if TYPE_CHECKING:
    from peft import PeftModel
    from trl import SFTTrainer

FULL_BELOW_BYTES = 2**20
NO_8BIT = "The optimizer adamw_8bit needs a GPU; plain AdamW was used."


class FitError(Exception):
    """Training cannot go on; the message tells the user why and what to do."""


@dataclass(frozen=True)
class Fit:
    """The training of one run. Under ``accelerate launch`` every process has one, and the first has the writer."""

    recipe: Recipe
    base: FoundBase
    backend: backends.Backend
    folder: Path
    writer: RunWriter | None
    checkpoint: Path | None
    """From which a resumed run goes on."""

    def run(self) -> Ended:
        """Train to the end, or until a signal or a diverged loss; the record tells why. Raises what made it fail, as
        ``FitError`` when that is not a sentence by itself; the record then says the same."""
        try:
            return self._run()
        except BaseException as error:
            sentence = _sentence(error, self.folder)
            with suppress(RunError):  # a full disk, as a rule; without its lock the run reads as interrupted
                self._close("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", sentence)
            if isinstance(error, Exception) and sentence != str(error):
                raise FitError(sentence) from error
            raise

    def _run(self) -> Ended:
        with StopRequest() as stop:
            callback = RunCallback(self.writer, stop, read_log(self.folder).entries)
            trainer = self._trainer(callback)
            if self.checkpoint and step_of(self.checkpoint) >= self.recipe.training.steps:
                trainer._load_from_checkpoint(str(self.checkpoint))  # train() would take one more step
                trainer.state = transformers.TrainerState.load_from_json(str(self.checkpoint / "trainer_state.json"))
            else:
                trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
            if callback.diverged:
                return self._close("failed", callback.diverged)
            if callback.interrupted_by:
                reason = f"Stopped by {callback.interrupted_by} at step {trainer.state.global_step}."
                return self._close("interrupted", reason)
            if trainer.eval_dataset is not None and callback.evaluated_at != trainer.state.global_step:
                trainer.evaluate()
            if self.writer is not None:
                self._save(trainer, self.writer.run)
            self._close("finished")
        if self.writer is not None:
            shutil.rmtree(self.folder / checkpoints.FOLDER, ignore_errors=True)
        return "finished"

    def _trainer(self, callback: RunCallback) -> "SFTTrainer":
        recipe = self.recipe
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        datasets.disable_progress_bars()
        prepared = data.prepare(recipe.data, recipe.training.seed)
        run = read_run(self.folder)
        if run.data is not None and run.data.sha256 != prepared.card.sha256:
            raise FitError(f"{prepared.card.name} is not any more what {run.id} was trained on: start a new run.")
        transformers.set_seed(recipe.training.seed)  # the adapter begins with random weights
        model, tokenizer = backends.load(recipe, self.base, self.backend)
        day = datetime.fromtimestamp(run.started_at or 0, UTC).date().isoformat()  # a resume must not change it
        train, truncated = encoded(prepared.train, tokenizer, recipe, day)
        held_out = encoded(prepared.held_out, tokenizer, recipe, day)[0] if prepared.held_out is not None else None
        too_short = f"is longer than base.max_length={recipe.base.max_length}, answers left out: raise it."
        if not len(train):
            raise FitError(f"Every conversation {too_short}")
        if held_out is not None and len(held_out) < prepared.card.held_out_rows:
            raise FitError(f"One of the held-out conversations {too_short}")
        if self.writer is not None:
            self._note(self.writer, prepared.card, len(train), truncated, model)
        trainer = make_trainer(
            recipe, self.backend, model, tokenizer, train, held_out, self.folder / checkpoints.FOLDER, callback
        )
        if self.checkpoint is not None:
            trainer.args.eval_on_start = False  # the log has that line
        return trainer

    def _note(self, writer: RunWriter, card: DataCard, rows: int, truncated: int, model: "PeftModel") -> None:
        """Keep what is known once data and model are ready."""
        filters, recipe = card.filters, self.recipe
        if rows < card.train_rows:
            filters = (*filters, FilterStep(f"an answer within {recipe.base.max_length} tokens", rows))
        trainable, total = model.get_nb_trainable_parameters()
        writer.update(
            data=replace(card, train_rows=rows, truncated=truncated, filters=filters),
            trainable_parameters=trainable,
            base=replace(self.base.record, parameters=total - trainable),
            notes=NO_8BIT if recipe.optimizer.name == "adamw_8bit" and not backends.has_gpu() else None,
        )

    def _save(self, trainer: "SFTTrainer", run: Run) -> None:
        adapter = self.folder / ADAPTER_FOLDER
        model: PeftModel = trainer.accelerator.unwrap_model(trainer.model)
        model.peft_config["default"].base_model_name_or_path = run.base.model if run.base else None  # no path of here
        model.save_pretrained(str(adapter), save_embedding_layers=False)  # they are not trained; to ask is a look-up
        trainer.processing_class.save_pretrained(str(adapter))
        (adapter / "README.md").unlink(missing_ok=True)  # PEFT's empty form; a push writes a card

    def _close(self, status: Ended, reason: str | None = None) -> Ended:
        if self.writer is not None:
            self.writer.close(status, reason)
        return status


def _sentence(error: BaseException, folder: Path) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Stopped at once by a second signal; it resumes from the last checkpoint."
    if isinstance(error, MemoryError) or "out of memory" in str(error):
        return "The memory did not suffice. A lower base.max_length or training.batch_size needs less."
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    # torch and safetensors tell of a full disk in words of their own
    if full or (not isinstance(error, RunError) and shutil.disk_usage(folder).free < FULL_BELOW_BYTES):
        return f"The disk of {folder} is full. Free some space and resume the run."
    if isinstance(error, OSError):
        return f"Training stopped at a file: {error}."
    return str(error) or type(error).__name__
