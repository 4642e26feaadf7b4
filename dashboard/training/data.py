"""What the parts of the page share: the list of runs, and those that are shown with their logs and colors."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import streamlit as st

from dashboard import services, visitors
from evaluation.charts.colors import apart, model_colors
from evaluation.models.names import LONGEST_NAME, distinct
from evaluation.runs.listing import Listing, RunList, RunSummary, labels
from evaluation.runs.logs import RunLog, RunLogs
from training.public import public_run


@dataclass(frozen=True, eq=False)
class ShownRun:
    """A run that the visitor chose."""

    summary: RunSummary
    log: RunLog
    label: str
    """Unique among those shown; plain text, not Markdown."""
    color: str
    """That of its model on the other pages; where another run shown has that, the next free one."""

    @cached_property
    def version(self) -> tuple[object, ...]:
        """Changes with what is stored of the run: the key of what is computed from it."""
        return (str(self.summary.folder), repr(self.summary.run), self.log.version)  # Streamlit is slow with the object


@st.cache_resource(show_spinner=False)
def logs() -> RunLogs:
    """The logs of all runs."""
    return RunLogs()


@st.cache_resource(show_spinner=False)
def _run_list(hides: bool) -> RunList:
    parents = services.run_parents()
    once = list({folder.resolve(): folder for folder in parents}.values())
    return RunList(once, parents[1:], logs(), public_run) if hides else RunList(once, parents[1:], logs())


def listing() -> Listing:
    """All runs, as they are now; for strangers without the paths in their records."""
    return _run_list(visitors.hides()).refresh()


def shown(chosen: list[RunSummary]) -> list[ShownRun]:
    """The chosen runs with their logs."""
    of_runs = colors(chosen)
    names = short_names(chosen)
    read = logs().read([each.folder for each in chosen])
    return [ShownRun(each, read[each.folder], names[each.run.id], of_runs[each.run.id]) for each in chosen]


def short_names(runs: Sequence[RunSummary]) -> dict[str, str]:
    """By id, names that fit a legend and a list; unique all the same, also where white space is shown as one blank."""
    names = {run: " ".join(name.split()) for run, name in labels(runs).items()}
    short = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1].rstrip()}…" for name in names.values()]
    ids = [f"({run})" for run in names]
    return dict(zip(names, distinct(short, ids, ids), strict=True))


def colors(chosen: list[RunSummary]) -> dict[str, str]:
    """Of the chosen runs by id: that of the model that the arena has of a run, or else one that only its id decides.
    Where two have the same, one gets another: lines must be told apart."""
    catalog = services.catalog()
    of_models = model_colors(model.key for model in catalog.everyone)
    tuned = [(model.adapter.run, model.key) for model in catalog.models if model.adapter and model.adapter.run]
    of_runs = {run: of_models[key] for run, key in tuned}
    ids = [each.run.id for each in chosen]
    return apart({run: of_runs.get(run) or model_colors([run])[run] for run in ids})
