"""Where runs and downloads go; both can be moved by an environment variable, as for the dashboard."""

import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def results_dir() -> Path:
    """Holds ``runs/`` and ``published/`` (``RESULTS_DIR``, default ``results/``)."""
    return _folder("RESULTS_DIR", "results")


def cache_dir() -> Path:
    """Holds what can be made again: ``llama.cpp-…/`` (its converters, once fetched), ``bases/`` (configuration and
    tokenizer of GGUF files) and, while something is exported, ``export-…/`` (``CACHE_DIR``, default ``.cache/``).
    """
    return _folder("CACHE_DIR", ".cache")


def _folder(variable: str, default: str) -> Path:
    return PROJECT_ROOT / Path(os.environ.get(variable) or default).expanduser()
