"""Responses for tests: the fixture file of format 1, one plain response to vary, and random ones."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation.records import AnswerLoss, Cell, Host, Message, ModelRef, Place, Response, Sampling
from evaluation.text_figures import text_figures

FIXTURE = Path(__file__).parent / "fixtures" / "responses-format1.jsonl"

HOST = Host("3f9ac1d20b77", "AMD EPYC 7763 64-Core Processor", 2.0, 17179869184, "Linux 6.1 x86_64", "llama 1")
MODEL = ModelRef("tiny", "Tiny 1M", "b" * 64, "Q4_1", "c" * 64)
ADAPTED = replace(MODEL, key="tiny-run", name="Tiny 1M + run", adapter_run="run", adapter_scale=1.0)

PLAIN = Response(
    id="01M7YV2200DE3B4WZZ6KYE37BB",
    origin="arena",
    host=HOST,
    model=MODEL,
    messages=(Message("user", "Why is the sky blue?"),),
    sampling=Sampling(),
    template_date="2026-11-21",
    text="It scatters.",
    finish_reason="stop",
    submitted_at=1795257600.0,
    ended_at=1795257602.0,
    place=Place("01M7YV22005SYJR0X9A1XE4SFC", round=0, pane=0),
)
MEASURED = replace(
    PLAIN,
    id="01M7YV2200DE3B4WZZ6KYE37BC",
    origin="benchmark",
    text_figures=text_figures(PLAIN.text),
    place=None,
    cell=Cell("nightly-20261121-000000", "study", "sky", 0, "explanation", False, 0.25, 0.0, False),
)
"""A benchmark's."""
LOSS = AnswerLoss(
    id="01M7YV2200DE3B4WZZ6KYE37BD",
    host=HOST,
    model=MODEL,
    messages=PLAIN.messages,
    reference="Air scatters blue.",
    template_date="2026-11-21",
    measured_at=1795257700.0,
    benchmark="nightly-20261121-000000",
    prompt_set="study",
    prompt="sky",
    loss_nats=12.5,
    reference_tokens=5,
)


def random_responses(seed: int, count: int) -> list[Response]:
    """Responses in which whatever may be unknown sometimes is, with text in several scripts and odd white space."""
    chance = random.Random(seed)
    words = ("sky", "blau", "空は青い", "☀️", "é", "\x00", "<|im_end|>", '"', "\\", "🇺🇳")
    gaps = (" ", "\n\n", "\t", "\u00a0", "\u2003", "\u3000", "\u2028", "\x85", "\x1c", "")

    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.7 else None

    def text() -> str:
        return "".join(chance.choice(words) + chance.choice(gaps) for _ in range(chance.randrange(30)))

    def cell() -> Cell:
        return Cell(
            benchmark=f"benchmark-{chance.randrange(3)}",
            prompt_set=chance.choice(("study", "own set")),
            prompt=text(),
            repeat=chance.randrange(5),
            kind=maybe("advice"),
            warm_up=chance.random() < 0.2,
            others_cores=maybe(chance.random()),
            stolen_cores=maybe(0.0),
            disturbed=chance.random() < 0.2,
        )

    def response(number: int) -> Response:
        submitted_at = 1.7e9 + chance.random() * 1e8
        answer = text()
        return Response(
            id=f"{number:026d}",
            origin=chance.choice(("arena", "benchmark")),
            host=replace(HOST, cores=chance.choice((1.5, 2.0))),
            model=replace(chance.choice((MODEL, ADAPTED)), size_bytes=maybe(chance.randrange(2**40))),
            messages=(Message("system", text()), Message("user", text())),
            sampling=Sampling(temperature=chance.random(), seed=chance.randrange(2**32), stop=("\n", "###")),
            template_date="2026-11-21",
            text=answer,
            finish_reason=chance.choice(("stop", "length", "context", "cancelled", "error")),
            submitted_at=submitted_at,
            ended_at=submitted_at + chance.random() * 10,
            error=maybe(text()),
            started_at=maybe(submitted_at + chance.random()),
            first_token_at=maybe(submitted_at + chance.random()),
            prompt_busy_s=maybe(chance.choice((0.0, chance.random()))),
            decode_busy_s=maybe(chance.choice((0.0, chance.random() * 12))),
            load_s=maybe(chance.random()),
            prompt_tokens=maybe(chance.randrange(100, 200)),
            cached_tokens=maybe(chance.randrange(100)),
            completion_tokens=chance.randrange(4),
            shared=maybe(chance.random() < 0.5),
            threads=maybe(2),
            context_length=maybe(4096),
            peak_memory_bytes=maybe(chance.randrange(2**40)),
            place=maybe(Place(f"C{number // 4:025d}", chance.randrange(3), chance.randrange(2), chance.randrange(2))),
            cell=maybe(cell()),
            text_figures=maybe(text_figures(answer)),
        )

    return [response(number) for number in range(count)]
