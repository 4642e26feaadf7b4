"""What the buttons of the page do. A refusal is kept as a sentence and shown at the next drawing."""

import streamlit as st

from dashboard import services
from dashboard.models import data
from dashboard.told import told
from dashboard.visitors import owners_only
from evaluation.endpoints import Endpoint
from evaluation.endpoints.file import EndpointError, checked, read_endpoints, write_endpoints
from evaluation.hub import HubError
from evaluation.hub.repositories import HubFile, HubRepository
from evaluation.models import inventory
from evaluation.models.inventory import Item

FAULT = "models_fault"
ONLY_OWNERS = "Only an owner of this page can change what is here. To do that, start the app on a machine of your own."

_managing = owners_only(FAULT, ONLY_OWNERS, HubError, EndpointError)


@_managing
def download(repository: HubRepository, file: HubFile) -> None:
    """Begin, or go on."""
    data.downloads().start(repository, file)


@_managing
def cancel(download_id: str) -> None:
    """Stop it and keep what has come."""
    data.downloads().cancel(download_id)


@_managing
def resume(download_id: str) -> None:
    """Go on with it."""
    data.downloads().resume(download_id)


@_managing
def forget(download_id: str) -> None:
    """Drop it, with what has come of it if it is not whole."""
    data.downloads().forget(download_id)


@_managing
def remove(item: Item) -> None:
    """Delete it for good. Whoever holds its file in memory lets go of it, or the disk would not become free."""
    inventory.remove(item, services.settings().models_dir)
    services.engine().release_idle()
    services.catalog.clear()


@_managing
def save_endpoint(asked: Endpoint, old: Endpoint | None) -> None:
    """Put it in the place of ``old``, or behind the others, in the list as it is by now."""
    models_dir = services.settings().models_dir
    endpoints, _ = read_endpoints(models_dir)
    new = checked(asked, [each for each in endpoints if each != old])
    write_endpoints(
        models_dir, [new if each == old else each for each in endpoints] if old in endpoints else [*endpoints, new]
    )
    services.catalog.clear()


def draw_fault() -> bool:
    """Why the last click did nothing, once. False when there is nothing to say."""
    fault = st.session_state.pop(FAULT, None)
    if fault:
        st.error(lines(fault), icon=":material/error:")
    return fault is not None


def lines(sentences: object) -> str:
    """A sentence per line, as Markdown."""
    return "  \n".join(told(line) for line in str(sentences).splitlines())
