"""The answer losses of a benchmark: one for each model and prompt that has a reference answer."""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

from ulid import ULID

from evaluation.benchmark.plan import Plan
from evaluation.benchmark.stop import Stopped, StopRequest
from evaluation.benchmark.tracker import Tracker
from evaluation.engine.loss import MeasuredLoss, answer_losses
from evaluation.losses import LossStore
from evaluation.models import ChatModel
from evaluation.prompt_sets import Prompt
from evaluation.records import AnswerLoss, ModelRef


class LossRunner:
    """Measures those that are not stored yet."""

    def __init__(
        self,
        plan: Plan,
        results_dir: Path,
        models: Mapping[str, ChatModel],
        tracker: Tracker,
        stop: StopRequest,
        again: bool,
    ) -> None:
        """``models``: those found on this machine, by key. ``again``: also those that failed."""
        self._plan, self._models, self._tracker, self._stop = plan, models, tracker, stop
        self._store = LossStore(results_dir / "losses")
        stored = {
            (loss.model.key, loss.prompt_set, loss.prompt)
            for loss in self._store.of_benchmark(plan.id)
            if not (again and loss.error)
        }
        self._work = {
            model: [(name, prompt) for name, prompt in plan.references if (model.key, name, prompt.id) not in stored]
            for model in plan.models
        }
        for model, prompts in self._work.items():
            tracker.references_left[model.key] = len(prompts)

    def measure_all(self) -> None:
        """Raises ``Stopped`` or ``KeyboardInterrupt`` when asked to stop, ``StoreError``, ``BenchmarkError``."""
        for model, prompts in self._work.items():
            if prompts:
                self._measure(model, prompts)

    def _measure(self, ref: ModelRef, prompts: Sequence[tuple[str, Prompt]]) -> None:
        model = self._models.get(ref.key)
        if model is None:
            reason = f"The model {ref.name} is not here any more: put its file back."
            for name, prompt in prompts:
                self._save(ref, name, prompt, MeasuredLoss(None, None, reason))
            return
        with closing(self._measured(model, [prompt for _, prompt in prompts])) as measured:
            for name, prompt in prompts:
                self._tracker.tell(f"Answer losses: {ref.name}")
                if self._stop.asked:
                    raise Stopped
                with self._stop.interrupting():
                    loss = next(measured)
                self._save(ref, name, prompt, loss)

    def _measured(self, model: ChatModel, prompts: Sequence[Prompt]) -> Generator[MeasuredLoss, None, None]:
        references = [(prompt.messages, prompt.reference or "") for prompt in prompts]
        yield from answer_losses(model, references, date.fromisoformat(self._plan.template_date))

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
        self._tracker.references_left[model.key] -= 1
