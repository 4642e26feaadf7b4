"""What every test gets: folders of its own, and nothing cached by the test before it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was read from model files holds for the whole run: it goes by their content."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_cache: Path) -> None:
    """No test sees or changes the models and results of this installation, or of another test."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("CACHE_DIR", str(shared_cache))


@pytest.fixture(autouse=True)
def empty_streamlit_caches(own_folders: None) -> Iterator[None]:
    """Streamlit's caches outlive a test; clearing them also ends the engine that a page started."""
    yield
    if streamlit := sys.modules.get("streamlit"):  # most tests never import it, and it takes a second
        streamlit.cache_data.clear()
        streamlit.cache_resource.clear()
