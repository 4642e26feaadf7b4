"""The records that a benchmark leaves, made up: times follow from the length of an answer and its model's speed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from evaluation.losses import LossStore
from evaluation.records import AnswerLoss, Cell, Message, ModelRef, Response, Sampling
from evaluation.store import ResponseStore
from tests.responses import HOST, PLAIN

BASE = ModelRef("small", "Small 135M Instruct", "b" * 64, "Q4_1", "c" * 64, size_bytes=98_000_000)
TUNED = replace(
    BASE,
    key="small+r16",
    name="Small 135M Instruct + r16",
    adapter_run="r16",
    adapter_scale=1.0,
    size_bytes=108_000_000,
)
CONCISE = replace(TUNED, key="small+concise", name="Small 135M Instruct + concise", adapter_run="concise")


@dataclass(frozen=True)
class Behaviour:
    """How a model answers."""

    model: ModelRef
    tok_s: float
    words: int
    """About as many per answer."""
    bits_per_byte: float


BEHAVIOURS = (Behaviour(BASE, 80, 120, 0.95), Behaviour(TUNED, 55, 125, 0.88), Behaviour(CONCISE, 55, 40, 0.90))


def responses(
    behaviours: tuple[Behaviour, ...] = BEHAVIOURS, prompts: int = 8, repeats: int = 2, benchmark: str = "demo"
) -> Iterator[Response]:
    """A warm-up per model and repeat, then every prompt once."""
    chance = random.Random(0)
    number = 0
    for repeat in range(repeats):
        for each in behaviours:
            for prompt in range(-1, prompts):
                count = max(1, round(each.words * chance.uniform(0.7, 1.3) * (0.5 + prompt / 8)))
                tokens = round(count * 1.4)
                submitted_at = PLAIN.submitted_at + 60 * number
                prompt_busy_s, decode_busy_s = 0.2 * chance.uniform(0.95, 1.05), tokens / each.tok_s
                number += 1
                yield replace(
                    PLAIN,
                    id=f"{benchmark[:4].upper():0<4}{number:022d}",
                    origin="benchmark",
                    model=each.model,
                    messages=(Message("user", question(prompt)),),
                    sampling=Sampling(seed=repeat, max_tokens=256),
                    text=f"**{each.model.name}**, repeat {repeat + 1}: " + "word " * count,
                    submitted_at=submitted_at,
                    started_at=submitted_at,
                    first_token_at=submitted_at + prompt_busy_s,
                    ended_at=submitted_at + prompt_busy_s + decode_busy_s,
                    prompt_busy_s=prompt_busy_s,
                    decode_busy_s=decode_busy_s,
                    load_s=chance.uniform(0.4, 0.5) if prompt < 0 else None,
                    prompt_tokens=40,
                    cached_tokens=0,
                    completion_tokens=tokens,
                    shared=False,
                    threads=2,
                    context_length=4096,
                    peak_memory_bytes=round(2e8 + chance.uniform(0, 1e6))
                    + (each.model.adapter_run is not None) * 10**7,
                    place=None,
                    cell=Cell(benchmark, "demo", f"p{prompt}", repeat, "explanation", warm_up=prompt < 0),
                )


def losses(
    behaviours: tuple[Behaviour, ...] = BEHAVIOURS, prompts: int = 8, benchmark: str = "demo"
) -> Iterator[AnswerLoss]:
    """One per model and prompt."""
    chance = random.Random(1)
    reference = "A good answer. " * 20
    for prompt in range(prompts):
        hard = chance.uniform(-0.1, 0.1)
        for number, each in enumerate(behaviours):
            bits = (each.bits_per_byte + hard + chance.uniform(-0.01, 0.01)) * len(reference)
            yield AnswerLoss(
                id=f"{benchmark[:4].upper():0<4}L{prompt:018d}{number:03d}",
                host=HOST,
                model=each.model,
                messages=(Message("user", question(prompt)),),
                reference=reference,
                template_date="2026-11-21",
                measured_at=PLAIN.submitted_at,
                benchmark=benchmark,
                prompt_set="demo",
                prompt=f"p{prompt}",
                loss_nats=bits * 0.6931471805599453,
                reference_tokens=80,
            )


def question(prompt: int) -> str:
    """The text of a prompt by its number."""
    return f"Question {prompt + 1}: why is the sky blue?"


def store(results_dir: Path, prompts: int = 8, repeats: int = 2, benchmark: str = "demo") -> None:
    """Write such a benchmark's answers and losses."""
    answers = ResponseStore(results_dir / "responses")
    for response in responses(prompts=prompts, repeats=repeats, benchmark=benchmark):
        answers.append(response)
    answer_losses = LossStore(results_dir / "losses")
    for loss in losses(prompts=prompts, benchmark=benchmark):
        answer_losses.append(loss)
