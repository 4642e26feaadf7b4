"""Models to begin with, from ``evaluation/catalog.toml``."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CATALOG_FILE = Path(__file__).resolve().parent.parent / "catalog.toml"


@dataclass(frozen=True)
class Starter:
    """A model worth trying on two cores."""

    name: str
    repo_id: str
    file: str | None
    """Path in the repository; ``None`` where it is not known for sure: then the files are listed, never guessed."""
    revision: str | None
    size_bytes: int | None
    """About."""
    group: str
    """Why it is in the catalog, for example ``The study's bases``."""
    note: str
    """One line on what it is."""
    license: str | None = None
    """As the hub names it, as far as known here; ``look_up`` has the hub's word."""


@cache
def starters() -> tuple[Starter, ...]:
    """The catalog, in its order."""
    catalog = tomllib.loads(CATALOG_FILE.read_text(encoding="utf-8"))
    optional = dict.fromkeys(("file", "revision", "size_bytes"))
    return tuple(
        Starter(**{**optional, **model, "group": group["name"]})
        for group in catalog["group"]
        for model in group["model"]
    )
