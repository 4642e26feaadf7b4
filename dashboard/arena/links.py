"""Addresses of the arena: ``?models=…&prompt=…`` opens a comparison anew, ``?conversation=…`` one that took place."""

from urllib.parse import urlencode

import streamlit as st

from dashboard.arena import state
from dashboard.arena.panes import choose
from dashboard.arena.settings import MAX_PANES, PANE_COUNT
from evaluation.models import Catalog

MAX_PROMPT_CHARACTERS = 1_500
"""Longer addresses are cut by some browsers, servers and chat programs."""

APPLIED = "arena_link_applied"
PAGE = "dashboard/app_pages/arena.py"


def comparison_link(model_keys: list[str], prompt: str) -> str | None:
    """The address that puts these models and this prompt before somebody else; ``None`` for a prompt too long."""
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        return None
    base = (st.context.url or "").split("?")[0]
    query = urlencode({"models": ",".join(model_keys), **({"prompt": prompt} if prompt else {})}, safe=",")
    return f"{base}?{query}"


def conversation_link(conversation_id: str) -> str:
    """The address that opens a stored conversation, to be read only. It is the key to it as well: 80 of the bits of an
    id are random, so that nobody finds it who was not told."""
    return f"{(st.context.url or '').split('?')[0]}?{urlencode({'conversation': conversation_id})}"


def draw_link(model_keys: list[str], label: str) -> None:
    """From another page into the arena, one pane for each of these models."""
    st.session_state.pop(APPLIED, None)  # it may be the same as the last one, of which nothing is left
    st.page_link(PAGE, label=label, icon=":material/compare:", query_params={"models": ",".join(model_keys)})


def apply_link(catalog: Catalog) -> None:
    """Once per address: choose its models and put its prompt into the input, to be sent by the reader.

    Call before any widget of the page is drawn.
    """
    models, prompt = st.query_params.get("models", ""), st.query_params.get("prompt", "")
    if not (models or prompt):
        st.session_state.pop(APPLIED, None)  # the same link may be followed again
        return
    if st.session_state.get(APPLIED) == (models, prompt):
        return
    st.session_state[APPLIED] = (models, prompt)
    known = {model.key for model in catalog.everyone}
    wanted = [key for key in models.split(",") if key][:MAX_PANES]
    missing = [key for key in wanted if key not in known]
    present = [key for key in wanted if key in known]
    if present:
        put_models(present)
    if missing:
        st.toast(
            f"{len(missing)} of the {len(wanted)} models of this link are not on this machine.",
            icon=":material/help:",
            duration="long",
        )
    if prompt:
        st.session_state[state.MESSAGE] = prompt


def put_models(keys: list[str]) -> None:
    """One pane for each of these models."""
    st.session_state[PANE_COUNT] = len(keys)
    for pane, key in enumerate(keys):
        choose(pane, key)


def asked_for_stored() -> str | None:
    """The conversation the address names, unless it is the one going on in this tab."""
    wanted: str | None = st.query_params.get("conversation")
    return wanted if wanted and wanted != state.conversation().id else None


def name_conversation(conversation_id: str) -> None:
    """Let the address name the conversation, so that reloading the page shows it again."""
    if st.query_params.to_dict() != {"conversation": conversation_id}:
        st.query_params.from_dict({"conversation": conversation_id})
