"""How long the answers of the fine-tunes that come along are, against their base: on held-out questions that leave the
length open."""

import json
import statistics
from collections.abc import Iterator

from benchmarks.report import Row, medians
from benchmarks.rig import answer, running_engine
from evaluation.engine import Engine
from evaluation.models import ChatModel, discover
from evaluation.settings import PROJECT_ROOT, Settings

OPEN = {"arena/explanation", "arena/advice", "arena/list", "arena/writing"}
TARGETS = {"concise": "≤ 0.5"}


def answer_length(models: list[ChatModel]) -> Iterator[Row]:
    """Words and latency of greedy answers, each fine-tune against the base; the ratio is that of the medians."""
    settings = Settings.from_environment()
    catalog = discover(settings.models_dir, settings.results_dir, settings.cache_dir)
    tuned = [model for model in catalog.models if model.adapter and model.base.sha256 == models[0].base.sha256]
    questions = _questions()
    with running_engine() as engine:
        base = _words_and_seconds(engine, models[0], questions)
        for model in tuned:
            own = _words_and_seconds(engine, model, questions)
            for (what, unit), ours, theirs in zip((("words", "words"), ("latency", "s")), own, base, strict=True):
                yield Row(
                    f"{what} of an answer, {model.name} ÷ base",
                    TARGETS.get(model.name.rpartition("+ ")[2], ""),
                    statistics.median(ours) / statistics.median(theirs),
                    len(questions),
                    medians(ours, theirs, unit),
                )


def _questions() -> list[str]:
    rows = map(json.loads, (PROJECT_ROOT / "training/data/held_out.jsonl").read_text().splitlines())
    return [
        row["conversations"][-2]["value"] for row in rows if row["source"] in OPEN and len(row["conversations"]) == 2
    ]


def _words_and_seconds(engine: Engine, model: ChatModel, questions: list[str]) -> tuple[list[float], list[float]]:
    answers = [answer(engine, model, question, temperature=0, max_tokens=512) for question in questions]
    return [float(each.words) for each in answers], [each.latency_s or 0.0 for each in answers]


MEASURES = [answer_length]
