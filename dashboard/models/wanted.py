"""What is looked for on the hub: the input, and what buttons put into it."""

import streamlit as st

WANTED, SEARCHED = "models_wanted", "models_searched"


def open_repository(reference: str) -> None:
    """Callback: as if it had been pasted; what stood there before is kept for the way back."""
    st.session_state[SEARCHED] = st.session_state.get(WANTED, "")
    st.session_state[WANTED] = reference


def search_for(words: str) -> None:
    """Callback: as if it had been typed."""
    st.session_state[WANTED], st.session_state[SEARCHED] = words, ""


def draw_back() -> None:
    """The way back to where a repository was found."""
    st.button(
        "Back to the results" if st.session_state.get(SEARCHED) else "Back to the catalog",
        icon=":material/arrow_back:",
        key="models_back",
        type="tertiary",
        on_click=lambda: search_for(st.session_state.get(SEARCHED, "")),
    )
