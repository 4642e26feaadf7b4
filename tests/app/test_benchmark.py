"""The benchmark page, and the arena while a benchmark runs, as a user drives them; what runs is scripted."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import services
from evaluation.benchmark import folder
from evaluation.benchmark.folder import Benchmark, BenchmarkError, Progress
from evaluation.benchmark.plan import Plan, new_plan
from evaluation.engine.api import GenerationRequest
from evaluation.models import Catalog
from evaluation.prompt_sets import Prompt, PromptSet, known_sets
from evaluation.records import Message, Sampling
from evaluation.settings import PUBLISHED_DIR, Settings
from evaluation.store import ResponseStore
from tests.app_page import press, run
from tests.fake_engine import FakeEngine, Script, chat_model

BASE = chat_model("Small model")
TUNED = chat_model("Small model", adapter_run="run-1", finished_at=1.0)
OTHER = chat_model("Other model")
SET = PromptSet("mine", (Prompt("1", (Message("user", "Why?"),)), Prompt("2", (Message("user", "How?"),))), "0" * 64)


@dataclass
class Disk:
    """Benchmarks as the page finds them, and what it asked for."""

    results: Path
    found: list[Benchmark] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    asked: list[tuple[str, bool]] = field(default_factory=list)
    refusal: str | None = None

    def add(self, progress: Progress, name: str = "First", published: bool = False) -> Plan:
        plan = new_plan([BASE.ref, TUNED.ref], [SET], 2, Sampling(), name)
        root = PUBLISHED_DIR if published else self.results
        self.found.insert(0, Benchmark(root / "benchmarks" / plan.id, plan, progress))
        return plan

    def create(self, results_dir: Path, plan: Plan) -> Path:
        self.found.insert(0, Benchmark(results_dir / "benchmarks" / plan.id, plan, Progress("interrupted")))
        return self.found[0].folder

    def start(self, results_dir: Path, benchmark: str, again: bool = False) -> None:
        if self.refusal:
            raise BenchmarkError(self.refusal)
        self.asked.append((benchmark, again))
        self.set(benchmark, Progress("running", 0, 8, now="Loading Small model."))

    def cancel(self, path: Path) -> None:
        self.asked.append((path.name, False))
        self.set(path.name, Progress("cancelled", 3, 8))

    def set(self, benchmark: str, progress: Progress) -> None:
        self.found = [replace(b, progress=progress) if b.plan.id == benchmark else b for b in self.found]

    def running(self, results_dir: Path) -> Benchmark | None:
        return next((each for each in self.found if each.progress.status == "running"), None)


Open = Callable[..., AppTest]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path)
    for name in ("create", "start", "cancel", "running"):
        monkeypatch.setattr(folder, name, getattr(disk, name))
    monkeypatch.setattr(folder, "benchmarks", lambda *folders: (disk.found, disk.damaged))
    return disk


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    store = ResponseStore(tmp_path / "responses")
    engine = FakeEngine(store.append, default=Script())
    monkeypatch.setattr(services, "settings", lambda: Settings(tmp_path / "models", tmp_path, tmp_path / "cache"))
    monkeypatch.setattr(services, "store", lambda: store)
    monkeypatch.setattr(services, "engine", lambda: engine)
    return engine


@pytest.fixture
def show(disk: Disk, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open a page of the app with these models."""

    def show(*models, page: str = "benchmark") -> AppTest:
        def catalog() -> Catalog:
            return Catalog(models or (OTHER, BASE, TUNED), ())

        catalog.clear = lambda: None
        monkeypatch.setattr(services, "catalog", catalog)
        app = AppTest.from_file("../../streamlit_app.py", default_timeout=20)
        return run(app.switch_page(f"dashboard/app_pages/{page}.py"))

    return show


def page_text(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.error, app.warning, app.toast)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def upload(app: AppTest, name: str, content: str) -> AppTest:
    app.file_uploader(key="benchmark_upload").set_value((name, content.encode(), "text/plain"))
    return run(app)


def test_a_new_benchmark_measures_the_family_the_arena_starts_with(show: Open, disk: Disk, engine: FakeEngine) -> None:
    """At first the base and its fine-tunes, all prompts that come along, five repeats. The time it will take is said
    before it starts, the start gives the arena's memory to it, and the page then shows it running."""
    app = show()
    assert app.multiselect(key="benchmark_models").value == [BASE.key, TUNED.key]
    assert "--models 'Small model' 'Small model + run-1' --prompts everyday study --repeats 5" in app.code[0].value
    assert "About " in page_text(app) and "the arena answers nobody" in page_text(app)
    press(app, "benchmark_start")
    (benchmark,) = disk.found
    plan = benchmark.plan
    assert [model.key for model in plan.models] == [BASE.key, TUNED.key]
    assert [each.name for each in plan.prompt_sets] == known_sets()
    assert (plan.repeats, plan.sampling) == (5, Sampling())
    assert disk.asked == [(plan.id, False)] and engine.released
    assert "Loading Small model" in str(app.get("progress")[0].proto.text)
    assert app.button(key="benchmark_start").disabled and "A benchmark is running" in page_text(app)


def test_prompts_sampling_and_name_are_the_readers(show: Open, disk: Disk) -> None:
    """An uploaded file is asked instead of the sets that come along, with what else was chosen."""
    app = show()
    app.multiselect(key="benchmark_models").set_value([OTHER.key])
    app.multiselect(key="benchmark_sets").set_value([])
    app.number_input(key="benchmark_repeats").set_value(2)
    app.number_input(key="benchmark_max_tokens").set_value(16)
    app.text_input(key="benchmark_name").set_value("Tiny")
    upload(app, "own.txt", "Why is grass green?\n\nName a color.\n")
    assert "--prompts own.txt --repeats 2 --max-tokens 16 --name Tiny" in app.code[0].value
    assert "4 answers: 1 model × 2 prompts × 2 repeats" in page_text(app) and not app.dataframe
    app.session_state["benchmark_prompts"] = True  # opens the preview
    assert list(run(app).dataframe[0].value["Prompt"]) == ["Why is grass green?", "Name a color."]
    press(app, "benchmark_start")
    plan = disk.found[0].plan
    assert [(name, prompt.messages[-1].content) for name, prompt in plan.prompts] == [
        ("own.txt", "Why is grass green?"), ("own.txt", "Name a color.")
    ]  # fmt: skip
    assert (plan.name, plan.repeats, plan.sampling.max_tokens) == ("Tiny", 2, 16)
    assert [model.key for model in plan.models] == [OTHER.key]


def test_a_file_with_faults_is_refused_line_by_line(show: Open) -> None:
    """Every fault is a sentence with its line, and nothing can be started from it alone."""
    app = show()
    app.multiselect(key="benchmark_sets").set_value([])
    upload(app, "own.jsonl", '{"prompt": "Good"}\nnot json\n{"nothing": 1}\n')
    (fault,) = (error.value for error in app.error)
    assert "- line 2" in fault and "- line 3" in fault
    assert app.button(key="benchmark_start").disabled and "Choose prompts first" in page_text(app)


def test_no_benchmark_starts_while_the_arena_answers(show: Open, disk: Disk, engine: FakeEngine) -> None:
    """Somebody's answer would be slowed, and so would the benchmark."""
    engine.scripts["default"] = Script(tokens_per_s=0)
    engine.submit(GenerationRequest(BASE, (Message("user", "Hi"),), Sampling(), date(2026, 1, 1)))
    app = show()
    assert app.button(key="benchmark_start").disabled and "The arena is answering" in page_text(app)
    engine.close()
    assert not run(app).button(key="benchmark_start").disabled


def test_a_running_benchmark_is_shown_and_cancelled(show: Open, disk: Disk) -> None:
    """Whoever started it. How far it is, what went wrong, when it will end; Cancel asks its process to stop."""
    plan = disk.add(Progress("running", 3, 8, 1, 2, "Small model, prompt 2", 120.0, time.time()))
    app = show()
    assert "3 of 8 answers · 1 failed · 2 disturbed" in page_text(app)
    assert "about 2 minutes left, until" in page_text(app)
    press(app, "benchmark_cancel")
    assert disk.asked == [(plan.id, False)]
    assert app.button(key=f"benchmark_resume_{plan.id}") and not app.get("progress")


def test_a_tab_asks_less_often_once_the_end_is_far(show: Open, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """At first nobody knows how long it takes, and the page is drawn every 2 s; that must not last for half an hour,
    for each drawing takes of the cores that are measured."""
    plan = disk.add(Progress("running", 0, 8))
    intervals: list[float] = []

    def fragment(draw: Callable[..., None], run_every: float) -> Callable[..., None]:
        intervals.append(run_every)
        disk.set(plan.id, Progress("running", 1, 8, seconds_left=1800.0, updated_at=time.time()))
        return draw

    monkeypatch.setattr(st, "fragment", fragment)
    show()
    assert intervals == [2.0, 10.0]
    intervals.clear()
    disk.set(plan.id, Progress("running", 0, 8))
    show(page="arena")
    assert intervals == [2.0, 10.0]


def test_earlier_benchmarks_can_go_on(show: Open, disk: Disk, engine: FakeEngine) -> None:
    """Each in words; only what did not finish is resumed, only what was disturbed or failed is repeated, and each leads
    to its rows of the leaderboard."""
    cancelled = disk.add(Progress("cancelled", 5, 8), "Half")
    finished = disk.add(Progress("finished", 8, 8, 1, 2), "Whole")
    published = disk.add(Progress("finished", 8, 8, 0, 3), "Theirs", published=True)
    disk.damaged.append((Path("broken"), "It is damaged."))
    app = show()
    assert "5 of 8 answers" in page_text(app) and "8 of 8 answers · 1 failed · 2 disturbed" in page_text(app)
    assert "It is damaged" in page_text(app)
    keys = {button.key for button in app.button if "resume" in button.key or "again" in button.key}
    assert keys == {f"benchmark_resume_{cancelled.id}", f"benchmark_again_{finished.id}"}
    commands = [code.value for code in app.code]
    assert f"python -m evaluation.benchmark --resume {cancelled.id}" in commands
    assert f"python -m evaluation.benchmark --resume {finished.id} --again" in commands
    queries = [str(link.proto.query_string) for link in app.get("page_link")]
    assert queries == [f"host={plan.host.key}&benchmark={plan.id}" for plan in (published, finished, cancelled)]
    press(app, f"benchmark_resume_{cancelled.id}")
    assert disk.asked == [(cancelled.id, False)]
    disk.set(cancelled.id, Progress("cancelled", 6, 8))
    run(app)
    disk.set(cancelled.id, Progress("running", 6, 8))
    assert not press(app, f"benchmark_resume_{cancelled.id}").error  # somebody clicked twice
    disk.set(cancelled.id, Progress("finished", 8, 8))
    press(run(app), f"benchmark_again_{finished.id}")
    assert disk.asked == [(cancelled.id, False), (finished.id, True)]


def test_a_refused_start_is_a_sentence(show: Open, disk: Disk, engine: FakeEngine) -> None:
    """For example because the model is gone, or because the arena was asked before the button was disabled; it is said
    once."""
    plan = disk.add(Progress("interrupted", 5, 8))
    disk.refusal = "The model r16 is gone."
    app = press(show(), f"benchmark_resume_{plan.id}")
    assert r"The model r16 is gone\." in page_text(app)
    assert "is gone" not in page_text(run(app))
    engine.scripts["default"] = Script(tokens_per_s=0)
    engine.submit(GenerationRequest(BASE, (), Sampling(), date(2026, 1, 1)))
    assert "The arena is answering somebody" in page_text(press(app, f"benchmark_resume_{plan.id}"))


def test_the_arena_answers_nobody_meanwhile(show: Open, disk: Disk, engine: FakeEngine) -> None:
    """It says why and for how long, keeps the message, and answers again afterwards."""
    plan = disk.add(Progress("running", 3, 8, seconds_left=120.0, updated_at=time.time()))
    app = show(page="arena")
    assert "has this machine to itself" in page_text(app) and "about 2 minutes left" in page_text(app)
    app.chat_input(key="arena_message").set_value("Hello")
    run(app)
    assert not engine.requests and "Nobody was asked" in app.toast[0].value
    assert app.chat_input(key="arena_message").proto.value == "Hello"
    press(app, "arena_starter_1")
    assert not engine.requests
    disk.set(plan.id, Progress("finished", 8, 8))
    press(run(app), "arena_starter_1")
    assert len(engine.requests) == 2 and "to itself" not in page_text(app)
