"""How long benchmarks take: what this machine's stored answers say beforehand, and what is left once one is running."""

import glob
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import duckdb

from evaluation import response_table
from evaluation.benchmark.plan import Estimate, Plan, estimate, losses_s, overhead_s
from evaluation.endpoints import is_served
from evaluation.records import ModelRef

READ_BYTES = 64 * 2**20
"""So much of the stored answers is looked at, the newest files first: an estimate must not keep anybody waiting."""

BANDWIDTH_BYTES_S = 8e9
"""Assumed where nothing was measured: each token reads the model's file once from memory, so fast."""
ANSWER_TOKENS = 200
"""Assumed length of an answer."""
PROMPT_S_PER_TOKEN_S = 15.0
"""Assumed time to the first token, in tokens of the answer: prompts are read in chunks, many tokens at a time."""
DEFAULT_MODEL_BYTES = 10**9
ENDPOINT_TOKEN_S = 0.02
"""Assumed of an endpoint that was never measured."""


@dataclass(frozen=True)
class Pace:
    """How a model answers on this machine, by its stored answers."""

    prompt_s: float
    token_s: float
    """Seconds per token of the answer."""
    tokens: float
    """Where a server does not count them, the parts in which its answers came."""

    def answer_s(self, max_tokens: int) -> float:
        return self.prompt_s + min(self.tokens, max_tokens) * self.token_s

    def scaled(self, factor: float) -> "Pace":
        return Pace(self.prompt_s * factor, self.token_s * factor, self.tokens)


def estimate_from_records(plan: Plan, folders: Iterable[Path]) -> Estimate:
    """How long the plan takes, judged by the answers stored in ``folders`` (``responses/`` folders) of this host."""
    seconds, basis = seconds_per_answer(plan, folders)
    return estimate(plan, seconds, basis)


def seconds_per_answer(plan: Plan, folders: Iterable[Path]) -> tuple[dict[str, float], str]:
    """By model key, and a sentence on where it comes from.

    Best are warm answers of the model itself on this host; without any, those of other models, in proportion to the
    size of their files; without those, the size of the file and the assumptions above. Of an endpoint its own answers
    count, or the assumption.
    """
    known = _paces(plan, folders)
    sizes = {key: size for key, (_, size) in known.items() if size}
    sizes |= {model.key: model.size_bytes for model in plan.models if model.size_bytes}
    seconds: dict[str, float] = {}
    scaled: list[str] = []
    assumed: list[str] = []
    unknown: list[str] = []
    for model in plan.models:
        if model.key in known:
            pace = known[model.key][0]
        elif is_served(model):
            pace = Pace(PROMPT_S_PER_TOKEN_S * ENDPOINT_TOKEN_S, ENDPOINT_TOKEN_S, ANSWER_TOKENS)
            unknown.append(model.name)
        elif others := [known[key][0].scaled(_bytes(model) / sizes[key]) for key in known if key in sizes]:
            pace = _middle(others)
            scaled.append(model.name)
        else:
            token_s = _bytes(model) / BANDWIDTH_BYTES_S
            pace = Pace(PROMPT_S_PER_TOKEN_S * token_s, token_s, ANSWER_TOKENS)
            assumed.append(model.name)
        seconds[model.key] = pace.answer_s(plan.sampling.max_tokens)
    return seconds, " ".join(_basis(plan, scaled, assumed, unknown))


class TimeLeft:
    """What is left of a running benchmark, from what its own answers took, by model."""

    def __init__(self, plan: Plan, expected_s: Mapping[str, float]) -> None:
        """``expected_s``: seconds per answer by model key, until there are some."""
        self._plan = plan
        self._expected_s = expected_s
        self._took_s: dict[str, list[float]] = defaultdict(list)

    def took(self, model: str, seconds: float) -> None:
        """An answer of this model (by key) took so long."""
        self._took_s[model].append(seconds)

    def answer_s(self, model: str) -> float:
        """The mean so far; for a model without answers what was expected, as wrong as it was for the others."""
        if took := self._took_s.get(model):
            return sum(took) / len(took)
        really = sum(sum(took) for took in self._took_s.values())
        expected = sum(len(took) * self._expected_s[key] for key, took in self._took_s.items())
        return self._expected_s[model] * (really / expected if expected and really else 1.0)

    def seconds(self, answers: Mapping[str, int], loads: Mapping[str, int], references: Mapping[str, int]) -> float:
        """For so many answers, loads of the model, and answer losses that are still to come, by model key."""
        left = 0.0
        for model in self._plan.models:
            answer_s = self.answer_s(model.key)
            left += answers.get(model.key, 0) * answer_s + loads.get(model.key, 0) * overhead_s(model)
            left += losses_s(model, references.get(model.key, 0), answer_s)
        return left


def _paces(plan: Plan, folders: Iterable[Path]) -> dict[str, tuple[Pace, int | None]]:
    """Of every model that has warm answers on this host, with the size of its files, and of the plan's endpoints."""
    chosen = _newest_files(folders)
    json_files, parquet_files = (
        [glob.escape(str(path)) for path in chosen if path.suffix == suffix and os.access(path, os.R_OK)]
        for suffix in (".jsonl", ".parquet")
    )
    source = response_table.source(json_files, parquet_files)
    served = [model.key for model in plan.models if is_served(model)]
    try:
        with duckdb.connect() as connection:
            rows = connection.execute(_PACES.format(source=source), [plan.host.key, served]).fetchall()
    except duckdb.Error:  # a damaged Parquet file: the leaderboard names it, an estimate does without
        return {}
    return {key: (Pace(prompt_s, token_s, tokens), size) for key, size, prompt_s, token_s, tokens in rows}


def _newest_files(folders: Iterable[Path]) -> list[Path]:
    """At least one, if there are any, and together ``READ_BYTES`` at most."""
    files: list[tuple[float, int, Path]] = []
    for folder in folders:
        for path in (*folder.glob("*.jsonl"), *folder.glob("*.parquet")):
            with suppress(FileNotFoundError):  # just turned into a Parquet file by another process
                stat = path.stat()
                files.append((stat.st_mtime, stat.st_size, path))
    read = 0
    chosen: list[Path] = []
    for _, size, path in sorted(files, reverse=True):
        read += size
        if read > READ_BYTES and chosen:
            break
        chosen.append(path)
    return chosen


# Means, because a sum is estimated. Where every answer was cut, nobody knows how long they would have become.
_PACES = f"""
    SELECT model.key, any_value(model.size_bytes), avg(prompt_busy_s), median(decode_busy_s / tokens),
        CASE WHEN bool_or(finish_reason = 'stop') THEN avg(tokens) ELSE greatest({ANSWER_TOKENS}, max(tokens)) END
    FROM (SELECT *, coalesce(completion_tokens, server.arrivals) AS tokens FROM {{source}})
    WHERE (host.key = ? OR list_contains(?::VARCHAR[], model.key))
        AND finish_reason IN ('stop', 'length') AND load_s IS NULL AND tokens > 0
        AND prompt_busy_s > 0 AND decode_busy_s >= 0 AND NOT coalesce(cell.warm_up, false)
    GROUP BY model.key
"""


def _bytes(model: ModelRef) -> int:
    return model.size_bytes or DEFAULT_MODEL_BYTES


def _middle(paces: list[Pace]) -> Pace:
    return Pace(
        median(pace.prompt_s for pace in paces),
        median(pace.token_s for pace in paces),
        median(pace.tokens for pace in paces),
    )


def _basis(plan: Plan, scaled: list[str], assumed: list[str], unknown: list[str]) -> Iterator[str]:
    """Sentences on the models here, and on the endpoints (``unknown``: those without answers)."""
    served = [model.name for model in plan.models if is_served(model)]
    if len(served) < len(plan.models):
        yield _basis_here(len(plan.models) - len(served), scaled, assumed)
    if len(unknown) < len(served):
        yield "Of endpoints from their own earlier answers."
    if unknown:
        yield f"Nothing is known of {', '.join(unknown)}: assumed are {1 / ENDPOINT_TOKEN_S:.0f} tokens/s."
    if served and plan.references:
        yield f"Of {', '.join(served)} no answer losses: a server does not tell how likely it finds a given answer."


def _basis_here(models: int, scaled: list[str], assumed: list[str]) -> str:
    if assumed:
        return (
            f"Nothing was measured on this machine yet: assumed are answers of {ANSWER_TOKENS} tokens, for each of "
            f"which the model's file is read from memory at {BANDWIDTH_BYTES_S / 1e9:.0f} GB/s."
        )
    if len(scaled) == models:
        return "From the answers of other models on this machine, in proportion to the size of their files."
    measured = "From earlier answers of these models on this machine"
    if scaled:
        return f"{measured}; of {', '.join(scaled)} there are none, so others' count in proportion to the files' size."
    return f"{measured}."
