"""What the page draws, computed once per state of the store and selection."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard import services
from dashboard.colors import model_colors
from evaluation.benchmark import folder
from evaluation.leaderboard.answers import Answers, HostFacts, Selection
from evaluation.leaderboard.board import Board, make_board
from evaluation.leaderboard.study import Finding, findings
from evaluation.leaderboard.verdict import verdict
from evaluation.models.names import distinct
from evaluation.settings import PUBLISHED_DIR
from training.runlog import RunError, read_run, run_folders

# Answers are never hashed: their version stands for what they hold.


@dataclass(frozen=True)
class Measured:
    """One selection, from the store to what may be said about it."""

    cells: pd.DataFrame
    models: pd.DataFrame
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
    """Distinct names by model key, in the order of the board."""


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


@st.cache_data(show_spinner=False, max_entries=16)
def runs_by_model(_answers: Answers, version: int, host: str) -> dict[str, str]:
    """The training run of each fine-tune on a machine."""
    models = _answers.models(Selection(host=host, disturbed=True, common=False))
    tuned = models[models["adapter_run"].notna()]
    return dict(zip(tuned["model_key"], tuned["adapter_run"], strict=True))


@st.cache_data(show_spinner="Computing medians and intervals…", max_entries=64)
def measure(_answers: Answers, version: int, selection: Selection) -> Measured:
    """Rows and verdict of a selection."""
    cells, models = _answers.cells(selection), _answers.models(selection)
    board = make_board(cells, models)
    return Measured(cells, models, board, verdict(board, cells))


@st.cache_data(show_spinner="Comparing the fine-tunes…", max_entries=16)
def study(_answers: Answers, version: int, host: str) -> list[Finding]:
    """The study's questions, answered from the machine's answers."""
    runs = []
    for path in run_folders(services.settings().results_dir):
        try:
            runs.append(read_run(path))
        except RunError:
            continue  # a damaged run answers no question; the page of the runs names it
    return findings(_answers, host, runs)


def view_of(answers: Answers, version: int, host: HostFacts, host_name: str, selection: Selection) -> View:
    """The view of a selection. Colors go by all models that are known here, so that no filter changes them."""
    measured = measure(answers, version, selection)
    known = {model.key for model in services.catalog().models} | set(choices(answers, version, host.key)["model_key"])
    rows = measured.board.rows
    names = distinct([row.name for row in rows], [row.quantization for row in rows], [row.model_key for row in rows])
    labels = {row.model_key: name for row, name in zip(rows, names, strict=True)}
    return View(answers, version, host, host_name, selection, measured, model_colors(known | set(labels)), labels)


def only_disturbed(view: View) -> bool:
    """Whether nothing counts, and would if disturbed answers did."""
    board = view.measured.board
    return not board.answered and any(row.left_out.get("disturbed") for row in board.rows)
