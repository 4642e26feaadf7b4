"""What the page draws, computed once per state of the store and selection."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard import services
from evaluation.benchmark import folder
from evaluation.charts.colors import model_colors
from evaluation.leaderboard.answers import Answers, AnswerText, HostFacts, Selection
from evaluation.leaderboard.board import Board, make_board
from evaluation.leaderboard.study import Finding, basis, findings
from evaluation.leaderboard.verdict import verdict
from evaluation.models.names import distinct
from evaluation.settings import PUBLISHED_DIR
from training.runlog import RunError, read_run, run_folders

NAMED_BY = ("model_name", "quantization", "model_key")

# Answers are never hashed: their version stands for what they hold.


@dataclass(frozen=True)
class Measured:
    """One selection, from the store to what may be said about it."""

    cells: pd.DataFrame
    board: Board
    sentences: Sequence[str]
    """The verdict."""


@dataclass(frozen=True)
class View:
    """Everything that is drawn below the filters."""

    answers: Answers
    version: int
    host: HostFacts
    host_name: str
    selection: Selection
    measured: Measured
    colors: dict[str, str]
    """By model key."""
    labels: dict[str, str]
    """Distinct names by model key, in the order of the board; the verdict has the same."""


@st.cache_data(show_spinner=False, max_entries=8)
def hosts(_answers: Answers, version: int) -> list[HostFacts]:
    """The machines that have answers."""
    return _answers.hosts()


@st.cache_data(show_spinner=False, max_entries=16)
def choices(_answers: Answers, version: int, host: str) -> pd.DataFrame:
    """What can be selected on a machine."""
    return _answers.choices(host)


@st.cache_data(show_spinner=False, max_entries=8)
def benchmark_names(version: int) -> dict[str, tuple[str, float]]:
    """Name and UTC time of each benchmark's plan, by id; a benchmark whose folder is gone is absent."""
    found, _ = folder.benchmarks(services.settings().results_dir, PUBLISHED_DIR)
    return {each.plan.id: (each.plan.name, each.plan.created_at) for each in found}


@dataclass(frozen=True)
class Models:
    """All models of a machine, by key."""

    names: dict[str, str]
    """Distinct ones."""
    runs: dict[str, str]
    """The training run of each fine-tune."""


@st.cache_data(show_spinner=False, max_entries=16)
def models(_answers: Answers, version: int, host: str) -> Models:
    """The models that have answers on a machine, whatever is filtered: a model has one name on the whole page."""
    found = _answers.models(Selection(host=host, disturbed=True, common=False))
    tuned = found[found["adapter_run"].notna()]
    return Models(
        dict(zip(found["model_key"], distinct(*(found[each] for each in NAMED_BY)), strict=True)),
        dict(zip(tuned["model_key"], tuned["adapter_run"], strict=True)),
    )


@st.cache_data(show_spinner="Computing medians and intervals…", max_entries=64)
def measure(_answers: Answers, version: int, selection: Selection) -> Measured:
    """Rows and verdict of a selection."""
    cells, found = _answers.cells(selection), _answers.models(selection)
    names = models(_answers, version, selection.host).names
    board = make_board(cells, found.assign(model_name=found["model_key"].map(names)))
    return Measured(cells, board, verdict(board, cells))


@st.cache_data(show_spinner="Comparing the fine-tunes…", max_entries=16)
def study(_answers: Answers, version: int, host: str, disturbed: bool) -> tuple[str, list[Finding]]:
    """What the study's questions were answered from, and the answers."""
    found = [*run_folders(PUBLISHED_DIR), *run_folders(services.settings().results_dir)]
    runs = []
    for path in {path.name: path for path in found}.values():  # the published ones are in the default folder, too
        try:
            runs.append(read_run(path))
        except RunError:
            continue  # a damaged run answers no question; the page of the runs names it
    return basis(_answers, host, disturbed), findings(_answers, host, runs, disturbed)


@st.cache_data(show_spinner=False, max_entries=32)
def texts(
    _answers: Answers, version: int, selection: Selection, prompt: str, model_keys: tuple[str, ...]
) -> dict[str, list[AnswerText]]:
    """What these models wrote to a prompt, read from the files."""
    return _answers.texts(selection, prompt, model_keys)


def view_of(answers: Answers, version: int, host: HostFacts, host_name: str, selection: Selection) -> View:
    """The view of a selection. Colors go by all models that are known here, so that no filter changes them; published
    ones are never those of the catalog, so they have the palette to themselves."""
    measured = measure(answers, version, selection)
    known = [] if host.published else [model.key for model in services.catalog().models]
    colors = model_colors(known, models(answers, version, host.key).names)
    labels = {row.model_key: row.name for row in measured.board.rows}
    return View(answers, version, host, host_name, selection, measured, colors, labels)


def only_disturbed(view: View) -> bool:
    """Whether nothing counts, and would if disturbed answers did."""
    board = view.measured.board
    return not board.answered and any(row.left_out.get("disturbed") for row in board.rows)
