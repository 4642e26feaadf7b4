"""The servers that can be asked: what is known of each, whether it answers, and how they are changed."""

import os

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from dashboard.arena.links import draw_link
from dashboard.models import data
from dashboard.models.removal import draw_remove
from dashboard.models.server_form import FORM, NEW, draw_form, draw_probe, open_form
from dashboard.told import told
from evaluation.endpoints import Endpoint
from evaluation.endpoints.file import FILE, read_endpoints
from evaluation.endpoints.probe import probe
from evaluation.leaderboard.wording import counted
from evaluation.models.inventory import Item

PROBED = "models_probed"


def draw_servers() -> None:
    """The list, the form, and what is wrong with the file."""
    st.markdown(
        "A server that speaks OpenAI's chat protocol (vLLM, llama-server, a hosted one) is a model like any other: in "
        "the arena, in benchmarks, and in the leaderboard under a host of its own."
    )
    endpoints, faults = read_endpoints(services.settings().models_dir)
    if faults:
        _draw_faults(faults)
    items = data.servers()
    for number, endpoint in enumerate(endpoints):
        if st.session_state.get(FORM) == endpoint.name and not faults:
            draw_form(endpoint)
        else:
            _draw_server(number, endpoint, items.get(endpoint), may_change=not faults)
    if faults:
        return
    if st.session_state.get(FORM) == NEW:
        draw_form(None)
    else:
        st.button(
            "Add a server", icon=":material/add:", key="models_server_add", on_click=open_form, args=(None,),
            type="secondary" if endpoints else "primary",
        )  # fmt: skip


def _draw_faults(faults: tuple[str, ...]) -> None:
    """The page does not write over what it cannot read."""
    sentences = "\n".join(f"- {told(fault)}" for fault in faults)
    st.error(
        f"{FILE} in the folder of models has {counted(len(faults), 'fault')}:\n\n{sentences}\n\nCorrect the file, then "
        "servers can be changed here again; until then this page leaves it as it is.",
        icon=":material/error:",
    )


def _draw_server(number: int, endpoint: Endpoint, item: Item | None, may_change: bool) -> None:
    """``item`` is what removes it and leads to it; ``None`` in the seconds before it is found."""
    with st.container(border=True, gap="small"):
        left, right = st.columns([3, 2], gap="small")
        with left, st.container(gap="xxsmall"):
            st.markdown(f":material/dns: **{as_plain(endpoint.name)}**")
            st.caption(f"{as_plain(endpoint.base_url)} · model {as_plain(endpoint.model)}")
            st.caption(_key(endpoint))
        with right, st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
            if item is not None and item.key:
                draw_link([item.key], "Chat with it")
            if st.button("Test", icon=":material/network_check:", key=f"models_server_test_{number}", type="tertiary"):
                with st.spinner("Asking…"):
                    st.session_state.setdefault(PROBED, {})[endpoint] = probe(endpoint)
            if may_change:
                st.button(
                    "Edit",
                    icon=":material/edit:",
                    key=f"models_server_edit_{number}",
                    type="tertiary",
                    on_click=open_form,
                    args=(endpoint,),
                )
                if item is not None:
                    draw_remove(item)
        if found := st.session_state.get(PROBED, {}).get(endpoint):
            draw_probe(found, endpoint.model)


def _key(endpoint: Endpoint) -> str:
    """Whether there is one; never what it is."""
    if endpoint.key_variable is None:
        return "No key is sent."
    variable = as_plain(endpoint.key_variable)
    if os.environ.get(endpoint.key_variable):
        return f":green[:material/key:] The key comes from the variable {variable}, which is set."
    return (
        f":orange[:material/key_off:] The variable {variable} is not set here: set it where the app is started, and "
        "start it again."
    )
