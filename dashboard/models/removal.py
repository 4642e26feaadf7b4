"""Removing a model, an adapter, a server or an unusable file: it is asked first."""

import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.models import actions
from dashboard.told import told
from evaluation.models.inventory import Item
from evaluation.sizes import shown_size


def draw_remove(item: Item) -> None:
    """The button; disabled, with the reason, for what is kept."""
    clicked = st.button(
        "Remove",
        icon=":material/delete:",
        key=f"models_remove_{item.key}_{item.path}",
        type="tertiary",
        disabled=item.why_kept is not None,
        help=told(item.why_kept) if item.why_kept else None,
    )
    if clicked:
        _confirm(item)


@st.dialog("Remove it for good?", icon=":material/delete:")
def _confirm(item: Item) -> None:
    """Names what goes, and that it does not come back."""
    what = f"**{as_plain(item.name)}**"
    if item.path is not None:
        size = f", {shown_size(item.size_bytes)}" if item.size_bytes is not None else ""
        st.markdown(f"{what}: this file{size}, is deleted from the disk.")
        st.code(str(item.path), language=None, wrap_lines=True)
    else:
        st.markdown(f"{what} is taken off the list of servers. The server itself goes on.")
    if item.loss:
        st.markdown(f":orange[:material/warning:] {told(item.loss)}")
    again = f" It can be downloaded again from {as_plain(item.origin.repo_id)}." if item.origin else ""
    st.markdown(f"**This cannot be undone.**{again} Its stored answers and figures stay.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it", key="models_keep"):
            st.rerun()
        if st.button(
            "Remove",
            key="models_remove_now",
            type="primary",
            icon=":material/delete:",
            on_click=actions.remove,
            args=(item,),
        ):
            st.rerun()
