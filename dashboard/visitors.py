"""Who visits: at home everybody owns the machine, on a public deployment those who are signed in as an owner.

``hides`` decides what is shown, ``may_manage`` what may be done; ``owners_only`` stands before each action as well, for
a browser can ask for more than the page offers.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, ParamSpec

import streamlit as st

from dashboard import services

IPV6_HOME_BITS = 64
"""What a household or a single server gets: its addresses are one visitor's."""
NO_ADDRESS = "here"

P = ParamSpec("P")


def sign_in_offered() -> bool:
    """Whether there is somebody to sign in with, which the section ``[auth]`` of Streamlit's secrets says."""
    return "is_logged_in" in st.user


def name(user: Mapping[str, Any] = st.user) -> str | None:
    """What the hub calls the visitor; ``None`` when they are not signed in."""
    found = user.get("preferred_username") if user.get("is_logged_in") else None
    return found if isinstance(found, str) else None


def is_owner(user: Mapping[str, Any] = st.user) -> bool:
    """Whether the visitor is signed in and named in ``OWNERS``; the hub tells no two names apart by their case."""
    own_name = name(user)
    return own_name is not None and own_name.casefold() in {each.casefold() for each in services.settings().owners}


def may_manage(user: Mapping[str, Any] = st.user) -> bool:
    """Whether the visitor may change what is here: add and remove models, train, benchmark, edit."""
    return not services.settings().public or is_owner(user)


def hides() -> bool:
    """Whether folders, commands, rows of training data and the conversations of others are kept from the visitor."""
    return not may_manage()


class NotAllowed(Exception):
    """Only an owner may do that; the message is a sentence."""


def owners_only(fault: str, why_not: str, *errors: type[Exception]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """For what a button does: strangers are refused with the sentence ``why_not``. It is kept under ``fault`` in the
    session's state, to be shown at the next drawing, as are those of the ``errors`` that are raised."""

    def decorate(action: Callable[P, None]) -> Callable[P, None]:
        @wraps(action)
        def act(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                if not may_manage():
                    raise NotAllowed(why_not)
                action(*args, **kwargs)
            except (NotAllowed, *errors) as error:
                st.session_state[fault] = str(error)

        return act

    return decorate


def address(proxies: int) -> str:
    """Where the visitor comes from, to tell one from another; all who visit from this machine itself are one.

    Each proxy appends to ``X-Forwarded-For`` whom it was asked by; what stands before that the visitor may have
    invented. So the entries are counted from the right, one for each of the ``proxies`` between the internet and here.
    Proxies that reach each other by private addresses count as one: how many a host has inside is not known.
    """
    header = st.context.headers.get("X-Forwarded-For", "") if proxies else ""
    chain = [_parsed(entry) for entry in header.split(",")]
    while len(chain) > 1 and chain[-1] and not chain[-1].is_global:
        chain.pop()
    found = chain[-proxies:][0] or _parsed(st.context.ip_address or "")
    if isinstance(found, IPv6Address):
        return str(ip_network((found, IPV6_HOME_BITS), strict=False))
    return str(found or NO_ADDRESS)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 address in the form of an IPv6 one is the IPv4 address; ``None`` for what is none."""
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
