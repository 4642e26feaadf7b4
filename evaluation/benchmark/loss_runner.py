"""The answer losses of a benchmark: one for each model and prompt that has a reference answer."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

from ulid import ULID

from evaluation.benchmark.plan import Plan
from evaluation.benchmark.stop import Stopped, StopRequest
from evaluation.benchmark.tracker import Tracker
from evaluation.endpoints import is_served
from evaluation.engine.loss import MeasuredLoss, answer_losses
from evaluation.losses import LossStore
from evaluation.models import ChatModel, Model
from evaluation.prompt_sets import Prompt
from evaluation.records import AnswerLoss, ModelRef

LossKey = tuple[str, str, str]
"""Model key, prompt set, prompt."""


class LossRunner:
    """Measures those that are not stored yet. Endpoints have none: a server does not tell how likely a text is."""

    def __init__(
        self,
        plan: Plan,
        results_dir: Path,
        models: Mapping[str, Model],
        tracker: Tracker,
        stop: StopRequest,
        again: bool,
    ) -> None:
        """``models``: those found on this machine, by key. ``again``: also those that failed."""
        self._plan, self._models, self._tracker, self._stop = plan, models, tracker, stop
        self._store = LossStore(results_dir / "losses")
        # What was measured comes last, and counts.
        stored = sorted(self._store.of_benchmark(plan.id), key=lambda loss: not loss.error)
        self._errors: dict[LossKey, str | None] = {
            (loss.model.key, loss.prompt_set, loss.prompt): loss.error for loss in stored
        }
        done = {key for key, error in self._errors.items() if not (again and error)}
        self._work = {
            model: [(name, prompt) for name, prompt in plan.references if (model.key, name, prompt.id) not in done]
            for model in plan.models
            if not is_served(model)
        }
        for model, prompts in self._work.items():
            tracker.references_left[model.key] = len(prompts)

    def measure_all(self) -> str | None:
        """Returns a sentence when some could not be measured, now or earlier.

        Raises ``Stopped`` or ``KeyboardInterrupt`` when asked to stop, ``StoreError``, ``BenchmarkError``.
        """
        for model, prompts in self._work.items():
            if prompts:
                self._measure(model, prompts)
        errors = [error for error in self._errors.values() if error]
        if not errors:
            return None
        counted = "1 answer loss" if len(errors) == 1 else f"{len(errors)} answer losses"
        return f"{counted} could not be measured: {errors[-1]}"

    def _measure(self, ref: ModelRef, prompts: Sequence[tuple[str, Prompt]]) -> None:
        model = self._models.get(ref.key)
        if not isinstance(model, ChatModel):
            reason = f"The model {ref.name} is not here any more: put its file back."
            for name, prompt in prompts:
                self._save(ref, name, prompt, MeasuredLoss(None, None, reason))
            return
        references = [(prompt.messages, prompt.reference or "") for _, prompt in prompts]
        with closing(answer_losses(model, references, date.fromisoformat(self._plan.template_date))) as measured:
            for name, prompt in prompts:
                self._tracker.tell(f"Answer losses: {ref.name}")
                if self._stop.asked:
                    raise Stopped
                with self._stop.interrupting():
                    loss = next(measured)
                self._save(ref, name, prompt, loss)

    def _save(self, model: ModelRef, prompt_set: str, prompt: Prompt, measured: MeasuredLoss) -> None:
        self._store.append(
            AnswerLoss(
                id=str(ULID()),
                host=self._plan.host,
                model=model,
                messages=prompt.messages,
                reference=prompt.reference or "",
                template_date=self._plan.template_date,
                measured_at=time.time(),
                benchmark=self._plan.id,
                prompt_set=prompt_set,
                prompt=prompt.id,
                loss_nats=measured.loss_nats,
                reference_tokens=measured.tokens,
                error=measured.error,
            )
        )
        self._errors[model.key, prompt_set, prompt.id] = measured.error
        self._tracker.references_left[model.key] -= 1
