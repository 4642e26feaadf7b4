"""What a benchmark asks, in which order, and how long that will take."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from evaluation.endpoints import is_served
from evaluation.host import host
from evaluation.prompt_sets import Prompt, PromptSet
from evaluation.records import Host, ModelRef, Sampling
from evaluation.store import to_json_text
from training.runlog import run_id

PLAN_FORMAT = 1

START_S = 2.0
"""Starting a model's process, and its warm-up answer."""
COLD_BYTES_S = 300e6
"""A model file from a slow cloud disk."""
LOSS_SHARE = 0.5
"""Reading a prompt with its reference takes about this share of writing an answer."""


@dataclass(frozen=True)
class Plan:
    """Everything that was decided before the start; stored as ``benchmark.json`` and never changed."""

    id: str
    """Name of its folder."""
    name: str
    created_at: float
    """UTC seconds since 1970."""
    host: Host
    models: tuple[ModelRef, ...]
    prompt_sets: tuple[PromptSet, ...]
    """Whole, so that resuming does not depend on files that may have changed."""
    repeats: int
    sampling: Sampling
    """Repeat number r uses seed + r: the same for every model and prompt, so answers vary over repeats and the
    benchmark can be repeated exactly."""
    template_date: str
    """ISO date."""
    format: int = PLAN_FORMAT

    @property
    def prompts(self) -> tuple[tuple[str, Prompt], ...]:
        """(name of the set, prompt) of all sets."""
        return tuple((each.name, prompt) for each in self.prompt_sets for prompt in each.prompts)

    @property
    def references(self) -> tuple[tuple[str, Prompt], ...]:
        """(name of the set, prompt) where there is a reference answer."""
        return tuple((name, prompt) for name, prompt in self.prompts if prompt.reference)

    @property
    def cells(self) -> int:
        """Answers to be written, warm-ups not counted."""
        return len(self.models) * len(self.prompts) * self.repeats


@dataclass(frozen=True)
class Block:
    """One model with the machine to itself: loaded cold, warmed up, asked every prompt once."""

    repeat: int
    model: ModelRef


@dataclass(frozen=True)
class Estimate:
    """How long a plan will take."""

    seconds: float
    basis: str
    """A sentence: what it was derived from."""


def new_plan(
    models: Sequence[ModelRef],
    prompt_sets: Sequence[PromptSet],
    repeats: int,
    sampling: Sampling,
    name: str | None = None,
) -> Plan:
    """A plan for this machine, made now. Without a ``name`` it is called after its prompts and models."""
    now = time.time()
    counted = models[0].name if len(models) == 1 else f"{len(models)} models"
    name = name or f"{' and '.join(each.name for each in prompt_sets)}, {counted}"
    return Plan(
        id=run_id(name, now),
        name=name,
        created_at=now,
        host=host(),
        models=tuple(models),
        prompt_sets=tuple(prompt_sets),
        repeats=repeats,
        sampling=sampling,
        template_date=time.strftime("%Y-%m-%d", time.localtime(now)),
    )


def blocks(plan: Plan) -> Iterator[Block]:
    """The order of work. Every repeat visits all models, each time beginning with another and in alternating direction,
    so that a machine that grows slower does so for all of them."""
    count = len(plan.models)
    for repeat in range(plan.repeats):
        direction = 1 if repeat % 2 == 0 else -1
        for step in range(count):
            yield Block(repeat, plan.models[(repeat + direction * step) % count])


def estimate(plan: Plan, seconds_per_answer: Mapping[str, float], basis: str) -> Estimate:
    """How long the plan takes when each model (by key) needs so long for an answer; loads, warm-ups and answer losses
    included. ``basis`` is a sentence on where these seconds come from."""
    seconds = 0.0
    for model in plan.models:
        answer_s = seconds_per_answer[model.key]
        seconds += plan.repeats * (overhead_s(model) + len(plan.prompts) * answer_s)
        seconds += losses_s(model, len(plan.references), answer_s)
    return Estimate(seconds, basis)


def overhead_s(model: ModelRef) -> float:
    """Expected seconds of a block beside its answers: the load and the warm-up."""
    return START_S + (model.size_bytes or 0) / COLD_BYTES_S


def losses_s(model: ModelRef, references: int, answer_s: float) -> float:
    """Expected seconds for the answer losses of one model; of an endpoint none are measured."""
    if is_served(model):
        return 0.0
    return overhead_s(model) + references * LOSS_SHARE * answer_s if references else 0.0


@dataclass(frozen=True)
class _Envelope:
    format: int


_ENVELOPE = TypeAdapter(_Envelope)
_PLAN = TypeAdapter(Plan)


def to_json(plan: Plan) -> bytes:
    """The stored form."""
    return f"{to_json_text(asdict(plan), indent=2)}\n".encode()


def from_json(content: bytes) -> Plan:
    """Read a stored plan. Raises ``ValueError`` with a sentence when it is none."""
    try:
        version = _ENVELOPE.validate_json(content).format
        if version > PLAN_FORMAT:
            raise ValueError(
                f"It was written by a newer version of this program (format {version}, this version reads up to "
                f"{PLAN_FORMAT}); update to read it."
            )
        return _PLAN.validate_json(content, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        fault = f"{place}: {problem['msg']}" if place else problem["msg"]
        raise ValueError(f"It is not the plan of a benchmark ({fault}); restore it from a copy.") from None
