"""The owners' door: sign in with the hub, see as whom, sign out."""

import streamlit as st
from streamlit.errors import StreamlitAuthError
from streamlit.web.server.starlette.starlette_server_config import SESSION_COOKIE_NAME

from dashboard import services, visitors
from dashboard.arena.answer_text import as_plain
from dashboard.told import told

SIGN_IN = "sign_in"
"""An address with this in its query leads on to the hub."""


def draw_door() -> None:
    """In the sidebar of every page of a public deployment that has somebody to sign in with.

    The page may be shown inside a frame of another site, where a browser keeps no cookies of ours: so signing in is a
    link that opens the page's own address in a tab of its own.
    """
    if not (services.settings().public and visitors.sign_in_offered()):
        return
    if SIGN_IN in st.query_params and not st.user.get("is_logged_in"):
        _sign_in()
    with (
        st.sidebar,
        st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"),
    ):
        if not st.user.get("is_logged_in"):
            own_address = (st.context.url or "").split("?")[0]
            st.link_button(
                "Sign in as an owner",
                f"{own_address}?{SIGN_IN}=1",
                icon=":material/login:",
                type="tertiary",
                help="Opens this page in a tab of its own and asks the hub who you are. Chatting needs no name.",
            )
            if SESSION_COOKIE_NAME in st.context.cookies:  # it is there from the way to the hub until who goes is known
                st.caption("You are not signed in: the hub was told no, or did not say who you are. Try again.")
            return
        owner = visitors.is_owner()
        st.caption(
            f":material/{'verified_user' if owner else 'person'}: {as_plain(visitors.name() or 'Somebody')}, "
            f"{'owner' if owner else 'not an owner'}",
            help=None if owner else "Only those whom the variable `OWNERS` names may change what is here.",
        )
        st.button(
            "Sign out",
            icon=":material/logout:",
            key="owner_sign_out",
            type="tertiary",
            on_click=st.logout,
            help="In this tab. Another one that is open stays signed in until it is loaded again.",
        )


def _sign_in() -> None:
    try:
        st.login()
    except StreamlitAuthError as error:
        st.error(told(f"Nobody can sign in: {error}"), icon=":material/error:")
