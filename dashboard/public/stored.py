"""What becomes of a visitor's words, said where they are typed, with a switch that keeps them from being stored."""

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from dashboard.public import guards
from evaluation.leaderboard.wording import counted

KEEP = "arena_keep"


def keeps() -> bool:
    """Whether the visitor lets answers be stored; at home nobody is asked."""
    return not services.settings().public or st.session_state.get(KEEP, True)


def what_is_stored() -> str:
    """Two sentences, Markdown."""
    dataset = services.settings().results_dataset
    where = f" here and in the data set {as_plain(dataset)} of the hub" if dataset else ""
    return (
        f"What you write, the answers, their figures and the time are stored{where}, without your name or address. The "
        "figures count in the leaderboard for everybody; the owners of this page can read the words and may publish "
        "them."
    )


def draw_stored_note() -> None:
    """Before the first message."""
    if services.settings().public:
        st.caption(f":material/info: {what_is_stored()} **Stored**, beside the input, switches that off.")


def draw_switch(keep: bool) -> None:
    """Beside the input: the switch, what it means, and what the visitor may still ask for. ``keep``: whether the
    conversation on the screen is stored."""
    if not services.settings().public:
        return
    st.session_state.setdefault(KEEP, True)
    wanted = st.session_state[KEEP]
    label, icon = ("Stored", ":material/cloud_done:") if wanted and keep else ("Not stored", ":material/cloud_off:")
    with st.popover(label, icon=icon, type="tertiary", width="content"):
        st.toggle("Store my conversations", key=KEEP, persist_state="session")
        if wanted:
            st.markdown(what_is_stored())
            st.caption("Switched off, nothing of what follows is stored.")
        else:
            st.markdown("What you write and what you are answered is kept in this tab only, until you close it.")
            st.caption("What was stored before stays. Switched on again, new conversations are stored.")
        if wanted and not keep:
            st.caption("The conversation on the screen is not stored to its end; a new one will be.")
        _draw_what_is_left()


def _draw_what_is_left() -> None:
    if (guard := guards.of_visitor()) is None:
        return
    limits, left = guard.limits, guard.left(guards.visitor_of(guard))
    st.caption(
        f"One visitor may ask for {counted(limits.answers_per_hour, 'answer')} an hour, {left:,} of yours "
        f"{'is' if left == 1 else 'are'} left. A prompt may have {limits.prompt_characters:,} characters, an answer "
        f"{limits.answer_tokens:,} tokens."
    )
