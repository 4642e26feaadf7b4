"""Where the models and data that a recipe names are: a path, the id of a repository on the hub, or ``embedded``.

What begins with ``.``, ``~`` or ``/``, ends as a file of models or data does, or exists, is a path; the rest are ids.
In ``run.json`` paths count from the project (``./``) or from the home folder (``~/``) where they can.
"""

import os.path
from pathlib import Path

from training.settings import PROJECT_ROOT

EMBEDDED = "embedded"
"""The model that comes with the installation."""
PATH_ENDINGS = (".gguf", ".jsonl", ".json", ".parquet")


def located(place: str, folder: Path) -> str:
    """The absolute path, when the place is one (relative ones count from ``folder``), else the place as it is."""
    if place == EMBEDDED or not place or not place.isprintable():  # what cannot be printed is refused later
        return place
    path = folder / os.path.expanduser(place)
    if place.startswith((".", "~", "/")) or place.casefold().endswith(PATH_ENDINGS) or os.path.exists(path):
        # a link keeps its name: files in the hub's cache are links to blobs without one
        return os.path.realpath(path) if os.path.isdir(path) else os.path.join(os.path.realpath(path.parent), path.name)
    return place


def portable(place: str) -> str:
    """An absolute path as a recipe in the project's folder can name it, so that it holds on other machines too.

    Outside the project it is relative to the home folder when it lies there, which keeps the user's name out of a run.
    """
    if not os.path.isabs(place):
        return place
    path = Path(place)
    for start, folder in (("./", PROJECT_ROOT), ("~/", Path(os.path.realpath(os.path.expanduser("~"))))):
        if path.is_relative_to(folder):
            return start + path.relative_to(folder).as_posix()
    return place


def restored(place: str) -> str:
    """Inverse of ``portable``; an id of the hub stays one, whatever folders there are here."""
    return located(place, PROJECT_ROOT) if place.startswith(("./", "~/", "/")) else place


def is_local(place: str) -> bool:
    """Whether a located place is on this machine."""
    return place == EMBEDDED or os.path.isabs(place)
