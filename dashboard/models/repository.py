"""One repository of the hub: its license, whether its files may be had, which there are, and whether they fit here."""

from functools import partial
from urllib.parse import quote, urlsplit

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from dashboard.arena.links import draw_link
from dashboard.models import actions, data
from dashboard.models.bases import bases_here
from dashboard.models.progress import draw_in_card, unfinished
from dashboard.models.wanted import search_for
from dashboard.times import local_date
from dashboard.told import told
from evaluation.host import memory_limit_bytes
from evaluation.hub import HubError
from evaluation.hub.references import Reference
from evaluation.hub.repositories import Fit, HubFile, HubRepository, chosen_file
from evaluation.leaderboard.wording import counted
from evaluation.models.inventory import disk
from evaluation.sizes import shown_size

SCROLLED_FROM, LIST_PX = 9, 420
GOOD_START = ("Q4_K_M", "Q4_1", "Q4_0", "Q8_0")
"""Quantizations that lose little and run fast on a processor, in the order in which one is proposed."""
KINDS = {"model": "model", "adapter": "LoRA adapter (GGUF)", "peft": "LoRA adapter (PEFT), converted to GGUF here"}


def draw_repository(repository: HubRepository, reference: Reference) -> None:
    """What can be said before anything is downloaded, and the download."""
    st.subheader(as_plain(repository.repo_id), anchor=False)
    st.markdown(" · ".join(_facts(repository)))
    if not repository.accessible:
        st.warning(told(repository.why_not or "Its files may not be downloaded."), icon=":material/lock:")
        st.button("Check again", icon=":material/refresh:", key="models_again", on_click=data.ask_again)
    usable = [file for file in repository.files if file.kind != "unusable"]
    usable.sort(key=lambda file: file.quantization is None)  # such a file may be anything
    if not usable:
        st.info(
            "Nothing in it can be used here: there is no GGUF file of a chat model and no LoRA adapter. Search for the "
            "name with the word GGUF: somebody may have converted it.",
            icon=":material/search_off:",
        )
    else:
        left, right = st.columns(2, gap="medium")
        with left:
            file = _pick(repository, usable, reference)
        with right, st.container(border=True, gap="small"):
            _draw_choice(repository, file)
    _draw_unusable([file for file in repository.files if file.kind == "unusable"])


def _facts(repository: HubRepository) -> list[str]:
    """As Markdown."""
    parts = [
        f"License: {license_of(repository)}",
        "access must be asked for" if repository.gated else None,
        f"made from {as_plain(repository.base_model)}" if repository.base_model else None,
        f"{repository.downloads:,} downloads" if repository.downloads is not None else None,
        f"{repository.likes:,} likes" if repository.likes is not None else None,
        f"changed {local_date(repository.updated_at)}" if repository.updated_at is not None else None,
        link("its page on the hub", repository.page_url),
    ]
    return [part for part in parts if part]


def license_of(repository: HubRepository) -> str:
    """As Markdown, with a link to its text where one is known."""
    if not repository.license:
        return "not stated, so ask its author before you use it for others"
    return link(repository.license, repository.license_url)


def link(label: str, url: str | None) -> str:
    """As Markdown; the label alone for what is no address of the web, as a model's card may name anything."""
    text = as_plain(label)
    if url is None or urlsplit(url).scheme not in ("http", "https"):
        return text
    return f"[{text}]({quote(url, safe=':/?#@&=%+,;~.-_')})"


def _pick(repository: HubRepository, usable: list[HubFile], reference: Reference) -> HubFile:
    """The file that was asked for at first, or one to begin with."""
    by_path = {file.path: file for file in usable}
    key = f"models_file_{repository.repo_id}_{repository.commit}_{reference.file}"
    if st.session_state.get(key) not in by_path:
        st.session_state[key] = _proposed(repository, usable, reference).path
    paths = list(by_path)
    many = len(paths) >= SCROLLED_FROM
    with st.container(height=LIST_PX if many else "content", border=many):
        chosen = st.radio(
            counted(len(paths), "file"),
            paths,
            key=key,
            format_func=lambda path: _label(by_path[path]) if path in by_path else path,
            captions=[as_plain(path) for path in paths],
        )
    return by_path[chosen]


def _proposed(repository: HubRepository, usable: list[HubFile], reference: Reference) -> HubFile:
    try:
        meant = chosen_file(repository, reference)
    except HubError as error:
        meant = None
        st.warning(told(error), icon=":material/search_off:")
    if meant is not None and meant in usable:
        return meant
    fitting = [file for file in usable if not _too_large(file)] or usable
    return min(fitting, key=lambda file: (*GOOD_START, file.quantization).index(file.quantization))


def _label(file: HubFile) -> str:
    """Its path below it makes it unlike the others."""
    parts = [file.quantization, shown_size(file.size_bytes), None if file.kind == "model" else KINDS[file.kind]]
    return " · ".join(as_plain(part) for part in parts if part) + (
        " · :orange[too large for this machine]" if _too_large(file) else ""
    )


def _too_large(file: HubFile) -> bool:
    """Seen from its size alone; whether one that is smaller fits with its KV cache is asked for the chosen one only,
    because that takes a look into the file."""
    return file.size_bytes > memory_limit_bytes()


def _draw_choice(repository: HubRepository, file: HubFile) -> None:
    quantization = f", {as_plain(file.quantization)}" if file.quantization else ""
    st.markdown(f"**{as_plain(file.path)}** · {KINDS[file.kind]}{quantization}")
    if file.kind == "model":
        _draw_fit(repository, file)
    else:
        _draw_base(repository)
    free = disk(services.settings().models_dir).free_bytes
    st.markdown(
        f":material/hard_drive: {shown_size(file.size_bytes)} to download, {shown_size(free)} free on the disk  \n"
        f":material/license: License: {license_of(repository)}"
    )
    _draw_download(repository, file)


def _draw_fit(repository: HubRepository, file: HubFile) -> None:
    fit = _fit(repository, file)
    icons = {True: ":green[:material/check_circle:]", False: ":orange[:material/warning:]", None: ":material/help:"}
    st.markdown(f"{icons[fit.fits]} {told(fit.sentence)}")


def _fit(repository: HubRepository, file: HubFile) -> Fit:
    return data.fit_of(repository.repo_id, repository.commit, file.path, repository, file)


def _draw_base(repository: HubRepository) -> None:
    """An adapter is of no use without the model that it was trained on."""
    if repository.base_model is None:
        st.markdown(
            ":material/help: It does not say on which model it was trained. It is offered with every model here that "
            "its tensors fit."
        )
        return
    base, here = as_plain(repository.base_model), bases_here(repository.base_model, services.catalog().models)
    if here:
        names = ", ".join(as_plain(model.name) for model in here)
        st.markdown(f":green[:material/check_circle:] It works on {base}, which is here: {names}.")
        return
    st.markdown(f":orange[:material/warning:] It works on {base}, which is not here. Get that one, too, as GGUF.")
    st.button(
        "Find its base",
        icon=":material/search:",
        key="models_base",
        on_click=search_for,
        args=(repository.base_model.rpartition("/")[2],),
    )


def _draw_download(repository: HubRepository, file: HubFile) -> None:
    here, replaced = data.from_hub(), data.downloads().replaced(repository, file)
    if replaced is None and (repository.repo_id, file.path) in here:
        st.markdown(":green[:material/check_circle:] This file is here.")
        if key := here[repository.repo_id, file.path]:
            draw_link([key], "Chat with it")
        return
    if replaced:
        st.markdown(f":orange[:material/sync:] {told(replaced)}")
    if download := unfinished(repository.repo_id, file.path):
        draw_in_card(download, partial(actions.download, repository, file))
        return
    cannot_run = file.kind == "model" and _fit(repository, file).fits is False
    st.button(
        f"Download {shown_size(file.size_bytes)}",
        icon=":material/download:",
        key="models_download",
        type="primary",
        disabled=cannot_run or not repository.accessible,
        help="It can't run on this machine." if cannot_run else None,
        on_click=actions.download,
        args=(repository, file),
    )


def _draw_unusable(files: list[HubFile]) -> None:
    if not files:
        return
    with st.expander(f"{counted(len(files), 'file')} that can't be used here"):
        for file in files:
            st.markdown(f"**{as_plain(file.path)}**  \n{told(file.reason or '')}")
