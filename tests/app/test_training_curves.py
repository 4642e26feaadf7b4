"""The charts on the Training page, as they are drawn for two runs of which one goes on."""

import json
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import services
from evaluation.models import Catalog
from evaluation.settings import Settings
from tests.app_page import run
from training.runlog import LogEntry, Run, RunWriter


def page() -> None:
    """The part of the page under test."""
    from dashboard.training import data
    from dashboard.training.curves import draw_curves

    draw_curves(data.shown([each for each in data.listing().runs if not each.read_only]))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AppTest:
    monkeypatch.setattr(services, "settings", lambda: Settings(tmp_path / "models", tmp_path, tmp_path / "cache"))
    monkeypatch.setattr(services, "catalog", lambda: Catalog((), ()))
    return AppTest.from_function(page, default_timeout=20)


def log(writer: RunWriter, *steps: int) -> None:
    writer.log(
        *(
            LogEntry(step, "train", 3 - step / 100, step / 10, 2e-4, 0.5, step * 1000, 200.0, step * 5.0, 0.5, 2.0)
            for step in steps
        )
    )


def charts(app: AppTest) -> list:
    return [element.proto for element in app.get("vega_lite_chart")]


def test_a_log_that_grows_changes_points_and_nothing_else(app: AppTest, tmp_path: Path) -> None:
    """A run without a step is waited for. Then its losses are drawn beside another run's with every other metric that
    was logged; a further step changes only the tables of the charts, so the browser keeps zoom and hidden runs; and a
    run that is deleted meanwhile leaves the page standing."""
    going_on = RunWriter.create(tmp_path, Run("going-on", "Going on", "running", steps=40))
    other = RunWriter.create(tmp_path, Run("other", "Other", "running", steps=40))
    assert "Waiting for the first step" in run(app).info[0].value and not charts(app)
    log(going_on, *range(1, 20))
    log(other, *range(1, 41))
    other.log(LogEntry(40, "eval", 2.5))
    other.close("finished")
    before = charts(run(app))
    titles = [json.loads(chart.spec)["title"]["text"] for chart in before[1:]]
    assert titles == ["Learning rate", "Gradient norm", "Token accuracy", "Entropy, nats", "Throughput, tokens/s"]
    assert {"zoom", "shown"} <= set(before[0].selection_mode) and "Diamonds" in app.caption[-1].value
    log(going_on, 20)
    after = charts(run(app))
    for old, new in zip(before, after, strict=True):
        assert (old.spec, old.id) == (new.spec, new.id) and [d.name for d in old.datasets] == [
            d.name for d in new.datasets
        ]
        assert any(a.data.data != b.data.data for a, b in zip(old.datasets, new.datasets, strict=True))
    app.toggle(key="training_log_scale").set_value(True)
    run(app)
    assert '"type": "log"' in charts(app)[0].spec and app.select_slider(key="training_weight").value == 0.75
    shutil.rmtree(going_on.folder)
    assert "Going on" not in charts(run(app))[0].spec
    shutil.rmtree(other.folder)
    assert not charts(run(app))
    going_on.release()
