"""The comparison as a user drives it: the run that parts two others, and another baseline."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from evaluation.settings import PUBLISHED_DIR
from tests.app_page import press, run
from training.runlog import LOG_FILE, Run, RunWriter

PAGE = "dashboard/app_pages/training.py"
ADD, BASELINE = "training_compare_add_{}", "training_compare_baseline"


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Open the page on these runs, of those that come along."""
    monkeypatch.setenv("PUBLISHED_DIR", str(PUBLISHED_DIR))

    def show(*runs: str) -> AppTest:
        app = AppTest.from_file("../../streamlit_app.py", default_timeout=30).switch_page(PAGE)
        app.query_params["run"] = list(runs)
        return run(app)

    return show


def published(name: str) -> str:
    return next(path.name for path in (PUBLISHED_DIR / "runs").glob(f"{name}-20*"))


def said(app: AppTest) -> str:
    """Everything in Markdown, without its backslashes."""
    return "\n".join(each.value for each in app.markdown).replace("\\", "")


def test_the_run_that_parts_two_others_is_one_click_away(show: Callable[..., AppTest]) -> None:
    """Two changes at once credit neither; beside the run between them each stands alone. The losses are compared with
    the baseline that the visitor chooses."""
    app = show(published("r16"), published("r32"))
    assert "**LoRA rank 16 → 32** and **steps 60 → 120** changed at once, so neither can be credited" in said(app)
    press(app, ADD.format(published("r16-120steps")))
    assert "**r16** and **r16-120steps** differ only in steps; **r16-120steps** and **r32** differ only in" in said(app)
    assert "**r32**'s loss is **lower** than **r16**'s by 0.076" in said(app)
    app.selectbox(key=BASELINE).select(published("r32"))
    run(app)
    assert "At the 120 steps where both saw the same batch, **r16-120steps**'s loss is **higher** than" in said(app)


def test_runs_of_which_little_is_known_are_compared_without_a_verdict(
    show: Callable[..., AppTest], tmp_path: Path
) -> None:
    """Empty, imported and half-deleted runs leave the page standing, and say what is not known of them."""
    results = tmp_path / "results"
    for name in ("**odd**", "gone"):
        writer = RunWriter.create(results, Run(name.strip("*"), name, "running", recipe={"lora": "?"}, method=None))
        writer.close("failed")
    (results / "runs" / "gone" / LOG_FILE).unlink()
    app = show("odd", "gone", published("r16"))
    assert "is not recorded for both" in said(app)
    shutil.rmtree(results / "runs" / "gone")
    run(app)
    assert r"Not recorded for **\*\*odd\*\***" in "\n".join(each.value for each in app.markdown)
