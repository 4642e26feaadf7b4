"""The form for a server: a new one, or one that is changed."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.models import actions
from dashboard.told import told
from evaluation.endpoints import Endpoint
from evaluation.endpoints.file import EndpointError, checked
from evaluation.endpoints.probe import Probe, probe

FORM = "models_server_form"
"""Name of the server that is being changed; ``NEW`` for a new one."""
NEW = ""
NAME, ADDRESS, MODEL, VARIABLE = (f"models_server_{field}" for field in ("name", "address", "model", "variable"))


def open_form(endpoint: Endpoint | None) -> None:
    """Callback: show the form with what is known."""
    st.session_state[FORM] = endpoint.name if endpoint else NEW
    st.session_state[NAME] = endpoint.name if endpoint else ""
    st.session_state[ADDRESS] = endpoint.base_url if endpoint else ""
    st.session_state[MODEL] = endpoint.model if endpoint else ""
    st.session_state[VARIABLE] = (endpoint.key_variable or "") if endpoint else ""


def close_form() -> None:
    """Callback."""
    st.session_state.pop(FORM, None)


def draw_form(old: Endpoint | None, endpoints: Sequence[Endpoint]) -> None:
    """Ask for everything; ``old`` is replaced."""
    others = [each for each in endpoints if each != old]
    with st.form(FORM + "_box"):
        st.markdown(f"**{as_plain(old.name) if old else 'A new server'}**")
        left, right = st.columns(2, gap="medium")
        name = left.text_input("Name", key=NAME, placeholder="Llama 3B on the big machine", help="As it is shown here.")
        address = right.text_input(
            "Address",
            key=ADDRESS,
            placeholder="http://127.0.0.1:8000/v1",
            help="Without a key in it; it often ends in /v1.",
        )
        model = left.text_input(
            "Model",
            key=MODEL,
            placeholder="meta-llama/Llama-3.2-3B-Instruct",
            help="As the server calls it. Test lists them.",
        )
        variable = right.text_input(
            "Variable that holds the key",
            key=VARIABLE,
            placeholder="None",
            help="The name of an environment variable of the app's process, not the key itself: that is never stored.",
        )
        with st.container(horizontal=True, gap="small"):
            save = st.form_submit_button("Save" if old else "Add", icon=":material/save:", type="primary")
            test = st.form_submit_button("Test", icon=":material/network_check:")
            st.form_submit_button("Cancel", on_click=close_form)
        asked = Endpoint(name, address, model, variable or None)
        if save:
            _save(asked, others, list(endpoints), old)
        if test:
            _test(asked)


def _save(asked: Endpoint, others: list[Endpoint], before: list[Endpoint], old: Endpoint | None) -> None:
    try:
        new = checked(asked, others)
    except EndpointError as error:
        _draw_faults(error)
        return
    actions.save_endpoints([new if each == old else each for each in before] if old else [*before, new])
    close_form()
    st.rerun()


def _test(asked: Endpoint) -> None:
    """Whoever knows nothing but the address learns here which models it has."""
    try:
        endpoint = checked(
            replace(asked, name=asked.name.strip() or asked.base_url, model=asked.model.strip() or "any")
        )
    except EndpointError as error:
        _draw_faults(error)
        return
    with st.spinner("Asking…"):
        found = probe(endpoint)
    if found.models and not asked.model.strip():
        st.success(f"It answers and has: {', '.join(as_plain(name) for name in found.models)}.")
    elif found.fault:
        st.error(told(found.fault), icon=":material/error:")
    else:
        st.success(in_words(found, endpoint))


def in_words(found: Probe, endpoint: Endpoint) -> str:
    """What a server said that can be used, as Markdown."""
    return f"It answers and has {as_plain(endpoint.model)}." if found.models else "It answers, but lists no models."


def _draw_faults(error: EndpointError) -> None:
    st.error(actions.lines(error), icon=":material/error:")
