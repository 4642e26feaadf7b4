"""Which runs are shown: kept for the visit, and in the page's address as ``?run=ID&run=ID``."""

from collections.abc import Iterable

import streamlit as st

from evaluation.runs.listing import Listing, RunSummary

CHOSEN = "training_chosen"
ADDRESS = "training_address"
CLICKED = "training_clicked"
TOO_MANY = "training_too_many"

MOST_SHOWN = 20
"""More lines than these nobody can tell apart."""


def choose(runs: Iterable[str]) -> None:
    """Show these runs, given by their ids, from the next drawing of the page on; for callbacks of widgets."""
    _keep(runs)
    st.session_state[CLICKED] = True


def _keep(runs: Iterable[str]) -> None:
    wanted = list(dict.fromkeys(runs))
    st.session_state[CHOSEN] = wanted[:MOST_SHOWN]
    st.session_state[TOO_MANY] = max(0, len(wanted) - MOST_SHOWN)


def chosen(listing: Listing, just_opened: bool) -> list[str]:
    """The ids of the runs to show, those of runs that are not there any more among them.

    What the address says counts when the page was ``just_opened``, or when it was not this page that wrote it. A click
    counts more: the browser may not have learned its address yet.
    """
    addressed = st.query_params.get_all("run")
    clicked = st.session_state.pop(CLICKED, False)
    if addressed and not clicked and (just_opened or addressed != st.session_state.get(ADDRESS)):
        _keep(addressed)
    elif CHOSEN not in st.session_state:
        if not listing.runs:
            return []  # the first run to come is chosen then
        _keep(_to_begin_with(listing))
    ids: list[str] = st.session_state[CHOSEN]
    st.session_state[ADDRESS] = ids
    if addressed != ids:
        st.query_params.from_dict({"run": ids})
    return ids


def left_out() -> int:
    """How many of the runs chosen last are not shown, because they were too many."""
    return int(st.session_state.get(TOO_MANY, 0))


def _to_begin_with(listing: Listing) -> list[str]:
    """The newest of those that are being written, or else of those with anything to see."""
    offered = [each for each in listing.runs if not each.run.archived]

    def worth(each: RunSummary) -> int:
        return 2 if each.run.status == "running" else 1 if each.steps_done is not None else 0

    return [max(offered, key=worth).run.id] if offered else []
