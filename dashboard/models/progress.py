"""The downloads: how far they are, and what can be done with those that stopped."""

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

States = dict[str, str]


def draw_downloads() -> None:
    """Nothing without any; kept up to date only while something goes on."""
    listed = data.downloads().list()
    if not listed:
        return
    states = _states(listed)
    if any(state in BUSY for state in states.values()):
        st.fragment(_follow, run_every=LOOK_EVERY_S)(states)
    else:
        _draw(listed)


def _states(listed: list[Download]) -> States:
    return {each.id: each.state for each in listed}


def _follow(drawn: States) -> None:
    """Draw them as they are now; the whole page when one has ended or come, because there is more or less of it."""
    listed = data.downloads().list()
    states = _states(listed)
    if _ended(drawn) != _ended(states) or drawn.keys() != states.keys():
        services.catalog.clear()
        st.rerun()
    _draw(listed)


def _ended(states: States) -> States:
    return {download: state for download, state in states.items() if state not in BUSY}


def _draw(listed: list[Download]) -> None:
    with st.container(border=True, gap="medium", key="models_downloads"):
        for download in listed:
            _draw_one(download)


def _draw_one(download: Download) -> None:
    with st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            name = f"**{as_plain(download.file)}** :gray[{as_plain(download.repo_id)}]"
            st.markdown(f"{_icon(download)} {name}", width="content")
            with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
                _draw_actions(download)
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


def _draw_actions(download: Download) -> None:
    match download.state:
        case "running":
            _button("Cancel", "stop_circle", "cancel", download, "Stops it. What has come is kept.")
        case "interrupted" | "failed":
            _button("Resume" if download.state == "interrupted" else "Try again", "play_arrow", "resume", download)
            _button("Discard", "delete", "forget", download, "Deletes what has come of it.")
        case "done":
            if key := data.keys_of_files().get(download.target.absolute()):
                draw_link([key], "Chat with it")
            _button("Close", "close", "forget", download)


def _button(label: str, icon: str, action: str, download: Download, help: str | None = None) -> None:
    act = {"cancel": actions.cancel, "resume": actions.resume, "forget": actions.forget}[action]
    st.button(
        label,
        icon=f":material/{icon}:",
        key=f"models_{action}_{download.id}",
        type="tertiary",
        on_click=act,
        args=(download.id,),
        help=help,
    )
