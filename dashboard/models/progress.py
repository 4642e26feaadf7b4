"""The downloads: how far they are, and what can be done with those that stopped."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from dashboard.arena.links import draw_link
from dashboard.models import actions, data
from dashboard.times import about
from dashboard.told import told
from evaluation.hub.downloads import BUSY, Download
from evaluation.sizes import shown_size

LOOK_EVERY_S = 1.0
IN_CARD = "models_in_card"
"""Id of the download that stands beside its file, and so not at the top."""

States = dict[str, str]
Wanted = Callable[[Download], bool]
Draw = Callable[[list[Download]], None]
Prominence = Literal["primary", "tertiary"]


def draw_downloads() -> None:
    """All but the one that a card has drawn before."""
    in_card = st.session_state[IN_CARD]
    _keep_drawn(lambda each: each.id != in_card, _draw_box)


def draw_in_card(download: Download, go_on: Callable[[], None]) -> None:
    """Beside the file that is to come; ``go_on`` resumes it."""
    st.session_state[IN_CARD] = download.id

    def draw(listed: list[Download]) -> None:
        for each in listed:
            _draw_state(each)
            with st.container(horizontal=True, vertical_alignment="center"):
                _draw_actions(each, go_on, "primary")

    _keep_drawn(lambda each: each.id == download.id, draw)


def unfinished(repo_id: str, path: str) -> Download | None:
    """The download of this file, if there is one that is not done."""
    return next(
        (each for each in _listed() if (each.repo_id, each.file) == (repo_id, path) and each.state != "done"), None
    )


def drop_done() -> None:
    """Those that ended well, once what came of them was seen."""
    for each in data.downloads().list():
        if each.state == "done":
            data.downloads().forget(each.id)


def _listed() -> list[Download]:
    """Without those whose file was removed since."""
    return [each for each in data.downloads().list() if each.state != "done" or each.target.exists()]


def _keep_drawn(wanted: Wanted, draw: Draw) -> None:
    """Nothing without any; kept up to date only while something goes on."""
    listed = [each for each in _listed() if wanted(each)]
    states = _states(listed)
    if any(state in BUSY for state in states.values()):
        st.fragment(_follow, run_every=LOOK_EVERY_S)(states, wanted, draw)
    elif listed:
        draw(listed)


def _states(listed: list[Download]) -> States:
    return {each.id: each.state for each in listed}


def _follow(drawn: States, wanted: Wanted, draw: Draw) -> None:
    """Draw them as they are now; the whole page when one has ended or come, because there is more or less of it."""
    listed = [each for each in _listed() if wanted(each)]
    states = _states(listed)
    if _ended(drawn) != _ended(states) or drawn.keys() != states.keys():
        services.catalog.clear()
        st.rerun()
    draw(listed)


def _ended(states: States) -> States:
    return {download: state for download, state in states.items() if state not in BUSY}


def _draw_box(listed: list[Download]) -> None:
    with st.container(border=True, gap="medium", key="models_downloads"):
        for download in listed:
            _draw_one(download)


def _draw_one(download: Download) -> None:
    with st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            name = f"**{as_plain(download.file)}** :gray[{as_plain(download.repo_id)}]"
            st.markdown(f"{_icon(download)} {name}", width="content")
            with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
                _draw_actions(download, partial(actions.resume, download.id))
        _draw_state(download)


def _draw_state(download: Download) -> None:
    if download.state in BUSY:
        st.progress(_share(download), text=_how_far(download))
    elif download.state == "interrupted":
        st.caption(f"Interrupted at {_done(download)}. What has come is kept, and resuming goes on from there.")
    elif download.state == "failed":
        st.markdown(told(download.error or "It failed, and nobody knows why."))
    else:
        _draw_done(download)


def _icon(download: Download) -> str:
    match download.state:
        case "done":
            return ":green[:material/check_circle:]"
        case "failed":
            return ":red[:material/error:]"
        case "interrupted":
            return ":orange[:material/pause_circle:]"
    return ":material/downloading:"


def _share(download: Download) -> float:
    return min(download.done_bytes / download.size_bytes, 1.0) if download.size_bytes else 0.0


def _done(download: Download) -> str:
    return f"{_share(download):.0%}, {shown_size(download.done_bytes)} of {shown_size(download.size_bytes)}"


def _how_far(download: Download) -> str:
    if download.state == "checking":
        return f"Checking that all {shown_size(download.size_bytes)} are what the hub has"
    if download.state == "converting":
        return "Turning the adapter into GGUF"
    speed = f"{shown_size(round(download.speed_bytes_s))}/s" if download.speed_bytes_s is not None else None
    left = f"{about(download.left_s)} left" if download.left_s is not None else None
    return " · ".join(part for part in (_done(download), speed, left) if part)


def _draw_done(download: Download) -> None:
    if download.target.absolute() not in data.keys_of_files():
        reasons = {file.path.absolute(): file.reason for file in services.catalog().unusable}
        reason = reasons.get(download.target.absolute())
        st.markdown(told(reason) if reason else "It is here. Its content is that of a model which was here before.")


def _draw_actions(download: Download, go_on: Callable[[], None], prominence: Prominence = "tertiary") -> None:
    """``prominence`` is that of what brings it here."""
    forget = partial(actions.forget, download.id)
    match download.state:
        case "running":
            _button(download, "cancel", "Cancel", "stop_circle", partial(actions.cancel, download.id))
        case "interrupted" | "failed":
            left = shown_size(max(0, download.size_bytes - download.done_bytes))
            label = f"Resume, {left} left" if download.state == "interrupted" else "Try again"
            _button(download, "resume", label, "play_arrow", go_on, prominence)
            if not download.done_bytes:
                _button(download, "forget", "Close", "close", forget)
                return
            with st.popover("Discard", icon=":material/delete:", type="tertiary"):
                st.markdown(f"This deletes the {shown_size(download.done_bytes)} that have come.")
                _button(download, "forget", "Delete them", "delete", forget, "primary")
        case "done":
            if key := data.keys_of_files().get(download.target.absolute()):
                draw_link([key], "Chat with it")
            _button(download, "forget", "Close", "close", forget)


def _button(
    download: Download, action: str, label: str, icon: str, act: Callable[[], None], prominence: Prominence = "tertiary"
) -> None:
    key = f"models_{action}_{download.id}"
    st.button(label, icon=f":material/{icon}:", key=key, type=prominence, on_click=act)
