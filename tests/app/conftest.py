"""What a test of a page need not do again and again."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_components_of_other_packages() -> Iterator[None]:
    """Each ``AppTest`` would read the metadata of all installed packages, to find components, of which none is used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamlit.components.v2.manifest_scanner.scan_component_manifests", list)
        yield
