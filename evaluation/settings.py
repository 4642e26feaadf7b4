"""Where models are looked for and where results are kept; both can be moved by an environment variable."""

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
PUBLISHED_DIR = PROJECT_ROOT / "results" / "published"
"""Runs and responses that belong to the project, wherever an installation keeps its own results."""


@dataclass(frozen=True)
class Settings:
    """Folders of one installation, and who visits it."""

    models_dir: Path
    """Searched, with its subfolders, for ``*.gguf`` files (``MODELS_DIR``, default ``models/``)."""
    results_dir: Path
    """Holds ``responses/``, ``runs/`` and the other records (``RESULTS_DIR``, default ``results/``)."""
    cache_dir: Path
    """What was read from model files, kept so that a file is read once (``CACHE_DIR``, default ``.cache/``)."""
    published_dir: Path = PUBLISHED_DIR
    """What comes along to be seen beside one's own results (``PUBLISHED_DIR``; an empty folder shows none of it)."""
    public: bool = False
    """Strangers visit: nobody but an owner may change anything here (``PUBLIC=1``; in a Space by itself)."""
    owners: frozenset[str] = frozenset()
    """Names on the hub of those who may, once they are signed in (``OWNERS``, separated by commas)."""
    results_dataset: str | None = None
    """Data set of the hub that the records go to and come back from at a start (``RESULTS_DATASET=user/name``)."""

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment; relative paths count from the project's root."""

        def folder(variable: str, default: str) -> Path:
            return PROJECT_ROOT / Path(os.environ.get(variable) or default).expanduser()

        public = os.environ.get("PUBLIC")
        owners = os.environ.get("OWNERS", "").split(",")
        return cls(
            models_dir=folder("MODELS_DIR", "models"),
            results_dir=folder("RESULTS_DIR", "results"),
            cache_dir=folder("CACHE_DIR", ".cache"),
            published_dir=folder("PUBLISHED_DIR", str(PUBLISHED_DIR)),
            public="SPACE_ID" in os.environ if not public else public.lower() not in ("0", "false", "no"),
            owners=frozenset(name.strip() for name in owners if name.strip()),
            results_dataset=os.environ.get("RESULTS_DATASET") or None,
        )
