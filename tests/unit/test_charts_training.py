"""The charts of training runs: what is drawn of long, wild and short logs, and what is said about the rest."""

import re
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dashboard.downloads import to_svg
from dashboard.training.curve_axes import AXES, known_axes
from dashboard.training.curve_controls import Choice
from dashboard.training.curve_data import LOSS_BUDGET, METRIC_BUDGET, Drawing, Wish, drawing
from dashboard.training.curve_files import every_step
from dashboard.training.curve_notes import notes, nothing_yet
from dashboard.training.data import ShownRun
from evaluation.charts.curve import DIVERGED, HELD_OUT, LINE, POINTS, RANGE, STEPS, Look, with_tables
from evaluation.charts.loss import loss_chart
from evaluation.charts.metrics import metric_chart, titled
from evaluation.runs.listing import RunSummary
from evaluation.runs.logs import METRICS, RunLog
from training.runlog import Run

BLUE = "#3b82f6"
STEPS_AXIS = AXES["Steps"]
WISH = Wish("loss", STEPS_AXIS, 0.5)


def made(name: str, losses: Any, held_out: dict[int, float] | None = None, **columns: Any) -> ShownRun:
    """A run with these losses at steps 1, 2, …, these evaluations by step, and other columns of its log."""
    losses = np.asarray(losses, np.float64)
    steps = np.arange(1, len(losses) + 1)
    train = pd.DataFrame({"step": steps, **dict.fromkeys(METRICS, nan), "loss": losses, **columns})
    evaluations = {} if held_out is None else held_out
    evaluated = pd.DataFrame(
        {"step": [*evaluations], **dict.fromkeys(METRICS, nan), "loss": [*evaluations.values()]}
    ).astype({"step": "int64", **dict.fromkeys(METRICS, "float64")})
    log = RunLog((hash(name), len(losses)), train, evaluated, steps[~np.isfinite(losses)])
    return ShownRun(RunSummary(Path(name), Run(name, name, "finished"), False), log, name, BLUE)


def drawn(found: Drawing, table: str) -> pd.DataFrame:
    return found.tables[table].to_pandas()


def svg(chart: dict[str, Any], found: Drawing) -> str:
    return to_svg(with_tables(chart, found.tables)).decode()


def marks(picture: str, kind: str) -> int:
    """How many marks of a kind there are, a line counting once."""
    return len(re.findall(rf'aria-roledescription="{kind}"', picture))


def look(*labels: str, **changes: Any) -> Look:
    return replace(Look(labels, (BLUE,) * len(labels), "Steps", "Loss", ("label", "step", "value")), **changes)


def test_long_logs_are_thinned_after_smoothing() -> None:
    """Twenty runs of 100,000 steps stay far below 2 MB. The line is pandas' over all steps, not over the drawn ones;
    the highest point stays; a visible part of the axis gets more points than it had, the rest keeps a few."""
    noise = np.random.default_rng(0)
    runs = [made(f"long {n}", 2 + noise.normal(0, 0.2, 100_000)) for n in range(20)]
    runs[3].log.train.loc[77_776, "loss"] = 9.5
    wish = Wish("loss", STEPS_AXIS, 0.999)
    found = drawing(runs, wish, LOSS_BUDGET)
    assert sum(table.nbytes for table in found.tables.values()) < 700_000
    assert (found.points, found.total) == (found.tables[POINTS].num_rows, 2_000_000) and found.points <= 12_000
    points, line = drawn(found, POINTS), drawn(found, LINE)
    assert points[points["label"] == "long 3"]["y"].max() == 9.5
    golden = runs[3].log.train["loss"].ewm(alpha=0.001, adjust=True).mean()
    mine = line[line["label"] == "long 3"]
    assert mine["y"].to_numpy() == pytest.approx(golden.to_numpy()[mine["x"].astype(int) - 1], rel=1e-6)
    zoomed = drawn(drawing(runs, replace(wish, x_range=(20_000, 22_000)), LOSS_BUDGET), POINTS)
    assert sum(zoomed["x"].between(20_000, 22_000)) > 20 * sum(points["x"].between(20_000, 22_000))
    assert zoomed["x"].min() == 1 and zoomed["x"].max() == 100_000 and len(zoomed) <= 12_000
    only = drawing(runs, replace(wish, x_range=(20_000, 22_000), only_visible=True), METRIC_BUDGET)
    assert drawn(only, POINTS)["x"].between(20_000, 22_000).all() and list(drawn(only, RANGE)["x"]) == [20_000, 22_000]


def test_outliers_are_clipped_and_counted() -> None:
    """On request, three wild steps and an evaluation leave the picture and are counted; the ends move only when they
    must, so that a growing log does not make the browser draw anew at every step. Without any outlier nothing is
    clipped."""
    noise = np.random.default_rng(1).normal(0, 0.1, 400)
    losses = 2 + noise
    losses[[50, 51, 300]] = [90, 80, -70]
    wish = Wish("loss", STEPS_AXIS, 0.9, clip=True)
    found = drawing([made("wild", losses)], wish, LOSS_BUDGET)
    assert found.outside == 3 and found.total == 400 and found.points == 397
    assert found.y_domain and found.y_domain[0] <= 2 + noise.min() and found.y_domain[1] >= 2 + noise.max()
    assert found.y_domain[1] - found.y_domain[0] < 1
    assert drawing([made("wilder", [*losses, 2.01])], wish, LOSS_BUDGET).y_domain == found.y_domain
    assert "3 points lie outside." in said([made("wild", losses)], found, clip=True)
    evaluated = [made("evaluated", losses, {0: 2.0, 100: 2.1, 200: 1.9, 300: 2.0, 400: 95.0})]
    assert "3 points and 1 evaluation lie outside." in said(evaluated, drawing(evaluated, wish, LOSS_BUDGET), clip=True)
    calm = drawing([made("calm", 2 + noise)], wish, LOSS_BUDGET)
    assert calm.y_domain is None and "Nothing lies outside." in said([made("calm", 2 + noise)], calm, clip=True)


def said(runs: list[ShownRun], found: Drawing, shown: list[ShownRun] | None = None, **changes: Any) -> str:
    choice = replace(Choice(STEPS_AXIS, 0.9, False, False), **changes)
    return notes(runs, runs if shown is None else shown, choice, found)


def test_what_diverged_is_marked_and_the_line_goes_on() -> None:
    """NaN and infinite losses are no points; each has a mark at the top edge that says which it was, and the line joins
    what is around them. What a log scale cannot show is counted."""
    run = made("broken", [3.0, nan, 2.0, inf, 0.0, 1.0], held_out={3: 2.5})
    found = drawing([run], Wish("loss", STEPS_AXIS, 0.0), LOSS_BUDGET)
    assert list(drawn(found, POINTS)["x"]) == [1, 3, 5, 6] and list(drawn(found, LINE)["x"]) == [1, 3, 5, 6]
    assert drawn(found, DIVERGED)[["x", "value"]].to_numpy().tolist() == [[2, "NaN"], [4, "infinite"]]
    text = said([run], found)
    assert "**broken** is NaN or infinite at 2 steps (from step 2 on)" in text and "held-out" in text
    picture = svg(loss_chart(look("broken")), found)
    assert marks(picture, "line mark") == 2 and marks(picture, "point") == 3  # smoothed and held out; ▼▼ and a diamond
    logarithmic = drawing([run], Wish("loss", STEPS_AXIS, 0.0, log_scale=True), LOSS_BUDGET)
    assert logarithmic.not_positive == 1 and list(drawn(logarithmic, LINE)["x"]) == [1, 3, 6]
    assert "1 point at or below 0" in said([run], logarithmic)


def test_axes_are_those_that_were_logged() -> None:
    """An axis that no run logged is not offered; an evaluation that does not say how many tokens it came after lies
    where training was; a run without tokens is named as not shown, one without steps as waiting."""
    tokens = made("with", [3.0, 2.0], {0: 3.5, 2: 2.1}, tokens=[1000.0, 2500.0], elapsed_s=[1800.0, 3600.0])
    without, waiting = made("with*out*", [2.0]), made("new", [])
    assert known_axes([without]) == ["Steps"] and known_axes([tokens, without]) == ["Steps", "Tokens", "Hours"]
    found = drawing([tokens], Wish("loss", AXES["Tokens"], 0.5), LOSS_BUDGET)
    assert list(drawn(found, HELD_OUT)["x"]) == [0, 2500]
    hours = drawing([tokens], Wish("loss", AXES["Hours"], 0.5), LOSS_BUDGET)
    assert list(drawn(hours, POINTS)["x"]) == [0.5, 1.0]
    text = said([tokens, without, waiting], found, shown=[tokens], axis=AXES["Tokens"])
    assert "tokens were not logged: **with\\*out\\***" in text and "Without any step so far: **new**" in text
    live = replace(waiting, summary=replace(waiting.summary, run=Run("new", "new", "running")))
    assert nothing_yet([live]) == "Waiting for the first step." and "**new**" in nothing_yet([waiting])


def test_a_point_tells_all_values_of_its_step() -> None:
    """Each as people write it, and what is not known as a dash."""
    run = made(
        "told", [2.345678], learning_rate=[2e-4], grad_norm=[0.51], tokens=[1234567.0], tok_s=[220.4],
        elapsed_s=[812.6], mean_token_accuracy=[0.4817], epoch=[0.1],
    )  # fmt: skip
    (row,) = drawn(drawing([run], Wish("loss", STEPS_AXIS, 0.9), LOSS_BUDGET), STEPS).to_dict("records")
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    assert texts == {
        "label": "told", "step": "1", "value": "2.3457", "smooth": "2.3457", "learning_rate": "0.0002",
        "grad_norm": "0.51", "tokens": "1,234,567", "tok_s": "220", "elapsed_s": "13 min 33 s",
        "mean_token_accuracy": "48.2%", "entropy": "–",
    }  # fmt: skip


def test_the_legend_hides_runs_and_a_chart_begins_as_it_was_left() -> None:
    """A hidden run leaves the picture and stays in the legend; runs of one color get different lines; a zoom to begin
    with is the picture's range. The specification holds none of the data, or it would change while a run goes on."""
    found = drawing([made("first", [3.0, 2.0, 1.0]), made("second", [4.0, 5.0, 6.0])], WISH, LOSS_BUDGET)
    both, one = loss_chart(look("first", "second")), loss_chart(look("first", "second"), ["first"])
    assert marks(svg(both, found), "circle") == 2 * marks(svg(one, found), "circle")
    assert "second" in svg(one, found) and len(set(re.findall(r'stroke-dasharray="([^"]*)"', svg(both, found)))) >= 2
    zoomed = svg(loss_chart(look("first", "second"), zoom={"x": [2.0, 2.1], "y": [1.0, 5.0]}), found)
    assert ">2.02<" in zoomed and ">2.02<" not in svg(both, found)
    assert "datasets" not in both


def test_small_charts_show_the_part_that_is_visible() -> None:
    """Under a title, without a legend; the axis reaches over the visible part, also where nothing was logged."""
    run = made("small", np.ones(50), entropy=np.linspace(2, 1, 50))
    wish = Wish("entropy", STEPS_AXIS, 0.9, x_range=(40.0, 80.0), only_visible=True)
    found = drawing([run], wish, METRIC_BUDGET)
    picture = svg(titled(metric_chart(look("small", legend=False)), "Entropy"), found)
    assert "Entropy" in picture and ">80<" in picture and ">small<" not in picture
    rate = drawing([run], replace(wish, metric="loss", noisy=False, x_range=None), METRIC_BUDGET)
    assert not rate.tables[POINTS].num_rows and set(drawn(rate, LINE)["y"]) == {1.0}


def test_a_file_holds_every_step_of_the_visible_part() -> None:
    """Thinned for the eye only: the table has all of them, with the smoothed line and the evaluations."""
    run = made("filed", np.arange(30_000) / 1e4, {0: 3.0, 20_000: 2.0})
    table = every_step([run], "loss", Choice(STEPS_AXIS, 0.9, False, False), (15_000.0, 25_000.0))
    assert table.groupby("kind").size().to_dict() == {"held-out": 1, "train": 10_001}
    golden = run.log.train["loss"].ewm(alpha=1 - 0.9, adjust=True).mean()
    assert table["loss_smoothed"].iloc[0] == pytest.approx(golden[14_999])
