"""From a run to the arena and the leaderboard, and from the models on the other pages back to it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import services
from evaluation.leaderboard.answers import Answers
from evaluation.models import Catalog
from evaluation.settings import Settings
from evaluation.store import ResponseStore
from tests.app_page import run
from tests.fake_engine import FakeEngine, chat_model
from tests.finished_run import ROW, make_run
from tests.responses import HOST, MEASURED, PLAIN
from training.runlog import read_run

ARENA, LEADERBOARD, BENCHMARK, TRAINING = (
    f"dashboard/app_pages/{page}.py" for page in ("arena", "leaderboard", "benchmark", "training")
)
LONG = "# Not a *heading* <b>" + " long" * 300
Open = Callable[..., AppTest]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """With one finished run."""
    make_run(tmp_path)
    return tmp_path / "results"


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, results: Path) -> Open:
    """A page over these results, with a base, the run's fine-tune of it and one of a run that is not here."""
    models = [chat_model("Small model", each) for each in (None, run_of(results), "gone")]

    def catalog() -> Catalog:
        return Catalog(tuple(models), ())

    catalog.clear = lambda: None
    store = ResponseStore(results / "responses")
    answers = Answers(results)

    def open_page(page: str, query: dict[str, str] | None = None, public: bool = False) -> AppTest:
        settings = Settings(tmp_path / "models", results, tmp_path / "cache", tmp_path / "published", public)
        monkeypatch.setattr(services, "settings", lambda: settings)
        app = AppTest.from_file("../../streamlit_app.py", default_timeout=20)
        if page != ARENA:
            app = app.switch_page(page)
        for name, value in (query or {}).items():
            app.query_params[name] = value
        return run(app)

    monkeypatch.setattr(services, "catalog", catalog)
    monkeypatch.setattr(services, "store", lambda: store)
    monkeypatch.setattr(services, "answers", lambda: answers)
    monkeypatch.setattr(services, "engine", lambda: FakeEngine(store.append))
    return open_page


def run_of(results: Path) -> str:
    return next((results / "runs").iterdir()).name


def links(app: AppTest) -> dict[str, dict[str, str]]:
    """Label -> where a link leads within the app."""
    found = [element.proto for element in app.get("page_link")]
    return {each.label: {key: value[0] for key, value in parse_qs(each.query_string).items()} for each in found}


def texts(app: AppTest) -> str:
    return "\n".join(str(each.value) for kind in (app.markdown, app.caption, app.text) for each in kind)


def test_from_a_run_to_arena_and_leaderboard(open_page: Open, results: Path) -> None:
    """Base and fine-tune open side by side in the arena, and each benchmark that asked it in the leaderboard; of a
    stranger's page no row of the data is part."""
    store = ResponseStore(results / "responses")
    for number, response in enumerate((MEASURED, replace(PLAIN, host=replace(HOST, key="e" * 12)))):
        model = replace(response.model, key=f"tuned-{number}", adapter_run=run_of(results))
        store.append(replace(response, id=f"{number:026d}", model=model))
    app = open_page(TRAINING, {"run": run_of(results)})
    models = [model.key for model in services.catalog().models[:2]]
    assert links(app)["Open base against this"] == {"models": ",".join(models)}
    led = [parse_qs(each.proto.query_string) for each in app.get("page_link") if "leaderboard" in each.proto.label]
    assert {each["run"][0] for each in led} == {run_of(results)}
    assert {(each["host"][0], each["benchmark"][0]) for each in led} == {
        (HOST.key, MEASURED.cell.benchmark),
        ("e" * 12, "all"),
    }
    assert ROW not in texts(open_page(TRAINING, {"run": run_of(results)}, public=True))


def test_examples_are_shown_to_the_letter(open_page: Open, results: Path, tmp_path: Path) -> None:
    """Rows are text, whatever Markdown or HTML is in them; a long one is cut until all of it is asked for."""
    card = replace(
        read_run(next((results / "runs").iterdir())).data,
        examples=(({"role": "user", "content": LONG}, {"role": "tool", "content": "A"}),),
    )
    id = make_run(tmp_path, data=card).name
    app = open_page(TRAINING, {"run": id})
    assert LONG not in texts(app)
    app.session_state[f"training_card_examples_{id}"] = True
    run(app)
    shown = [element.value for element in app.text]
    assert "A" in shown and LONG[:100] in shown[0] and f"{len(LONG):,} characters in all" in shown[0]
    app.toggle(key=f"training_card_example_{id}_0").set_value(True)
    run(app)
    assert LONG in [element.value for element in app.text]
    assert not any("Not a" in element.value for element in app.markdown)


def test_from_every_model_back_to_its_run(open_page: Open, results: Path) -> None:
    """Pane, answer and conversation of the arena, the benchmark's form, the leaderboard's table: the fine-tune leads to
    its run; a model whose run is not here leads nowhere."""
    wanted = f"](training?run={run_of(results)} "
    app = open_page(ARENA)
    assert links(app)["Its training run"] == {"run": run_of(results)}
    assert len(app.get("page_link")) == 2  # in one of three panes, and the one to the Models page
    app.chat_input(key="arena_message").set_value("Hello")
    run(app)
    for number, model in enumerate(services.catalog().models):
        services.store().append(
            replace(
                MEASURED, id=f"{number:026d}", model=model.ref, prompt_busy_s=0.1, decode_busy_s=1.0, cached_tokens=0
            )
        )
    for page in (app, open_page(BENCHMARK), open_page(LEADERBOARD, {"host": HOST.key})):
        assert wanted in texts(page)
        assert "training?run=gone" not in texts(page)
    app = open_page(LEADERBOARD, {"host": HOST.key, "run": run_of(results)})
    assert app.multiselect(key="leaderboard_runs").value == [run_of(results)]


def test_a_link_to_the_arena_can_be_followed_again(open_page: Open, results: Path) -> None:
    """After a conversation was begun with other models, the same link chooses its models once more."""
    base, tuned, gone = (model.key for model in services.catalog().models)
    app = open_page(ARENA, {"models": f"{base},{tuned}"})
    app.selectbox(key="arena_pane1_model").set_value(gone)
    app.chat_input(key="arena_message").set_value("Hello")
    run(app)
    run(app)
    app.query_params.clear()
    app.query_params["models"] = f"{base},{tuned}"
    run(app)
    assert app.selectbox(key="arena_pane1_model").value == tuned
