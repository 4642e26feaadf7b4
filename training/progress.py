"""What happens while a run trains: lines for its log, a progress bar, and the reasons to stop early."""

import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import PartialState
from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.checkpoints import mark_complete
from training.runlog import LogEntry, RunWriter


class StopRequest:
    """Ctrl-C and SIGTERM end the run after the step in progress, with a checkpoint; a second one ends it at once."""

    def __init__(self) -> None:
        self.signal: str | None = None

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = "the user" if number == signal.SIGINT else signal.Signals(number).name
        tqdm.write(f"Stopping after this step, as told by {self.signal}; once more to stop at once.")


class RunCallback(TrainerCallback):
    """Writes the log of one run. Only the first of several processes has a ``writer``; all of them stop together."""

    def __init__(self, writer: RunWriter | None, stop: StopRequest, before: Sequence[LogEntry]) -> None:
        """``before``: the lines of the log after which a resumed run goes on."""
        self._writer = writer
        self._stop = stop
        self._tokens_before = max((entry.tokens or 0 for entry in before), default=0)
        self._seconds_before = max((entry.elapsed_s or 0.0 for entry in before), default=0.0)
        self._line_at = self._started = time.monotonic()
        self._line_tokens = 0
        self._bar: tqdm[None] | None = None
        self.diverged: str | None = None
        """A sentence, once the loss was NaN or infinite."""
        self.interrupted_by: str | None = None
        self.evaluated_at = max((entry.step for entry in before if entry.kind == "eval"), default=None)
        """Step of the last evaluation on the held-out rows."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._line_at = self._started = time.monotonic()
        if self._writer is not None:
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", smoothing=0.1)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        logs = logs or {}
        if "eval_loss" in logs:
            self.evaluated_at = state.global_step
            self._write(self._evaluation(state, logs))
        elif "loss" in logs:
            entry = self._step(state, logs)
            self._write(entry)
            if entry.loss is None or not math.isfinite(entry.loss):
                self.diverged = (
                    f"The loss was {entry.loss} at step {entry.step}, so training was stopped. A lower "
                    f"optimizer.learning_rate, more optimizer.warmup_steps or a lower optimizer.max_grad_norm helps."
                )
                control.should_training_stop = True
                control.should_save = control.should_evaluate = False  # there is nothing left to go on from

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)
        if state.global_step < state.max_steps and _any_process(self._stop.signal is not None):
            self.interrupted_by = self._stop.signal or "a signal to another process"
            control.should_save = control.should_training_stop = True
        control.should_log |= control.should_save  # so that a run resumed from here knows its tokens

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._writer is not None and args.output_dir is not None:
            mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._bar is not None:
            self._bar.close()

    def _step(self, state: TrainerState, logs: dict[str, Any]) -> LogEntry:
        now, tokens = time.monotonic(), int(logs.get("num_tokens", 0))
        tok_s = (tokens - self._line_tokens) / (now - self._line_at)
        self._line_at, self._line_tokens = now, tokens
        return LogEntry(
            step=state.global_step,
            kind="train",
            loss=float(logs["loss"]),
            learning_rate=_number(logs.get("learning_rate")),
            grad_norm=_number(logs.get("grad_norm")),
            tokens=self._tokens_before + tokens if tokens else None,
            tok_s=tok_s if tokens else None,
            epoch=state.epoch,
            elapsed_s=self._elapsed_s(now),
            mean_token_accuracy=_number(logs.get("mean_token_accuracy")),
            entropy=_number(logs.get("entropy")),
        )

    def _evaluation(self, state: TrainerState, logs: dict[str, Any]) -> LogEntry:
        now = time.monotonic()
        self._line_at += float(logs.get("eval_runtime", 0.0))  # not time in which tokens were trained on
        return LogEntry(
            step=state.global_step,
            kind="eval",
            loss=float(logs["eval_loss"]),
            epoch=state.epoch,
            elapsed_s=self._elapsed_s(now),
            mean_token_accuracy=_number(logs.get("eval_mean_token_accuracy")),
            entropy=_number(logs.get("eval_entropy")),
        )

    def _elapsed_s(self, now: float) -> float:
        return round(self._seconds_before + now - self._started, 3)

    def _write(self, entry: LogEntry) -> None:
        if self._writer is None:
            return
        self._writer.log(entry)
        if self._bar is not None and entry.kind == "train":
            self._bar.set_postfix_str(
                f"loss {entry.loss:.4f}" + (f", {entry.tok_s:.0f} tokens/s" if entry.tok_s is not None else "")
            )
        elif self._bar is not None:
            self._bar.write(f"Step {entry.step}: held-out loss {entry.loss:.4f}")


def _any_process(here: bool) -> bool:
    """Whether it holds in any process: one that stopped alone would leave the others waiting for it."""
    if not torch.distributed.is_initialized():
        return here
    flag = torch.tensor(float(here), device=PartialState().device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
