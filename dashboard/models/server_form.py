"""The form for a server: a new one, or one that is changed."""

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


def draw_form(old: Endpoint | None) -> None:
    """Ask for everything; ``old`` is replaced."""
    with st.form(FORM + "_box"):
        st.markdown(f"**{as_plain(old.name) if old else 'A new server'}**")
        upper, lower = st.columns(2), st.columns(2)  # in this order on a phone, too
        name = upper[0].text_input(
            "Name", key=NAME, placeholder="Llama 3B on the big machine", help="As it is shown here."
        )
        address = upper[1].text_input(
            "Address",
            key=ADDRESS,
            placeholder="http://127.0.0.1:8000/v1",
            help="Without a key in it; it often ends in /v1.",
        )
        model = lower[0].text_input(
            "Model",
            key=MODEL,
            placeholder="meta-llama/Llama-3.2-3B-Instruct",
            help="As the server calls it. Test lists them.",
        )
        variable = lower[1].text_input(
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
            _save(asked, old)
        if test:
            _test(asked)


def _save(asked: Endpoint, old: Endpoint | None) -> None:
    actions.save_endpoint(asked, old)
    if not actions.draw_fault():
        close_form()
        st.rerun()


def _test(asked: Endpoint) -> None:
    """Whoever knows nothing but the address learns here which models it has."""
    model = asked.model.strip()
    try:
        endpoint = checked(replace(asked, name=asked.name.strip() or asked.base_url, model=model or "any"))
    except EndpointError as error:
        st.error(actions.lines(error), icon=":material/error:")
        return
    with st.spinner("Asking…"):
        found = probe(endpoint)
    draw_probe(found, model)


def draw_probe(found: Probe, model: str) -> None:
    """What a server said that can be used; ``model`` is empty as long as it is not chosen."""
    if found.models and not model:
        answer = f"It answers and has: {', '.join(as_plain(name) for name in found.models)}."
    elif found.fault:
        st.markdown(f":red[:material/error:] {told(found.fault)}")
        return
    else:
        answer = f"It answers and has {as_plain(model)}." if found.models else "It answers, but lists no models."
    st.markdown(f":green[:material/check_circle:] {answer}")
