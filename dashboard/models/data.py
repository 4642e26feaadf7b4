"""What the parts of the page share: what lies here, the downloads, and what the hub said lately."""

from dataclasses import replace
from pathlib import Path

import streamlit as st

from dashboard import services
from dashboard.public.guards import offered
from evaluation.endpoints import Endpoint
from evaluation.hub import HubError
from evaluation.hub.downloads import Downloads
from evaluation.hub.origins import read_origin
from evaluation.hub.references import Reference
from evaluation.hub.repositories import Fit, FoundRepository, HubFile, HubRepository, fit, look_up, search
from evaluation.models.inventory import Item, Measured, inventory, measured_by

ASKED_AGE_S = 600
"""So long an answer of the hub is taken for true."""
FIT_AGE_S = 60
"""The free memory changes sooner."""


@st.cache_resource(show_spinner=False)
def downloads() -> Downloads:
    """Those of this installation, whoever started them."""
    folders = services.settings()
    return Downloads(folders.models_dir, folders.cache_dir)


def items() -> list[Item]:
    """Everything that the visitor may ask, and the files that nobody can. Raises ``LimitError``."""
    with st.spinner("Reading the stored answers…"):
        measured = _measured(services.answers().refresh())
    return inventory(offered(services.catalog()), services.settings().models_dir, measured)


def servers() -> dict[Endpoint, Item]:
    """Those in the list that can be asked."""
    catalog = replace(services.catalog(), models=(), unusable=())
    items = inventory(catalog, services.settings().models_dir, {})
    return {model.endpoint: item for model, item in zip(catalog.endpoints, items, strict=True)}


@st.cache_data(show_spinner=False, max_entries=1)
def _measured(version: int) -> dict[str, Measured]:
    return measured_by(services.answers())


def keys_of_files() -> dict[Path, str]:
    """The key of the model that a file makes, alone or, if it is an adapter, on the first base it fits."""
    keys: dict[Path, str] = {}
    for model in services.catalog().models:
        keys.setdefault((model.adapter.path if model.adapter else model.base.path).absolute(), model.key)
    return keys


def from_hub() -> dict[tuple[str, str], str | None]:
    """What of the hub is here: the key of the model that it makes, by repository and path there; ``None`` for a file
    that makes none."""
    keys = keys_of_files()
    files = [*keys, *(file.path for file in services.catalog().unusable)]
    origins = {path: origin for path in files if (origin := read_origin(path))}
    return {(origin.repo_id, origin.file): keys.get(path) for path, origin in origins.items()}


@st.cache_data(ttl=ASKED_AGE_S, max_entries=100, show_spinner="Searching the hub…")
def found(words: str) -> list[FoundRepository] | str:
    """What a search finds, or why there is no answer."""
    try:
        return search(words)
    except HubError as error:
        return str(error)


@st.cache_data(ttl=ASKED_AGE_S, max_entries=100, show_spinner="Asking the hub…")
def looked_up(reference: Reference) -> HubRepository | str:
    """What a repository holds, or why that can't be said."""
    try:
        return look_up(reference)
    except HubError as error:
        return str(error)


@st.cache_data(ttl=FIT_AGE_S, max_entries=100, show_spinner="Reading the header of the file…")
def fit_of(repo_id: str, commit: str, path: str, _repository: HubRepository, _file: HubFile) -> Fit:
    """Whether a file can run here; remembered by what names it."""
    return fit(_repository, _file)


def ask_again() -> None:
    """Callback: forget what the hub said."""
    found.clear()
    looked_up.clear()
    fit_of.clear()
