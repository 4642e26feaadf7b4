"""The training runs of a report: a table, their losses in one chart, and what can be said of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from evaluation.charts import curve
from evaluation.charts.colors import apart, model_colors
from evaluation.charts.curve import Look
from evaluation.charts.loss import loss_chart
from evaluation.models.names import LONGEST_NAME, display_name, distinct
from evaluation.report.charts import Chart, as_wide_as_the_page
from evaluation.report.texts import sentence
from evaluation.runs.curves import smoothed, starting_weight, thinned
from evaluation.runs.listing import RunSummary, labels
from evaluation.runs.logs import RunLog, RunLogs
from evaluation.runs.reading import reading
from evaluation.runs.statement import statement
from training.public import public_run

MOST_ROWS = 4_000
"""Of the chart, all runs together: a page that is to be sent around must stay small."""
POINTS_SHARE, STEPS_SHARE = 0.5, 0.25
"""What is for points, and for those that can be pointed at; the rest is for the smoothed line."""

TABLES = (curve.POINTS, curve.LINE, curve.STEPS, curve.HELD_OUT, curve.DIVERGED)

Floats = NDArray[np.float64]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class RunRow:
    """What the table says of a run."""

    name: str
    color: str
    base: str
    status: str
    rank: str
    steps: str
    rows: str
    final_loss: str
    held_out_loss: str


@dataclass(frozen=True)
class Said:
    """What can be said of a run."""

    name: str
    color: str
    headline: Markup
    sentences: tuple[Markup, ...]


@dataclass(frozen=True)
class Training:
    """All of it."""

    rows: tuple[RunRow, ...]
    chart: Chart | None
    """``None`` when no run logged a loss."""
    said: tuple[Said, ...]
    differ: tuple[tuple[Markup, ...], ...]
    """How the runs of one base differ and what follows; a tuple of sentences per base that has several."""
    software: tuple[str, ...]
    """``torch 2.13.0``: what they were trained with."""


@dataclass(frozen=True, eq=False)
class _Shown:
    summary: RunSummary
    log: RunLog
    label: str
    color: str


def training(runs: Sequence[RunSummary], logs: RunLogs, colors: Mapping[str, str]) -> Training:
    """Of these runs, oldest first; ``colors`` that are taken, by id of the run where they are those of its model.
    Nothing in it names a path of this machine."""
    shown = _shown([replace(each, run=public_run(each.run)) for each in reversed(runs)], logs, colors)
    return Training(
        rows=tuple(_row(each) for each in shown),
        chart=_loss(shown),
        said=tuple(_said(each) for each in shown),
        differ=tuple(_differ(shown)),
        software=tuple(sorted({f"{name} {version}" for each in shown for name, version in _packages(each)})),
    )


def _shown(runs: Sequence[RunSummary], logs: RunLogs, colors: Mapping[str, str]) -> list[_Shown]:
    names = {run: name[:LONGEST_NAME] for run, name in labels(runs).items()}
    unique = dict(zip(names, distinct(list(names.values()), [f"({run})" for run in names]), strict=True))
    own = apart({**colors, **{run: model_colors([run])[run] for run in names if run not in colors}})
    read = logs.read([each.folder for each in runs])
    return [_Shown(each, read[each.folder], unique[each.run.id], own[each.run.id]) for each in runs]


def _row(shown: _Shown) -> RunRow:
    each, run = shown.summary, shown.summary.run
    steps = _number(each.steps_done, ",.0f")
    return RunRow(
        name=shown.label,
        color=shown.color,
        base=display_name(None, run.base.model) if run.base else "–",
        status=run.status if run.origin == "trained" else run.origin,
        rank=_number(each.setting("lora", "rank"), ",.0f"),
        steps=steps if run.steps in (None, each.steps_done) else f"{steps} of {run.steps:,}",
        rows=_number(run.data.train_rows if run.data else None, ",.0f"),
        final_loss=_number(each.final_loss, ".3f"),
        held_out_loss=_number(each.held_out_loss, ".3f"),
    )


def _number(value: Any, form: str) -> str:
    return f"{value:{form}}" if isinstance(value, int | float) and np.isfinite(value) else "–"


def _said(shown: _Shown) -> Said:
    found = statement(shown.summary.run, shown.log)
    return Said(shown.label, shown.color, sentence(found.headline), tuple(map(sentence, found.sentences)))


def _differ(shown: Sequence[_Shown]) -> list[tuple[Markup, ...]]:
    def base(each: _Shown) -> str:
        return each.summary.run.base.model if each.summary.run.base else ""

    said = []
    for name, group in groupby(sorted(shown, key=base), key=base):
        family = list(group)
        if name and len(family) > 1:
            summaries = [each.summary for each in family]
            found = reading(summaries, [each.label for each in family], summaries, {})
            said.append(tuple(map(sentence, found.sentences)))
    return said


def _packages(shown: _Shown) -> list[tuple[str, str]]:
    return list((shown.summary.run.packages or {}).items())


def _loss(shown: Sequence[_Shown]) -> Chart | None:
    logged = [each for each in shown if _is_logged(each.log)]
    if not logged:
        return None
    share = MOST_ROWS // len(logged)
    tables: dict[str, Rows] = {name: [] for name in TABLES}
    for each in logged:
        for name, rows in _tables(each, share).items():
            tables[name] += rows
    total = sum(len(each.log.train) for each in logged)
    look = Look(
        labels=tuple(each.label for each in logged),
        colors=tuple(each.color for each in logged),
        x_title="Steps",
        y_title="Loss, nats per token",
        texts=("label", "step", "value", "smooth"),
        held_out_texts=("label", "step", "value"),
        density=min(1, curve.density(total)),
        value_title="Loss",
    )
    held_out = " Diamonds: loss on the held-out rows." if tables[curve.HELD_OUT] else ""
    diverged = " Triangles at the top: the loss is no finite number." if tables[curve.DIVERGED] else ""
    legend = " A click on a run in the legend hides it." if len(logged) > 1 else ""
    steering = "Ctrl + wheel zooms, a double click resets."
    caption = f"Points: logged steps. Line: smoothed.{held_out}{diverged}{legend} {steering}"
    if len(tables[curve.POINTS]) < total:
        caption += f" Drawn from {len(tables[curve.POINTS]):,} of {total:,} points; peaks and troughs are kept."
    spec = as_wide_as_the_page({**loss_chart(look), "datasets": tables})
    return Chart("loss", "Loss, step by step", sentence(caption), spec)


def _is_logged(log: RunLog) -> bool:
    return any(np.isfinite(table["loss"].to_numpy(np.float64)).any() for table in (log.train, log.held_out))


def _tables(shown: _Shown, share: int) -> dict[str, Rows]:
    """The rows of a run, of each table that a loss chart wants, at most ``share`` together with a few of its own."""
    train, held_out = shown.log.train, shown.log.held_out
    x, y = _columns(train)
    smooth = smoothed(y, starting_weight(len(y)))
    points = thinned(x, y, round(share * POINTS_SHARE))
    steps = points[thinned(x[points], y[points], round(share * STEPS_SHARE))]
    line = thinned(x, smooth, round(share * (1 - POINTS_SHARE - STEPS_SHARE)))
    x_held_out, y_held_out = _columns(held_out)
    evaluated = thinned(x_held_out, y_held_out, share)
    diverged = shown.log.diverged_steps[:: max(1, len(shown.log.diverged_steps) // 100)]
    label = {"label": shown.label}
    return {
        curve.POINTS: [{**label, "x": x[at], "y": round(y[at], 4)} for at in points],
        curve.LINE: [{**label, "x": x[at], "y": round(smooth[at], 4)} for at in line],
        curve.STEPS: [
            {**label, "x": x[at], "y": round(y[at], 4), **_texts(x[at], y[at]), "smooth": f"{smooth[at]:.4f}"}
            for at in steps
        ],
        curve.HELD_OUT: [
            {**label, "x": x_held_out[at], "y": y_held_out[at], **_texts(x_held_out[at], y_held_out[at])}
            for at in evaluated
        ],
        curve.DIVERGED: [{**label, "x": float(step), **_texts(step, np.nan)} for step in diverged],
    }


def _columns(table: pd.DataFrame) -> tuple[Floats, Floats]:
    return table["step"].to_numpy(np.float64), table["loss"].to_numpy(np.float64)


def _texts(step: float, loss: float) -> dict[str, str]:
    return {"step": f"{step:,.0f}", "value": f"{loss:.4f}" if np.isfinite(loss) else "no finite number"}
