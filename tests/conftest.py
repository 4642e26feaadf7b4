"""What every test gets: folders of its own, and nothing cached by the test before it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

# Models of tests are too small to share their sums among threads, which would wait for each other and keep the cores
# from the other tests. PyTorch and NumPy read this when they are loaded; llama.cpp is told its threads by the engine.
os.environ.setdefault("OMP_NUM_THREADS", "1")


class ByFile(LoadFileScheduling):
    """A file's tests share a process, and so do all files that load PyTorch, which takes many seconds."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "PyTorch" if "unit/training/" in file or file.endswith("engine/test_loss.py") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was read from model files holds for the whole run: it goes by their content."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_cache: Path) -> None:
    """No test sees or changes the models and results of this installation, or of another test."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("PUBLISHED_DIR", str(tmp_path / "published"))
    monkeypatch.setenv("CACHE_DIR", str(shared_cache))


@pytest.fixture(autouse=True)
def empty_streamlit_caches(own_folders: None) -> Iterator[None]:
    """Streamlit's caches outlive a test; clearing them also ends the engine that a page started."""
    yield
    if streamlit := sys.modules.get("streamlit"):  # most tests never import it, and it takes a second
        streamlit.cache_data.clear()
        streamlit.cache_resource.clear()
