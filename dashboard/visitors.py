"""Who visits: at home everybody owns the machine, on a public deployment those who are signed in as an owner."""

from ipaddress import IPv6Address, ip_address, ip_network

import streamlit as st

from dashboard import services

IPV6_HOME_BITS = 64
"""What a household or a single server gets: its addresses are one visitor's."""
NO_ADDRESS = "here"


def sign_in_offered() -> bool:
    """Whether there is somebody to sign in with, which the section ``[auth]`` of Streamlit's secrets says."""
    return "is_logged_in" in st.user


def name() -> str | None:
    """What the hub calls the visitor; ``None`` when they are not signed in."""
    found = st.user.get("preferred_username") if st.user.get("is_logged_in") else None
    return found if isinstance(found, str) else None


def is_owner() -> bool:
    """Whether the visitor is signed in and named in ``OWNERS``."""
    return name() in services.settings().owners


def may_manage() -> bool:
    """Whether the visitor may change what is here: add and remove models, train, benchmark, edit."""
    return not services.settings().public or is_owner()


def hides() -> bool:
    """Whether folders, commands, rows of training data and the conversations of others are kept from the visitor."""
    return not may_manage()


def address() -> str:
    """Where the visitor comes from, to tell one from another; all who visit from this machine itself are one.

    A proxy names the address it was asked from first. A program can write there what it likes, so this keeps nobody
    out: what must hold in any case is limited for all visitors together.
    """
    forwarded = st.context.headers.get("X-Forwarded-For", "").split(",")[0].strip()
    for text in (forwarded, st.context.ip_address or ""):
        try:
            found = ip_address(text)
        except ValueError:
            continue
        if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
            return str(ip_network((found, IPV6_HOME_BITS), strict=False))
        return str(getattr(found, "ipv4_mapped", None) or found)
    return NO_ADDRESS
