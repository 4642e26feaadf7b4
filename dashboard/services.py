"""What all visitors share: the engine, the store of responses and the catalog of models."""

import atexit
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from evaluation.benchmark import folder
from evaluation.benchmark.folder import Benchmark
from evaluation.engine import Engines
from evaluation.engine.api import Generation
from evaluation.leaderboard.answers import Answers
from evaluation.models import Catalog, discover
from evaluation.settings import Settings
from evaluation.store import ResponseStore

if TYPE_CHECKING:
    from evaluation.persistence import Persistence

CATALOG_AGE_S = 5


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """The folders of this installation."""
    return Settings.from_environment()


@st.cache_resource(show_spinner="Fetching earlier records…", on_release=lambda kept: kept and kept.close())
def persistence() -> "Persistence | None":
    """Keeps the records beyond this machine's disk, the earlier ones brought back; ``None`` where the disk stays."""
    if not (dataset := settings().results_dataset):
        return None
    from evaluation.persistence import Persistence  # with the hub's library, which takes half a second

    kept = Persistence(settings().results_dir, dataset)
    kept.restore()
    kept.start()
    atexit.register(kept.close)  # before the engine's, so that it runs after it and pushes the answers cut short
    return kept


def run_parents() -> tuple[Path, Path, Path]:
    """The folders that hold ``runs/``: this installation's, then those of what comes along, which nobody changes."""
    persistence()
    own = settings().results_dir
    return own, own / "published", settings().published_dir


@st.cache_resource(show_spinner=False)
def store() -> ResponseStore:
    """Where responses are kept."""
    kept = persistence()
    lock = kept.lock if kept else None
    return ResponseStore(settings().results_dir / "responses", settings().published_dir / "responses", lock)


@st.cache_resource(show_spinner=False)
def answers() -> Answers:
    """The figures of all stored answers; ``refresh`` takes in what is new."""
    persistence()
    return Answers(settings().results_dir, settings().published_dir)


@st.cache_resource(show_spinner="Starting the engine…", on_release=lambda engine: engine.close())
def engine() -> Engines:
    """The engine; every answer goes to the store before it is shown as done."""
    started = Engines(record=store().append)
    atexit.register(started.close)
    return started


def running_benchmark() -> Benchmark | None:
    """The benchmark that has this machine to itself now, if any; never remembered, for it may end at any moment."""
    return folder.running(settings().results_dir)


@st.cache_resource(show_spinner="Looking for models…", ttl=CATALOG_AGE_S)
def catalog() -> Catalog:
    """The models found, looked up again when older than ``CATALOG_AGE_S``; ``catalog.clear()`` forces it."""
    folders = settings()
    return discover(folders.models_dir, folders.results_dir, folders.cache_dir, folders.published_dir)


class Visit:
    """The answers being written for one browser tab."""

    def __init__(self) -> None:
        self._generations: list[Generation] = []

    def add(self, generation: Generation) -> None:
        self._generations = [each for each in self._generations if each.snapshot().state != "done"]
        self._generations.append(generation)

    def end(self) -> None:
        """Nobody is looking any more: free the cores."""
        for generation in self._generations:
            generation.cancel()


@st.cache_resource(scope="session", show_spinner=False, on_release=Visit.end)
def visit() -> Visit:
    """This tab's visit. Streamlit releases it the moment the tab's connection closes, whatever runs or not."""
    return Visit()
