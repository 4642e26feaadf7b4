"""How two or more runs differ, and what that did."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import visitors
from dashboard.arena.answer_text import as_plain
from dashboard.downloads import download_table
from dashboard.training.choice import choose
from dashboard.training.compare_losses import draw_losses
from dashboard.training.data import ShownRun
from dashboard.training.recipes import recipes
from evaluation.runs.differences import Difference, Differences, differences
from evaluation.runs.facts import Section
from evaluation.runs.listing import Listing, RunSummary
from evaluation.runs.parting import Recipes
from evaluation.runs.reading import Reading, reading
from evaluation.settings import PROJECT_ROOT
from training.recipe import as_settings

CACHED = 64
SECTIONS: dict[Section, str] = {"recipe": "Recipe", "data": "Data", "environment": "Environment"}
UNKNOWN = "not recorded"
NO_BREAK = "\u00a0"
"""Notes stay on one line: on a phone the table is scrolled sideways, not as tall as a page."""


def draw_compare(runs: list[ShownRun], listing: Listing) -> None:
    """What differs and what follows from it; then the losses side by side."""
    runs = _smallest_first(runs)
    versions = tuple(run.version for run in runs)
    names = [run.label for run in runs]
    others = repr([(each.run.id, each.run.name, each.run.status, each.run.archived) for each in listing.runs])
    summaries = [run.summary for run in runs]
    files = {} if visitors.hides() else _recipe_files()  # a stranger has no use for commands
    st.subheader("Compare", anchor=False)
    said = _reading(versions, tuple(names), others, repr(files), summaries, listing, files)
    st.markdown("\n".join(f"- {sentence}" for sentence in said.sentences))
    if said.parting:
        _link(said.parting, runs)
    _draw_differences(_differences(versions, summaries), names)
    draw_losses(runs)


def _smallest_first(runs: Sequence[ShownRun]) -> list[ShownRun]:
    """By rank and steps, so that a change reads as one from little to much; of the same, the older one first."""

    def size(run: ShownRun) -> tuple[float, float, float]:
        rank = run.summary.setting("lora", "rank")
        return (
            rank if isinstance(rank, int | float) else 0,
            run.summary.run.steps or 0,
            run.summary.run.started_at or 0,
        )

    return sorted(runs, key=size)


@st.cache_data(max_entries=CACHED, show_spinner=False)
def _reading(
    versions: tuple[object, ...],
    names: tuple[str, ...],
    others: str,
    files: str,
    _runs: list[RunSummary],
    _listing: Listing,
    _files: Recipes,
) -> Reading:
    return reading(_runs, names, _listing.runs, _files)


@st.cache_resource(max_entries=CACHED, show_spinner=False)
def _differences(versions: tuple[object, ...], _runs: list[RunSummary]) -> Differences:
    return differences(_runs)


def _recipe_files() -> Recipes:
    """Those that a command in the project's folder can name."""
    found, _ = recipes()
    return {
        each.path.relative_to(PROJECT_ROOT).as_posix(): as_settings(each.recipe)
        for each in found.values()
        if each.path.is_relative_to(PROJECT_ROOT)
    }


def _link(parting: RunSummary, runs: Sequence[ShownRun]) -> None:
    st.button(
        f"Show {as_plain(parting.run.name)} beside them",
        icon=":material/add_chart:",
        key=f"training_compare_add_{parting.run.id}",
        on_click=choose,
        args=([*(run.summary.run.id for run in runs), parting.run.id],),
    )


def _draw_differences(found: Differences, names: Sequence[str]) -> None:
    columns = [":gray[What differs]", *map(as_plain, names), ":gray[Note]"]  # no run can be called so
    told = [each for each in found.different if each.told]
    unknown = [each for each in found.different if not each.told]
    if told:
        _draw_table(_rows(told), columns, "How the runs differ")
    popover = st.popover("Download", icon=":material/download:", key="training_compare_download", on_change="rerun")
    if popover.open:
        with popover:
            download_table(lambda: _tidy(found, names), "differences", "training_compare_table")
    equal = [(part, *each) for part, shared in found.equal.items() for each in shared]
    if unknown:
        with st.expander(f"Not recorded for all of them ({len(unknown)})"):
            _draw_table(_rows(unknown), columns, "What not all of the runs record")
    if equal:
        with st.expander(f"What is equal ({len(equal)})"):
            rows = [(SECTIONS[part], as_plain(label), as_plain(value)) for part, label, value in equal]
            _draw_table(rows, ["Setting", "All of them"], "What is equal in all of the runs")


def _rows(found: Sequence[Difference]) -> list[tuple[str, ...]]:
    """One per difference, in Markdown: section, label, the runs' values, note. What matters is bold."""
    rows = []
    for each in found:
        label = as_plain(each.label)
        values = [as_plain(value) if value is not None else f":gray[{UNKNOWN}]" for value in each.values]
        note = f":gray[{as_plain(each.follows)}]".replace(" ", NO_BREAK) if each.follows and each.told else ""
        rows.append((SECTIONS[each.section], f"**{label}**" if each.matters else label, *values, note))
    return rows


def _draw_table(rows: Sequence[tuple[str, ...]], columns: Sequence[str], alt: str) -> None:
    """Each section begins with a row of its own; a last column in which nothing stands is left out."""
    width = len(columns) if any(row[-1] for row in rows) else len(columns) - 1
    lines = []
    for number, row in enumerate(rows):
        if number == 0 or rows[number - 1][0] != row[0]:
            lines.append([f":gray[{row[0]}]", *[""] * (width - 1)])
        lines.append(list(row[1 : width + 1]))
    st.table(pd.DataFrame(lines, columns=list(columns[:width])), border="horizontal", hide_index=True, alt=alt)


def _tidy(found: Differences, names: Sequence[str]) -> pd.DataFrame:
    """For programs: everything that differs, by the settings' full names."""
    return pd.DataFrame(
        [(each.section, each.key, each.label, *each.values, each.matters, each.follows) for each in found.different],
        columns=["section", "key", "label", *(f"run {name}" for name in names), "matters", "note"],
    )
