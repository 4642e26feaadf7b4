"""From a model's name to the training run that made it, on every page that names models."""

from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import quote

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from evaluation.models.names import distinct
from training.runlog import RUN_FILE

TRAINING = "dashboard/app_pages/training.py"
ICON = ":material/model_training:"


def is_here(run: str) -> bool:
    """Whether the folder of this run is, so that the Training page can show it."""
    plain_name = run not in ("", ".", "..") and "/" not in run and "\0" not in run  # records may come from anywhere
    with suppress(OSError):  # a name longer than any file's
        return plain_name and any((each / "runs" / run / RUN_FILE).is_file() for each in services.run_parents())
    return False


def in_text(run: str | None, name: str) -> str:
    """A model's ``name`` (Markdown) as a link to its run, as it is without a run that is here.

    Links in texts open another tab, so that what is being written in this one goes on.
    """
    if run is None or not is_here(run):
        return name
    return f'[{name}](training?run={quote(run, safe="")} "Its training run")'


def draw_runs(runs: Mapping[str, str]) -> None:
    """One line with links to these runs (run -> name of its model); nothing where none of them is here."""
    here = {run: name for run, name in runs.items() if is_here(run)}
    if here:
        names = [_of_fine_tune(name) for name in here.values()]
        labels = distinct(names, list(here.values()), [f"({run})" for run in here])
        links = [in_text(run, as_plain(label)) for run, label in zip(here, labels, strict=True)]
        st.caption(f"{ICON} Training run{'' if len(links) == 1 else 's'}: {' · '.join(links)}")


def _of_fine_tune(model_name: str) -> str:
    """Models are called after their base and their run."""
    return model_name.rpartition(" + ")[2]


def draw_run(run: str) -> None:
    """A link to the run on a line of its own, in this tab; nothing when it is not here."""
    if is_here(run):
        st.page_link(TRAINING, label="Its training run", icon=ICON, query_params={"run": run})
