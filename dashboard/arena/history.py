"""Earlier conversations of this machine: a list, and each of them to be read again."""

import streamlit as st

from dashboard import services, visitors
from dashboard.arena import state
from dashboard.arena.answer_text import as_plain
from dashboard.arena.answers import draw_rounds
from dashboard.arena.conversation import Conversation, from_responses
from dashboard.arena.links import put_models
from dashboard.times import local_time
from evaluation.charts.colors import model_colors
from evaluation.leaderboard.wording import counted
from evaluation.models import Catalog
from evaluation.store import ConversationSummary

LISTED = 20
TITLE_CHARACTERS = 60


def draw_list() -> None:
    """The latest conversations, each a button that opens it; of strangers those of this tab only."""
    summaries = _of_this_tab() if visitors.hides() else services.store().conversations(LISTED)
    if not summaries:
        st.caption(
            "None yet. The conversations of this tab are listed here, for you alone."
            if visitors.hides()
            else "None yet. Every answer is kept on this machine and can be read again here."
        )
    for summary in summaries:
        prompt = " ".join(summary.first_prompt.split())
        title = prompt[:TITLE_CHARACTERS] + ("…" if len(prompt) > TITLE_CHARACTERS else "")
        with st.container(gap=None):
            st.button(
                as_plain(title), key=f"arena_open_{summary.id}", type="tertiary", on_click=_open, args=(summary.id,)
            )
            about = (
                local_time(summary.submitted_at),
                counted(summary.rounds, "round"),
                as_plain(", ".join(summary.model_names)),
            )
            st.caption(" · ".join(about))


def _of_this_tab() -> list[ConversationSummary]:
    found = []
    for each in state.earlier()[:LISTED]:
        if responses := each.responses():
            names = tuple(dict.fromkeys(response.model.name for response in responses))
            found.append(
                ConversationSummary(each.id, each.rounds[0].message, responses[0].submitted_at, names, len(each.rounds))
            )
    return found


def stored_conversation(conversation_id: str) -> Conversation | None:
    """A conversation of this tab, or one read back from the store; ``None`` when nothing of it is there."""
    for each in state.earlier():
        if each.id == conversation_id and each.responses():
            return each
    try:
        return from_responses(services.store().conversation(conversation_id))
    except ValueError:
        return None


def draw_stored(conversation: Conversation, catalog: Catalog) -> None:
    """An earlier conversation, to be read only."""
    responses = conversation.responses()
    st.info(
        f"An earlier conversation, {local_time(responses[0].submitted_at)}. It can be read but not continued.",
        icon=":material/history:",
    )
    known = {model.key for model in catalog.everyone}
    last = conversation.rounds[-1]
    models = [answer.model.key for pane in last.panes if (answer := last.current(pane)) is not None]
    with st.container(horizontal=True):
        back_button()
        if models and set(models) <= known:
            st.button(
                "New conversation with these models",
                icon=":material/add_comment:",
                key="arena_same_models",
                on_click=_start_with,
                args=(models,),
            )
    if conversation.system_prompt:
        with st.expander("System prompt"):
            st.text(conversation.system_prompt)
    colors = model_colors(known, (answer.model.key for answer in conversation.answers()))
    draw_rounds(conversation, 1, colors, editable=False)


def back_button() -> None:
    """Leave the stored conversation."""
    st.button("Back to the arena", icon=":material/arrow_back:", key="arena_back", on_click=_leave)


def _open(conversation_id: str) -> None:
    st.query_params.from_dict({"conversation": conversation_id})


def _leave() -> None:
    st.query_params.clear()


def _start_with(models: list[str]) -> None:
    state.start_over()
    put_models(models)
