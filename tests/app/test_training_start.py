"""Starting, watching and stopping trainings on the page, and what the other pages say meanwhile."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import services
from evaluation.models import Catalog
from evaluation.settings import Settings
from evaluation.store import ResponseStore
from tests.app_page import press, run
from tests.fake_engine import FakeEngine, chat_model
from tests.finished_run import make_run
from tests.trainer import trained_by_another
from training import launch
from training.launch import Launch, LaunchError
from training.recipe_faults import RECIPES
from training.runlog import LogEntry, RunWriter

BASE, TUNED = chat_model("Small model"), chat_model("Small model", adapter_run="demo-20260101-120000")
DEMO = RECIPES / "demo.toml"


@dataclass
class Launches:
    """What the page asked for; ``last`` is what it finds."""

    asked: list[object] = field(default_factory=list)
    last: Launch | None = None
    refusal: str | None = None

    def start(self, results_dir: Path, recipe: Path, overrides: Sequence[str] = ()) -> None:
        if self.refusal:
            raise LaunchError(self.refusal)
        self.asked.append((recipe, *overrides))
        self.last = Launch("demo", 1.0, True, None, "Looking at the base")

    def resume(self, results_dir: Path, run: str) -> None:
        self.asked.append(("resume", run))

    def interrupt(self, folder: Path) -> None:
        self.asked.append(("interrupt", folder.name))

    def stop(self, results_dir: Path) -> None:
        self.asked.append("stop")


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Launches:
    launches = Launches()
    for name in ("start", "resume", "interrupt", "stop"):
        monkeypatch.setattr(launch, name, getattr(launches, name))
    real = launch.last_launch
    monkeypatch.setattr(launch, "last_launch", lambda results_dir: launches.last or real(results_dir))
    return launches


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    store, engine = ResponseStore(tmp_path / "results" / "responses"), FakeEngine()
    monkeypatch.setattr(services, "store", lambda: store)
    monkeypatch.setattr(services, "engine", lambda: engine)
    monkeypatch.setattr(services, "catalog", lambda: Catalog((BASE, TUNED), ()))
    monkeypatch.setattr(services.catalog, "clear", lambda: None, raising=False)
    return engine


Open = Callable[..., AppTest]


@pytest.fixture
def show(engine: FakeEngine, launches: Launches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open a page of the app over the runs in ``tmp_path`` alone, on Training with the form open."""

    def show(page: str = "training", public: bool = False) -> AppTest:
        settings = Settings(
            tmp_path / "models", tmp_path / "results", tmp_path / "cache", tmp_path / "published", public
        )
        monkeypatch.setattr(services, "settings", lambda: settings)
        app = AppTest.from_file("../../streamlit_app.py", default_timeout=30)
        app.session_state["training_start_form"] = True
        return run(app.switch_page(f"dashboard/app_pages/{page}.py"))

    return show


def page_text(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.error, app.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def progress(app: AppTest) -> list[str]:
    return [str(bar.proto.text) for bar in app.get("progress")]


def keys(app: AppTest) -> set[str]:
    return {str(button.key) for button in app.button}


def test_a_recipe_is_changed_and_started(show: Open, launches: Launches, engine: FakeEngine) -> None:
    """What it will do follows the form, faults are told at once, and only what differs from the recipe is asked for.
    The arena's models make room, the form makes way for what is starting, and that can be stopped."""
    app = show()
    assert "**Training**: 8 steps of 8 conversations (2 × 4), learning rate 0.0002" in page_text(app)
    assert "**Base**: the embedded model" in page_text(app) and "Nothing is downloaded" in page_text(app)
    app.text_input(key=f"training_name_{DEMO}").set_value("12")
    app.number_input(key=f"training_steps_{DEMO}").set_value(3)
    app.number_input(key=f"training_rank_{DEMO}").set_value(4)
    app.text_area(key=f"training_further_{DEMO}").set_value("lora.rang=3\n\ntraining.batch_size=0")
    (faults,) = run(app).error
    assert r"There is no setting lora\.rang: did you mean lora\.rank" in faults.value.replace("\\:", ":")
    assert "it must be at least 1" in faults.value and app.button(key="training_start").disabled
    app.text_area(key=f"training_further_{DEMO}").set_value("# quicker\ndata.sample=8")
    assert "**Adapter**: LoRA of rank 4, alpha 4" in page_text(run(app)) and "8 of the rows" in page_text(app)
    overrides = ('name="12"', "training.steps=3", "lora.rank=4", "lora.alpha=4", "data.sample=8")
    assert all(each in app.code[0].value for each in overrides)
    press(app, "training_start")
    assert launches.asked == [(DEMO, *overrides)] and engine.released
    assert progress(app) == ["Starting · loading the training packages"] and "Looking at the base" in page_text(app)
    assert "training_start" not in keys(app)
    press(app, "training_stop")
    assert launches.asked[1:] == ["stop"]
    launches.last = Launch("demo", 1.0, False, None, "The base is gone.")
    assert r"**demo** was not trained: The base is gone\." in page_text(run(app)) and not progress(app)
    assert "was not trained" not in page_text(press(app, "training_close_"))
    launches.last = Launch("of another visitor", 2.0, True, "theirs-20260101-120000", "")
    assert "training_chosen" not in run(app).session_state


def test_a_recipe_of_the_hub_says_what_it_downloads(show: Open) -> None:
    """And what its file says about the machine that it wants."""
    app = show()
    app.selectbox(key="training_recipe").set_value(str(RECIPES / "llama-3.2-1b-r16.toml"))
    assert "`unsloth/Llama-3.2-1B-Instruct` and `mlabonne/FineTome-100k` from the Hugging Face hub" in page_text(
        run(app)
    )
    assert "Needs a GPU in practice" in page_text(app) and "nothing will tell learning from memorizing" in page_text(
        app
    )


def test_own_recipes_are_offered(show: Open, tmp_path: Path) -> None:
    """Those in ``recipes/`` of the results, two that are called the same told apart; one that cannot be read is named
    with its faults."""
    folder = tmp_path / "results" / "recipes"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(DEMO.read_text().replace('"demo"', '"mine"').replace("../data", "./data"))
    (folder / "torn.toml").write_text("name = ")
    (folder / "again.toml").write_text(DEMO.read_text().replace("../data", "./data"))
    (folder / "endless.toml").write_text(DEMO.read_text().replace("steps = 8", f"steps = 1{40 * '0'}"))
    app = show()
    options = app.selectbox(key="training_recipe").options
    assert "mine — A first run: rank 8, 8 steps" in options and len(set(options)) == len(options)
    assert [option for option in options if option.endswith("(again.toml)")]
    assert "it must be at most 1000000000" in page_text(app)
    assert r"torn\.toml is not valid TOML" in page_text(app)


def test_nothing_starts_beside_something_else(show: Open, launches: Launches, tmp_path: Path) -> None:
    """While a run is written by any process, neither training nor a benchmark starts; the arena goes on and says so.
    Whatever comes between the drawing and the click is a sentence."""
    app = show()
    launches.refusal = "Something is quicker."
    assert r"Something is quicker\." in page_text(press(app, "training_start"))
    writer = RunWriter.amend(make_run(tmp_path))
    writer.update(status="running")
    with trained_by_another(writer.folder):
        assert run(app).button(key="training_start").disabled
        assert "A model is being trained: wait for its end" in page_text(app)
        benchmark = show("benchmark")
        assert benchmark.button(key="benchmark_start").disabled and "A model is being trained" in page_text(benchmark)
        assert "is being trained on this machine: answers take longer" in page_text(show("arena"))
        writer.close("finished")
    assert not run(app).button(key="training_start").disabled
    assert "is being trained" not in page_text(show("arena"))


def test_a_live_run_is_followed_to_its_end(show: Open, launches: Launches, tmp_path: Path) -> None:
    """Whoever started it: how far it is, at which loss, how long it still takes; it can be interrupted and resumed,
    from wherever, and when it is done the way to the arena is there."""
    writer = RunWriter.amend(make_run(tmp_path, name="Demo"))
    writer.update(status="running", steps=6, ended_at=None)
    run_id = writer.run.id
    with trained_by_another(writer.folder):
        app = show()
        assert progress(app) == ["Step 3 of 6"] and "about 3 minutes left, until" in page_text(app)
        press(app, f"training_interrupt_{run_id}")
        assert app.button(key=f"training_interrupt_{run_id}").label == "Stopping after this step…"
        press(app, f"training_at_once_{run_id}")
    assert launches.asked == [("interrupt", run_id)] * 2
    writer.log(LogEntry(step=4, kind="train", loss=1.9, tokens=4000, elapsed_s=240.0))
    assert progress(run(app)) == ["Step 4 of 6"]
    writer.close("interrupted", "Stopped by the user at step 4.")
    assert r"Stopped by the user at step 4\." in page_text(run(app)) and not progress(app)
    press(app, f"training_resume_ended_{run_id}")
    assert launches.asked[2:] == [("resume", run_id)]
    writer = RunWriter.reopen(writer.folder, 4)
    assert progress(run(app)) == ["Step 4 of 6 · loading the model to go on"]
    button = app.button(key=f"training_interrupt_{run_id}")
    assert button.label == "Interrupt" and button.disabled  # it is asked anew, but no process that trains has it
    writer.close("finished")
    launches.last = Launch("Demo", 1.0, True, run_id, "")
    assert progress(run(app)) == ["Trained · making the adapter ready for the arena"]
    launches.last = Launch("Demo", 1.0, False, run_id, "The arena offers it as Demo.")
    assert "**Demo** is trained: 4 steps · loss on the held-out rows 2.600 → 2.100" in page_text(run(app))
    queries = [str(link.proto.query_string) for link in app.get("page_link")]
    to_arena = urlencode({"models": f"{BASE.key},{TUNED.key}"})
    assert queries.count(to_arena) == 2  # in the notice, and where the run says what became of it


def test_a_killed_run_is_noticed(show: Open, tmp_path: Path) -> None:
    """No file changes when its process dies."""
    writer = RunWriter.amend(make_run(tmp_path))
    writer.update(status="running", steps=6)
    app = show()
    assert progress(app) == ["Step 3 of 6"]
    writer.release()
    assert "it was killed" in page_text(run(app)) and not progress(app)


@pytest.mark.parametrize("steps", [-6, 10**14])
def test_odd_figures_of_a_live_run_take_nothing_with_them(show: Open, tmp_path: Path, steps: int) -> None:
    """A run's record may come from anywhere: an end that no calendar has, a recipe that is none of ours."""
    writer = RunWriter.amend(make_run(tmp_path))
    writer.update(status="running", steps=steps, recipe={"evaluation": {"every": "often"}, "lora": 3})
    app = show()
    (words,) = progress(app)
    assert words.startswith(f"Step 3 of {steps:,}") and "loss now" in page_text(app)
    writer.update(origin="imported")
    assert not progress(run(app))
    writer.release()


def test_a_start_that_failed_is_told_to_who_comes_back(show: Open, tmp_path: Path) -> None:
    """It left no run behind that could tell."""
    folder = tmp_path / "results" / "runs" / ".launch"
    folder.mkdir(parents=True)
    (folder / "launch.json").write_text('{"what": "demo", "started_at": 4e9}')
    (folder / "output.log").write_text("The data are gone.\n")
    assert r"**demo** was not trained: The data are gone\." in page_text(show())


def test_without_the_packages_the_page_says_how_to_get_them(show: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app runs without them."""
    monkeypatch.setattr(launch, "PACKAGES", ("no_such_package_anywhere",))
    app = show()
    assert app.button(key="training_start").disabled and "`make train` installs them" in page_text(app)


def test_strangers_neither_train_nor_stop(show: Open, launches: Launches, tmp_path: Path) -> None:
    """On a public page the form is a sentence, a run that is live can only be watched, and no folder is named."""
    writer = RunWriter.amend(make_run(tmp_path))
    writer.update(status="running", steps=6)
    app = show(public=True)
    assert "On a public page only its owners train" in page_text(app) and progress(app) == ["Step 3 of 6"]
    assert not {key for key in keys(app) if key.startswith(("training_start", "training_interrupt", "training_resume"))}
    writer.close("interrupted", f"{tmp_path}/rows.jsonl is gone.")
    launches.last = Launch("demo", time.time(), True, None, f"Reading {tmp_path}/rows.jsonl")
    assert r"Reading rows\.jsonl" in page_text(run(app)) and r"rows\.jsonl is gone" in page_text(app)
    launches.last = Launch("demo", time.time(), False, None, f"Its words are in {tmp_path}/output.log.")
    assert r"Its words are in output\.log" in page_text(run(app))
    assert tmp_path.name not in page_text(app).replace("\\", "")
