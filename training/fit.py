"""One run, from its data to its adapter, however it ends."""

import errno
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import datasets
import transformers

from training import backends, checkpoints, data
from training.base import FoundBase
from training.progress import RunCallback, StopRequest
from training.recipe import Recipe
from training.runlog import Ended, Run, RunError, RunWriter, read_log, read_run
from training.trainer import encoded, make_trainer

if TYPE_CHECKING:
    from peft import PeftModel
    from trl import SFTTrainer

FULL_BELOW_BYTES = 2**20


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
            trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
        if callback.diverged:
            return self._close("failed", callback.diverged)
        if callback.interrupted_by:
            reason = f"Stopped by {callback.interrupted_by} at step {trainer.state.global_step}."
            return self._close("interrupted", reason)
        if trainer.eval_dataset is not None and callback.evaluated_at != trainer.state.global_step:
            trainer.evaluate()
        if self.writer is not None:
            self._save(trainer.accelerator.unwrap_model(trainer.model), self.writer.run)
            shutil.rmtree(self.folder / checkpoints.FOLDER, ignore_errors=True)
        return self._close("finished")

    def _trainer(self, callback: RunCallback) -> "SFTTrainer":
        recipe = self.recipe
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        datasets.disable_progress_bars()
        prepared = data.prepare(recipe.data, recipe.training.seed)
        transformers.set_seed(recipe.training.seed)  # the adapter begins with random weights
        model, tokenizer = backends.load(recipe, self.base, self.backend)
        started = datetime.fromtimestamp(read_run(self.folder).started_at or 0, UTC)
        day = started.date().isoformat()  # some templates write one; a resume must not change it
        train, truncated = encoded(prepared.train, tokenizer, recipe, day)
        held_out = encoded(prepared.held_out, tokenizer, recipe, day)[0] if prepared.held_out is not None else None
        if not len(train):
            raise FitError(f"No answer fits into base.max_length={recipe.base.max_length}: raise it.")
        if self.writer is not None:
            card, too_long = prepared.card, len(prepared.train) - len(train)
            unusable: Mapping[str, int] = {"no answer fits into base.max_length": too_long} if too_long else {}
            trainable, total = model.get_nb_trainable_parameters()
            self.writer.update(
                data=replace(card, train_rows=len(train), truncated=truncated, unusable={**card.unusable, **unusable}),
                trainable_parameters=trainable,
                base=replace(self.base.record, parameters=total - trainable),
            )
        trainer = make_trainer(
            recipe, self.backend, model, tokenizer, train, held_out, self.folder / checkpoints.FOLDER, callback
        )
        if self.checkpoint is not None:
            trainer.args.eval_on_start = False  # the log has that line
        return trainer

    def _save(self, model: "PeftModel", run: Run) -> None:
        adapter = self.folder / "adapter"
        model.peft_config["default"].base_model_name_or_path = run.base.model if run.base else None  # no path of here
        model.save_pretrained(str(adapter), save_embedding_layers=False)  # they are not trained; to ask is a look-up
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
