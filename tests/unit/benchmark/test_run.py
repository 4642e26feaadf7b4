"""Benchmarks carried out by real models in real processes: whole, stopped in every way, and with models that fail."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from evaluation.benchmark.__main__ import main
from evaluation.benchmark.folder import (
    Benchmark,
    BenchmarkError,
    Progress,
    benchmarks,
    cancel,
    create,
    read,
    running,
    start,
)
from evaluation.benchmark.plan import Plan
from evaluation.benchmark.runner import PATIENCE, Runner
from evaluation.losses import LossStore
from evaluation.models import ChatModel, discover
from evaluation.records import Response
from evaluation.store import ResponseStore
from tests.tiny_gguf import TEMPLATE, write_tiny

PROJECT_ROOT = Path(__file__).parents[3]
PlanOf = Callable[..., Plan]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def answers(results: Path, benchmark: str, warm_up: bool = False) -> list[Response]:
    found = ResponseStore(results / "responses").of_benchmark(benchmark)
    return [each for each in found if each.cell and each.cell.warm_up == warm_up]


def cells(responses: list[Response]) -> Counter[tuple[str, str, int]]:
    return Counter((each.model.name, each.cell.prompt, each.cell.repeat) for each in responses if each.cell)


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def run(plan: Plan, results: Path, models: dict[str, ChatModel], **options: object) -> Progress:
    """In this process."""
    folder = create(results, plan)
    by_key = {model.key: model for model in models.values()}
    watch = options.pop("watch", lambda progress: None)
    return Runner(read(folder).plan, folder, results, by_key, watch, **options).run()  # type: ignore[arg-type]


def test_a_whole_benchmark_without_streamlit(tiny: dict[str, ChatModel], tmp_path: Path, results: Path) -> None:
    """The command asks each model everything the said number of times with the said seeds, keeps load times apart,
    reuses nothing, measures the answer losses, and does nothing twice when it is resumed."""
    (tmp_path / "streamlit.py").write_text("raise ImportError('not installed')")
    lines = ['{"id": "one", "prompt": "hi", "reference": "hi!", "kind": "greeting"}', '{"id": "two", "prompt": "12"}']
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    command = [sys.executable, "-m", "evaluation.benchmark", "--models", "ANT", tiny["Bee"].key, "--prompts"]
    command += [str(tmp_path / "mine.jsonl"), "--repeats", "2", "--max-tokens", "20", "--seed", "5", "--name", "Zoo"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "2 models × 2 prompts × 2 repeats = 8 answers." in done.stdout and "Finished: 8 of 8" in done.stdout

    ((benchmark,), problems) = benchmarks(results)
    assert benchmark.plan.name == "Zoo" and benchmark.folder.name.startswith("zoo-") and not problems
    assert (benchmark.progress.status, benchmark.progress.done, benchmark.progress.failed) == ("finished", 8, 0)
    measured = answers(results, benchmark.folder.name)
    assert cells(measured) == Counter((m, p, r) for m in ("Ant", "Bee") for p in ("one", "two") for r in (0, 1))
    for each in measured:
        assert each.cell and each.origin == "benchmark" and each.place is None
        assert not each.cold and each.cached_tokens == 0 and each.shared is False
        assert each.sampling.seed == 5 + each.cell.repeat and each.sampling.max_tokens == 20
    assert {each.cell.kind for each in measured if each.cell} == {"greeting", None}
    warm_ups = answers(results, benchmark.folder.name, warm_up=True)
    assert [each.model.name for each in warm_ups] == ["Ant", "Bee", "Bee", "Ant"] and all(
        each.cold for each in warm_ups
    )
    losses = LossStore(results / "losses").of_benchmark(benchmark.folder.name)
    assert [(loss.model.name, loss.prompt) for loss in losses] == [("Ant", "one"), ("Bee", "one")]
    assert all(loss.answer_loss_nats and 0 < loss.answer_loss_nats < 20 for loss in losses)

    assert main(["--resume", benchmark.folder.name]) == 0
    assert len(answers(results, benchmark.folder.name)) == 8
    assert len(LossStore(results / "losses").of_benchmark(benchmark.folder.name)) == 2


def test_stopped_in_every_way_and_resumed(plan_of: PlanOf, results: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Killed, it counts as interrupted; cancelled or stopped by Ctrl-C, as cancelled, soon and with exit status 130.
    A second one is refused meanwhile. In the end every cell has one answer."""
    folder = create(results, plan_of("Ant", prompts=40))
    name = folder.name

    def now() -> Benchmark:
        return read(folder)

    start(results, name)
    found = running(results)
    assert found and found.folder == folder
    until(lambda: now().progress.done > 3)
    assert now().progress.seconds_left and now().progress.now == "Repeat 1 of 1: Ant"
    with pytest.raises(BenchmarkError, match="The benchmark mine, Ant is running: wait for it"):
        start(results, create(results, plan_of("Bee")).name)
    os.kill(int((folder / "run.lock").read_text()), signal.SIGKILL)
    until(lambda: now().progress.status == "interrupted")
    assert "killed" in (now().progress.reason or "") and running(results) is None
    stored = len(answers(results, name))
    assert 3 < stored < 40

    command = [sys.executable, "-m", "evaluation.benchmark", "--resume", name]
    for stop in (lambda _: cancel(folder), lambda process: process.send_signal(signal.SIGINT)):
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True)
        until(lambda stored=stored: now().progress.status == "running" and now().progress.done > stored)  # type: ignore[misc]
        stop(process)
        said = process.communicate(timeout=5)[0]
        assert process.returncode == 130 and f"Go on with: python -m evaluation.benchmark --resume {name}" in said
        assert now().progress.status == "cancelled"
        stored = len(answers(results, name))
    cancel(folder)  # harmless: nothing runs

    assert main(["--resume", name]) == 0
    assert len(cells(answers(results, name))) == 40 and set(cells(answers(results, name)).values()) == {1}
    assert all(each.finish_reason in ("stop", "length") for each in answers(results, name))
    assert now().progress.status == "finished" and now().progress.done == 40


def test_a_model_that_crashes_in_one_cell(plan_of: PlanOf, results: Path, tiny: dict[str, ChatModel]) -> None:
    """The cell is a failure with its reason, the next ones are measured by a warm model again, and only the failed one
    is done anew when that is asked for."""
    killed = threading.Event()

    def kill_worker(progress: Progress) -> None:
        if progress.done == 2 and not killed.is_set():
            killed.set()
            (worker,) = (each for each in psutil.Process().children() if "evaluation.engine.worker" in each.cmdline())
            worker.suspend()  # so that it is surely writing when it dies
            threading.Timer(0.3, worker.kill).start()

    plan = plan_of("Ant", prompts=5)
    end = run(plan, results, tiny, watch=kill_worker)
    assert (end.status, end.done, end.failed) == ("finished", 5, 1)
    measured = answers(results, plan.id)
    assert [each.finish_reason == "error" for each in measured] == [False, False, True, False, False]
    assert "process was killed" in (measured[2].error or "") and not any(each.cold for each in measured)
    assert len(answers(results, plan.id, warm_up=True)) == 2

    folder = results / "benchmarks" / plan.id
    again = Runner(plan, folder, results, {tiny["Ant"].key: tiny["Ant"]}, lambda progress: None, again=True).run()
    failed = measured[2].cell.prompt if measured[2].cell else ""
    assert again.failed == 0 and cells(answers(results, plan.id))["Ant", failed, 0] == 2


def test_models_that_cannot_answer_at_all(plan_of: PlanOf, results: Path, tiny: dict[str, ChatModel]) -> None:
    """One is damaged since it was chosen, one is gone: all their cells are failures with a reason, none is missing, and
    nobody waits for more than a few attempts."""
    damaged = results.parent / "damaged.gguf"
    damaged.write_bytes(tiny["Ant"].base.path.read_bytes()[:-5000])
    models = {"Ant": replace(tiny["Ant"], base=replace(tiny["Ant"].base, path=damaged))}
    plan = plan_of("Ant", "Bee", prompts=5)
    end = run(plan, results, models)
    assert (end.status, end.done, end.failed) == ("finished", 10, 10)
    reasons = Counter((each.model.name, each.error) for each in answers(results, plan.id))
    assert reasons["Bee", "The model Bee is not here any more: put its file back."] == 5
    assert len(answers(results, plan.id, warm_up=True)) == PATIENCE
    (given_up,) = (reason for _, reason in reasons if reason and "Not tried" in reason)
    assert "after 3 failures in a row" in given_up and reasons["Ant", given_up] == 5 - PATIENCE


def test_a_model_that_refuses_prompts(plan_of: PlanOf, results: Path, tmp_path: Path, shared_cache: Path) -> None:
    """Each costs only itself, however many there are in a row: the model stays loaded, and answers the others."""
    refusing = "{% if messages[0].content != 'hi 4' %}{{ raise_exception('not that') }}{% endif %}"
    ant = write_tiny(tmp_path / "picky.gguf", refusing + TEMPLATE, texts={"general.name": "Picky"})
    models = {model.name: model for model in discover(ant.parent, tmp_path, shared_cache).models}
    plan = replace(plan_of("Ant", prompts=5), models=(models["Picky"].ref,))
    end = run(plan, results, models)
    assert (end.status, end.done, end.failed, end.reason) == ("finished", 5, 4, None)
    *refused, answered = answers(results, plan.id)
    assert len(refused) > PATIENCE and all("refuses this conversation: not that" in str(each.error) for each in refused)
    assert answered.finish_reason in ("stop", "length") and not answered.cold
    assert len(answers(results, plan.id, warm_up=True)) == 1


def test_answer_losses_that_fail(
    tiny: dict[str, ChatModel], tmp_path: Path, results: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The benchmark says so in the end, also when it is resumed, until they were measured; it names the command that
    tries them again."""
    lines = [f'{{"prompt": "hi", "reference": "{"x" * 200}"}}', '{"prompt": "12", "reference": "12"}']
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    sentence = "1 answer loss could not be measured: Prompt and reference answer have "
    arguments = ["--models", "ant", "--prompts", str(tmp_path / "mine.jsonl"), "--repeats", "1", "--max-tokens", "9"]
    for step, measured in ((arguments, 2), ([], 2), (["--again"], 3)):
        resume = [] if step is arguments else ["--resume", benchmarks(results)[0][0].folder.name]
        assert main([*resume, *step]) == 0
        ((benchmark,), _) = benchmarks(results)
        assert benchmark.progress.status == "finished" and str(benchmark.progress.reason).startswith(sentence)
        said = capfd.readouterr()
        assert sentence in said.err and f"--resume {benchmark.folder.name} --again" in said.out
        assert len(LossStore(results / "losses").of_benchmark(benchmark.folder.name)) == measured
        assert len(cells(answers(results, benchmark.folder.name))) == 2


def test_what_cannot_be_saved_is_not_measured(plan_of: PlanOf, results: Path, tiny: dict[str, ChatModel]) -> None:
    """A folder that takes no answers (as on a full disk) stops the benchmark with the reason."""
    results.mkdir()
    (results / "responses").write_text("in the way")
    end = run(plan_of("Ant", prompts=5), results, tiny)
    assert end.status == "failed" and end.done == 0
    assert end.reason and "could not be saved" in end.reason
