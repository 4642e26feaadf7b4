"""The engine's speed and memory, as ratios of things measured in the same run."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.report import Measure, Row, medians, ratio
from benchmarks.rig import QUESTION, BareLoop, answer, ask, half_a_core_used, is_small, running_engine, tokens_for
from evaluation.benchmark.folder import create, read
from evaluation.benchmark.plan import new_plan
from evaluation.benchmark.runner import Runner
from evaluation.engine import Engine
from evaluation.models import Adapter, ChatModel
from evaluation.prompt_sets import parse_prompt_set
from evaluation.records import Message, Sampling
from evaluation.store import ResponseStore
from tests.gguf_files import write_lora_adapter

REPEATS = 5


def speed(engine: Engine, model: ChatModel) -> float:
    """Decode tokens/s of one answer."""
    found = answer(engine, model).decode_tok_s
    assert found
    return found


def against_bare_loop(model: ChatModel) -> Iterator[Row]:
    """Same prompt length, same number of tokens, same sampler, in turns."""
    bare = BareLoop(model)
    with running_engine() as engine:
        first = answer(engine, model)
        assert first.prompt_tokens
        bare.decode_tok_s(first.prompt_tokens, 20)
        ours, theirs = [], []
        for _ in range(3 * REPEATS):
            response = answer(engine, model)
            assert response.decode_tok_s and response.prompt_tokens
            ours.append(response.decode_tok_s)
            theirs.append(bare.decode_tok_s(response.prompt_tokens, response.completion_tokens))
    bare.close()
    detail = medians(ours, theirs, "tokens/s")
    yield Row(
        f"{model.name}: decode speed ÷ bare `llama_decode` loop", "≥ 0.97", ratio(ours, theirs), len(ours), detail
    )


def benchmark_against_bare_loop(model: ChatModel) -> Iterator[Row]:
    """Decode speed as a benchmark records it, loads and warm-ups between its answers, in turns with the bare loop."""
    prompts = parse_prompt_set("story", QUESTION.encode(), jsonl=False)
    bare, ours, theirs = BareLoop(model), [], []
    for seed in range(2 * REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder)
            plan = new_plan([model.ref], [prompts], 1, Sampling(seed=seed, max_tokens=tokens_for(model)), None)
            place = create(results, plan)
            Runner(read(place).plan, place, results, {model.key: model}, lambda progress: None).run()
            (response,) = (each for each in ResponseStore(results / "responses").read().responses if not each.cold)
        if response.decode_tok_s and response.prompt_tokens and response.completion_tokens:
            ours.append(response.decode_tok_s)
            theirs.append(bare.decode_tok_s(response.prompt_tokens, response.completion_tokens))
    bare.close()
    detail = medians(ours, theirs, "tokens/s")
    what = f"{model.name}: decode speed as benchmarked ÷ bare `llama_decode` loop"
    yield Row(what, "≥ 0.97", ratio(ours, theirs), len(ours), detail)


def beside_a_neighbour(model: ChatModel) -> Iterator[Row]:
    with running_engine() as engine:
        answer(engine, model)
        idle, busy = [], []
        for _ in range(REPEATS):
            idle.append(speed(engine, model))
            with half_a_core_used():
                busy.append(speed(engine, model))
    detail = medians(busy, idle, "tokens/s")
    what = f"{model.name}: decode speed with half of one core used by others ÷ idle"
    yield Row(what, "≥ 0.5", ratio(busy, idle), REPEATS, detail)


def second_turn(model: ChatModel) -> Iterator[Row]:
    """History of 800 tokens; the first turn reads all of it, the second only the new message."""
    for between in (False, True):
        firsts, seconds = [], []
        with running_engine() as engine:
            answer(engine, model, "Hi", max_tokens=2)
            for turn in range(REPEATS):
                opening = f"{turn} " + "word " * 780
                first = answer(engine, model, opening, conversation=str(turn), max_tokens=24)
                if between:
                    answer(engine, model, "Something else.", max_tokens=24)
                history = Message("user", opening), Message("assistant", first.text)
                second = answer(engine, model, "Why?", *history, conversation=str(turn), max_tokens=24)
                assert first.time_to_first_token_s and second.time_to_first_token_s
                firsts.append(first.time_to_first_token_s)
                seconds.append(second.time_to_first_token_s)
        what = f"{model.name}: time to first token, second turn after 800 tokens ÷ first"
        what += ", another conversation in between" if between else ""
        detail = medians(seconds, firsts, "s", digits=2)
        yield Row(what, "≤ 0.2", ratio(seconds, firsts), REPEATS, detail)


def two_at_once(models: list[ChatModel]) -> Iterator[Row]:
    """Two processes. Busy speed of each against alone, and the time of both against the sum of each alone."""
    # A second process on the same file stands in for a second model when only one is there.
    small = models[0]
    large = models[1] if len(models) > 1 else replace(small, key="other", base=replace(small.base, sha256="other"))
    busy: dict[str, list[float]] = {small.key: [], large.key: []}
    alone: dict[str, list[float]] = {small.key: [], large.key: []}
    together_s, apart_s = [], []
    with running_engine() as engine:
        for model in (small, large):
            answer(engine, model)
        for _ in range(REPEATS):
            apart = 0.0
            for model in (small, large):
                began = time.monotonic()
                alone[model.key].append(speed(engine, model))
                apart += time.monotonic() - began
            apart_s.append(apart)
            began = time.monotonic()
            pair = [ask(engine, model) for model in (small, large)]
            for model, generation in zip((small, large), pair, strict=True):
                found = generation.wait(600).decode_tok_s
                assert found
                busy[model.key].append(found)
            together_s.append(time.monotonic() - began)
    for model in (small, large):
        what = f"two models at once, {model.name}: busy decode speed ÷ alone"
        yield Row(what, "≥ 0.95", ratio(busy[model.key], alone[model.key]), REPEATS)
    yield Row("two models at once: total time ÷ sum of both alone", "≤ 1.05", ratio(together_s, apart_s), REPEATS)


def memory_with_adapters(model: ChatModel) -> Iterator[Row]:
    """PSS of the worker after the base has answered, and after three rank-16 adapters have answered as well."""

    def pss_bytes(engine: Engine) -> int:
        return sum(psutil.Process(pid).memory_full_info().pss for pid in engine.worker_pids().values())

    with tempfile.TemporaryDirectory() as folder, running_engine() as engine:
        answer(engine, model)
        base = pss_bytes(engine)
        for number in range(3):
            path = Path(folder) / f"{number}.gguf"
            write_lora_adapter(path, model.base.path, rank=16, seed=number, scale=0.1)
            adapter = Adapter(path, str(number) * 64, f"run-{number}", path.stat().st_size)
            answer(engine, replace(model, key=f"{model.key}+{number}", adapter=adapter))
        full = pss_bytes(engine)
    target = "≤ 1.4" if is_small(model) else "≤ 1.15"
    detail = f"{full / 2**20:.0f} of {base / 2**20:.0f} MiB"
    yield Row(f"{model.name}: memory (PSS) of base + 3 adapters ÷ base", target, full / base, 1, detail)


def cancelling(model: ChatModel) -> Iterator[Row]:
    """Seconds from the call until the worker uses no more CPU time, polled every 5 ms."""

    def until_idle(engine: Engine) -> float:
        process = psutil.Process(engine.worker_pids()[model.base.sha256])
        began, used = time.monotonic(), -1.0
        last_busy = began
        while time.monotonic() - last_busy < 0.1:
            now = sum(process.cpu_times()[:2])
            if now != used:
                used, last_busy = now, time.monotonic()
            time.sleep(0.005)
        return last_busy - began

    for what, content, delay_s in (
        ("decoding", "Write a long story.", 1.0),
        ("in the middle of a 2,000-token prompt", "word " * 2000, 1.5),
    ):
        times = []
        with running_engine() as engine:
            answer(engine, model, "Hi", max_tokens=2)
            for _ in range(REPEATS):
                generation = ask(engine, model, content, max_tokens=2000)
                time.sleep(delay_s)
                generation.cancel()
                times.append(until_idle(engine))
                generation.wait(5)
        yield Row(f"{model.name}: cancel → cores free, {what}, worst, s", "≤ 0.25", max(times), REPEATS)


def killed_worker(model: ChatModel) -> Iterator[Row]:
    """From SIGKILL to the sentence, and to the first token of the next answer."""
    messages, answers = [], []
    with running_engine() as engine:
        answer(engine, model, "Hi", max_tokens=2)
        for _ in range(REPEATS):
            generation = ask(engine, model, max_tokens=2000)
            time.sleep(0.7)
            began = time.monotonic()
            psutil.Process(engine.worker_pids()[model.base.sha256]).kill()
            assert generation.wait(10).error
            messages.append(time.monotonic() - began)
            first = answer(engine, model, "Hi", max_tokens=2).time_to_first_token_s
            assert first
            answers.append(first)
    detail = f"next answer's first token after {statistics.median(answers):.2f} s"
    yield Row(f"{model.name}: killed worker → message, worst, s", "≤ 1", max(messages), REPEATS, detail)


def _for_each(measure: Callable[[ChatModel], Iterator[Row]]) -> Measure:
    def measure_models(models: list[ChatModel]) -> Iterator[Row]:
        for model in models:
            yield from measure(model)

    measure_models.__name__ = measure.__name__
    return measure_models


MEASURES: list[Measure] = [
    _for_each(against_bare_loop),
    _for_each(benchmark_against_bare_loop),
    _for_each(beside_a_neighbour),
    _for_each(second_turn),
    two_at_once,
    _for_each(memory_with_adapters),
    _for_each(cancelling),
    _for_each(killed_worker),
]
