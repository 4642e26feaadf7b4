"""Find a model on the hub: by words, by what somebody sent, or among those to begin with."""

from itertools import groupby

import streamlit as st

from dashboard.arena.answer_text import as_plain
from dashboard.models import data
from dashboard.models.repository import draw_repository
from dashboard.models.wanted import WANTED, draw_back, open_repository
from dashboard.times import local_date
from dashboard.told import told
from evaluation.hub import HubError
from evaluation.hub.references import parse_reference
from evaluation.hub.repositories import FoundRepository
from evaluation.hub.starter import Starter, starters
from evaluation.sizes import shown_size


def draw_hub() -> None:
    """The input, and below it what it leads to."""
    text = st.text_input(
        "Search the Hugging Face hub, or paste an id",
        key=WANTED,
        type="search",
        persist_state="session",
        placeholder="qwen 1.5b instruct, owner/name, owner/name:file or an address of the hub",
        icon=":material/search:",
    )
    wanted = str(text or "").strip()
    if not wanted:
        _draw_starters()
        return
    try:
        reference = parse_reference(wanted)
    except HubError as error:
        st.warning(told(error), icon=":material/link_off:")
        return
    if reference is None:
        _draw_found(wanted)
        return
    draw_back()
    repository = data.looked_up(reference)
    if isinstance(repository, str):
        draw_fault(repository)
    else:
        draw_repository(repository, reference)


def draw_fault(sentence: str) -> None:
    """Why the hub gives nothing; it may be otherwise soon."""
    st.warning(told(sentence), icon=":material/cloud_off:")
    st.button("Try again", icon=":material/refresh:", key="models_again", on_click=data.ask_again)


def _draw_starters() -> None:
    here = {repo_id for repo_id, _ in data.from_hub()}
    number = 0
    for group, members in groupby(starters(), key=lambda each: each.group):
        st.subheader(as_plain(group), anchor=False)
        for starter in members:
            about = [shown_size(starter.size_bytes) if starter.size_bytes else None, starter.repo_id]
            about += [starter.license, "here" if starter.repo_id in here else None]
            _draw_row(f"starter_{number}", starter.name, _reference(starter), about, starter.note)
            number += 1


def _reference(starter: Starter) -> str:
    revision = f"@{starter.revision}" if starter.revision else ""
    return f"{starter.repo_id}{revision}:{starter.file}" if starter.file else f"{starter.repo_id}{revision}"


def _draw_found(words: str) -> None:
    results = data.found(words)
    if isinstance(results, str):
        draw_fault(results)
        return
    if not results:
        st.info(
            "The hub has no GGUF model of that name. Try fewer words, or paste the id of a repository.",
            icon=":material/search_off:",
        )
    for number, each in enumerate(results):
        _draw_row(f"found_{number}", each.repo_id, each.repo_id, _about(each))


def _about(found: FoundRepository) -> list[str | None]:
    return [
        f"{found.downloads:,} downloads" if found.downloads is not None else None,
        f"{found.likes:,} likes" if found.likes is not None else None,
        f"license {found.license}" if found.license else "license not stated",
        "access must be asked for" if found.gated else None,
        f"changed {local_date(found.updated_at)}" if found.updated_at is not None else None,
    ]


def _draw_row(key: str, name: str, reference: str, about: list[str | None], note: str | None = None) -> None:
    with st.container(gap=None):
        st.button(
            f"**{as_plain(name)}**",
            icon=":material/arrow_forward:",
            icon_position="right",
            key=f"models_{key}",
            type="tertiary",
            on_click=open_repository,
            args=(reference,),
        )
        if note:
            st.markdown(as_plain(note))
        st.caption(" · ".join(as_plain(part) for part in about if part))
