"""What the training page says about learning, and its threshold."""

from streamlit.testing.v1 import AppTest

from tests.app_page import run


def page() -> None:
    """A run that fell and then diverged, one whose held-out loss alone fell, and one of nothing yet, or more of those;
    or the other way round."""
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import streamlit as st

    from dashboard.training.data import ShownRun
    from dashboard.training.trend import draw_trend
    from evaluation.runs.listing import RunSummary
    from evaluation.runs.logs import RunLog
    from training.runlog import DataCard, Run

    def shown(name: str, losses: list[float], held_out: list[float]) -> ShownRun:
        train = pd.DataFrame({"step": np.arange(1, len(losses) + 1), "loss": np.array(losses, dtype=float)})
        evaluated = pd.DataFrame({"step": 20 * np.arange(len(held_out)), "loss": np.array(held_out, dtype=float)})
        diverged = train["step"][~np.isfinite(train["loss"])].to_numpy()
        log = RunLog((len(losses), 0), train, evaluated, diverged)
        run = Run(name, name, "finished", data=DataCard("rows", 700, held_out_rows=60))
        return ShownRun(RunSummary(Path(name), run, False), log, name, "#10a37f")

    fell = [2 - 0.01 * step for step in range(1, 41)]
    noise = [2 + (-1) ** step * 0.1 for step in range(1, 41)]
    waiting = [shown(f"empty {number}", [], []) for number in range(st.session_state.get("waiting", 1))]
    runs = [
        shown("*fell*", [*fell, float("nan")], [2.5, 1.5, 1.7]),
        shown("noisy", noise, [2.5, 2.4, 2.3]),
        *waiting,
    ]
    draw_trend(runs[::-1] if st.session_state.get("reversed") else runs)


def text(app: AppTest) -> str:
    return "\n".join(str(element.value) for element in app.markdown)


def test_each_run_has_its_statement_and_one_threshold() -> None:
    """It starts near the first run's losses; moved, all counts follow."""
    app = run(AppTest.from_function(page))
    words = text(app)
    threshold = app.number_input[0]
    assert threshold.value == 1.8 and "Steps above 1.8 in each quarter of 10: 10, 9, 0 and 0" in words
    assert r"**\*fell\*** " in words and "The run diverged" in words and "sign of overfitting" in words
    assert "too noisy to tell, but the held-out loss fell" in words and "On the 60 held-out rows" in words
    assert "Nothing to tell yet" in words and "No training loss is logged yet." in words
    threshold.set_value(1.7)
    words = text(run(app))
    assert "Steps above 1.7 in each quarter of 10: 10, 10, 9 and 0" in words
    assert "| third | 21–30 | 1.745 | 9 of 10 (90%) |" in words


def test_the_threshold_follows_the_data_until_it_is_moved() -> None:
    """A run without a step says nothing about it; the first losses do, and a visitor's choice outlasts other runs."""
    app = AppTest.from_function(page)
    app.session_state["reversed"] = True
    assert run(app).number_input[0].value == 1.0
    app.session_state["reversed"] = False
    assert run(app).number_input[0].value == 1.8
    app.number_input[0].set_value(1.7)
    run(app)
    app.session_state["reversed"] = True
    assert run(app).number_input[0].value == 1.7 and "| third | 21–30 | 1.745 | 9 of 10 (90%) |" in text(app)


def test_many_runs_are_a_row_each() -> None:
    """With the headline on it; the rest waits inside."""
    app = AppTest.from_function(page)
    app.session_state["waiting"] = 4
    rows = run(app).expander
    assert len(rows) == 6 and "The run diverged" in rows[0].label and "Nothing to tell yet" in rows[5].label
    assert "in each quarter" not in text(app)
    app.session_state["training_trend_*fell*"] = True
    assert "Steps above 1.8 in each quarter of 10" in text(run(app))
