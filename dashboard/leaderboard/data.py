"""What the page draws, computed once per state of the store and selection."""

import pandas as pd
import streamlit as st

from dashboard import services
from evaluation.benchmark import folder
from evaluation.leaderboard import view
from evaluation.leaderboard.answers import Answers, AnswerText, HostFacts, Selection
from evaluation.leaderboard.study import Finding, basis, findings
from evaluation.leaderboard.view import Measured, Models, View
from training.runlog import RunError, read_run, run_folders

# Answers are never hashed: their version stands for what they hold.


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
    folders = services.settings()
    found, _ = folder.benchmarks(folders.results_dir, folders.published_dir)
    return {each.plan.id: (each.plan.name, each.plan.created_at) for each in found}


@st.cache_data(show_spinner=False, max_entries=16)
def models(_answers: Answers, version: int, host: str) -> Models:
    """The models that have answers on a machine."""
    return view.models_of(_answers, host)


@st.cache_data(show_spinner="Computing medians and intervals…", max_entries=64)
def measure(_answers: Answers, version: int, selection: Selection) -> Measured:
    """Rows and verdict of a selection."""
    return view.measure(_answers, selection, models(_answers, version, selection.host).names)


@st.cache_data(show_spinner="Comparing the fine-tunes…", max_entries=16)
def study(_answers: Answers, version: int, host: str, disturbed: bool) -> tuple[str, list[Finding]]:
    """What the study's questions were answered from, and the answers."""
    found = [*run_folders(services.settings().published_dir), *run_folders(services.settings().results_dir)]
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


def view_of(answers: Answers, version: int, host: HostFacts, selection: Selection) -> View:
    """The view of a selection. Published models are never those of the catalog, so they have the colors to
    themselves."""
    measured, names = measure(answers, version, selection), models(answers, version, host.key).names
    known = [] if host.published else [model.key for model in services.catalog().everyone]
    return view.make_view(answers, version, host, selection, measured, names, known)
