"""The list of all runs; returns the chosen ones, in the order of the list."""

from collections.abc import Sequence

import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.training import choice, data
from dashboard.training.runs_frame import columns, frame, matches
from evaluation.leaderboard.wording import counted
from evaluation.models.names import LONGEST_NAME
from evaluation.runs.listing import Listing, RunSummary

TABLE, SHOWN = "training_table", "training_shown"
SEARCH, ARCHIVED = "training_search", "training_archived"
ROWS = "training_rows"

ROW_PX = 35
MOST_ROWS = 5
"""More of them are reached by scrolling, so that the chart below comes into view."""


def pick_runs(listing: Listing) -> list[RunSummary]:
    """The list of all runs; returns the chosen ones, in the order of the list."""
    chosen = choice.chosen(listing, just_opened=TABLE not in st.session_state)
    picked = [each for each in listing.runs if each.run.id in chosen]
    _draw_list(listing, picked)
    _draw_shown(listing, picked)
    _draw_missing(listing, chosen)
    return picked


def _draw_list(listing: Listing, picked: list[RunSummary]) -> None:
    in_list = _filtered(listing, picked)
    ids, chosen = [each.run.id for each in in_list], {each.run.id for each in picked}
    st.session_state[ROWS] = ids
    selected = [row for row, run in enumerate(ids) if run in chosen]
    if sorted(_selected_rows()) != selected:
        st.session_state[TABLE] = {"selection": {"rows": selected, "columns": [], "cells": []}}
    st.dataframe(
        frame(in_list, chosen, data.colors(picked)),
        hide_index=True,
        column_config=columns(),
        height=ROW_PX * (1 + max(1, min(len(in_list), MOST_ROWS))) + 2,
        key=TABLE,
        on_select=_take_rows,
        selection_mode="multi-row",
        placeholder="–",
        alt="One row per training run: what it was, how far it came, how low its loss went. Select those to show.",
    )


def _filtered(listing: Listing, picked: list[RunSummary]) -> list[RunSummary]:
    """The runs that the search finds; archived ones only when asked for, or when they are shown."""
    archived = sum(each.run.archived for each in listing.runs)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        search = st.text_input(
            "Search runs",
            key=SEARCH,
            type="search",
            persist_state="session",
            live=True,
            placeholder="Search by name, base, status or data",
            label_visibility="collapsed",
            icon=":material/search:",
            width=320,
        )
        with_archived = archived > 0 and st.toggle(
            f"Show archived ({archived:,})", key=ARCHIVED, persist_state="session"
        )
        listed = [each for each in listing.runs if with_archived or not each.run.archived or each in picked]
        words = str(search or "").casefold().split()
        found = [each for each in listed if matches(each, words)] if words else listed
        total = counted(len(listed), "run")
        st.caption(f"{len(found):,} of {total}" if len(found) < len(listed) else total, width="content")
    return found


def _selected_rows() -> Sequence[int]:
    """What the browser says, or was told last."""
    state = st.session_state.get(TABLE)
    return state["selection"]["rows"] if state else ()


def _take_rows() -> None:
    """What was clicked in the table; runs that the search hides stay chosen."""
    ids: list[str] = st.session_state.get(ROWS, [])
    hidden = [run for run in st.session_state.get(SHOWN, []) if run not in ids]
    choice.choose([*hidden, *(ids[row] for row in _selected_rows() if row < len(ids))])


def _draw_shown(listing: Listing, picked: list[RunSummary]) -> None:
    """The same choice as a row of names: for keyboards, phones, and runs that the search hides."""
    offered = [each for each in listing.runs if not each.run.archived or each in picked]
    names = data.short_names(offered)
    st.session_state[SHOWN] = [each.run.id for each in picked]
    st.multiselect(
        "Shown",
        [each.run.id for each in offered],
        key=SHOWN,
        on_change=lambda: choice.choose(st.session_state[SHOWN]),
        format_func=lambda run: names.get(run, run),
        max_selections=choice.MOST_SHOWN,
        placeholder="Choose runs here or in the list",
        label_visibility="collapsed",
        wrap=True,
    )


def _draw_missing(listing: Listing, chosen: list[str]) -> None:
    known = {each.run.id for each in listing.runs}
    missing = [run for run in chosen if run not in known]
    if missing:
        names = ", ".join(as_plain(run[:LONGEST_NAME]) for run in missing)
        verb = "is not here: it was" if len(missing) == 1 else "are not here: they were"
        st.warning(f"{names} {verb} deleted or renamed, or trained elsewhere.", icon=":material/help:")
    if choice.left_out():
        st.caption(
            f":material/info: At most {choice.MOST_SHOWN} runs are shown at a time; "
            f"{choice.left_out():,} more of those chosen are left out."
        )
