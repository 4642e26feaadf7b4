"""Rename a run, write a note to it, put it aside."""

from typing import Any

import streamlit as st

from dashboard import services
from dashboard.told import told
from dashboard.visitors import may_manage
from evaluation.runs.listing import RunSummary
from training.runlog import RunError, RunWriter

LONGEST_NAME = 80
"""As the form for a new run has it; imported ones may have a longer one and keep it."""


def draw_edit(summary: RunSummary) -> None:
    """A button that opens the form, or says why nothing can be changed; nothing for strangers."""
    if not may_manage():
        return
    run = summary.run
    with st.popover("Edit", icon=":material/edit:", key=f"training_edit_{run.id}"):
        if summary.read_only:
            st.caption("This run comes along with the project, so it can't be changed here.")
            return
        with st.form(f"training_form_{run.id}", border=False):
            name = st.text_input("Name", value=run.name, key=f"training_name_{run.id}")
            notes = st.text_area(
                "Note", value=run.notes or "", key=f"training_notes_{run.id}", placeholder="What a reader must know"
            )
            if st.form_submit_button("Save", icon=":material/save:", width="stretch"):
                _save(summary, name, notes)
        st.button(
            "Take out of the archive" if run.archived else "Archive",
            icon=":material/unarchive:" if run.archived else ":material/archive:",
            key=f"training_archive_{run.id}",
            help="An archived run is not in the list and not in the arena. Nothing of it is deleted.",
            on_click=_archive,
            args=(summary, not run.archived),
            width="stretch",
        )


def _save(summary: RunSummary, name: str, notes: str) -> None:
    name = " ".join(name.split())
    fits = any(character.isalnum() for character in name) and len(name) <= LONGEST_NAME
    if not fits and name != " ".join(summary.run.name.split()):
        st.error(f"Give it a name with a letter or a digit, of at most {LONGEST_NAME} characters.")
    elif fault := _change(summary, name=name, notes=notes.strip() or None):
        st.error(told(fault))
    else:
        st.toast("Saved.", icon=":material/check:")
        st.rerun()


def _archive(summary: RunSummary, archived: bool) -> None:
    fault = _change(summary, archived=archived)
    if fault:
        st.toast(told(fault), icon=":material/error:", duration="infinite")
    elif archived:
        st.toast(
            "Archived. It leaves the list and the arena when it is no longer shown; here it can be taken out again.",
            icon=":material/archive:",
            duration="long",
        )


def _change(summary: RunSummary, **changes: Any) -> str | None:
    """Why the record could not be changed; ``None`` when it was."""
    if not may_manage():
        return "On a public page only its owners change runs."
    try:
        writer = RunWriter.amend(summary.folder)
        try:
            writer.update(**changes)
        finally:
            writer.release()
    except RunError as error:
        return str(error)
    services.catalog.clear()  # the arena calls the model as the run, and leaves out archived ones
    return None
