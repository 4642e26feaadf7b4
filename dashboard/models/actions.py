"""What the buttons of the page do. A refusal is kept as a sentence and shown at the next drawing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from dashboard import services
from dashboard.models import data
from dashboard.told import told
from dashboard.visitors import may_manage
from evaluation.endpoints import Endpoint
from evaluation.endpoints.file import EndpointError, write_endpoints
from evaluation.hub import HubError
from evaluation.hub.repositories import HubFile, HubRepository
from evaluation.models import inventory
from evaluation.models.inventory import Item

FAULT = "models_fault"
ONLY_OWNERS = "Only an owner of this page can change what is here. To do that, start the app on a machine of your own."


def download(repository: HubRepository, file: HubFile) -> None:
    """Begin, or go on."""
    with _managing():
        data.downloads().start(repository, file)
        st.toast("The download has begun. Its progress is shown at the top of the page.", icon=":material/download:")


def cancel(download_id: str) -> None:
    """Stop it and keep what has come."""
    with _managing():
        data.downloads().cancel(download_id)


def resume(download_id: str) -> None:
    """Go on with it."""
    with _managing():
        data.downloads().resume(download_id)


def forget(download_id: str) -> None:
    """Drop it, with what has come of it if it is not whole."""
    with _managing():
        data.downloads().forget(download_id)


def remove(item: Item) -> None:
    """Delete it for good. Whoever holds its file in memory lets go of it, or the disk would not become free."""
    with _managing():
        inventory.remove(item, services.settings().models_dir)
        services.engine().release_idle()
        services.catalog.clear()


def save_endpoints(endpoints: Sequence[Endpoint]) -> None:
    """From now on these are the servers that can be asked."""
    with _managing():
        write_endpoints(services.settings().models_dir, endpoints)
        services.catalog.clear()


def draw_fault() -> None:
    """Why the last click did nothing, once."""
    if fault := st.session_state.pop(FAULT, None):
        st.error(lines(fault), icon=":material/error:")


def lines(sentences: object) -> str:
    """A sentence per line, as Markdown."""
    return "  \n".join(told(line) for line in str(sentences).splitlines())


@contextmanager
def _managing() -> Iterator[None]:
    try:
        if not may_manage():
            raise HubError(ONLY_OWNERS)
        yield
    except (HubError, EndpointError) as error:
        st.session_state[FAULT] = str(error)
