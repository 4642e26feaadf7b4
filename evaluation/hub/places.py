"""Where a file of the hub gets its place among the models, and whether there is room."""

import errno
import hashlib
import os
import shutil
from pathlib import Path, PurePosixPath

from evaluation.hub import HubError
from evaluation.hub.origins import read_origin
from evaluation.models.files import quoted
from evaluation.sizes import shown_size

RESERVE_BYTES = 300_000_000
"""Left free for records and for what else the machine does."""
LONGEST_PART_BYTES = 200
"""Of a name in a path; file systems take 255, and names beside it are longer."""


def download_id(repo_id: str, path: str) -> str:
    """Of a file, whatever its commit: a newer one has the same place."""
    return hashlib.sha256(f"{repo_id}\n{path}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def target(models_dir: Path, repo_id: str, path: str, peft: bool) -> Path:
    """``<models>/<owner>/<name>/<path>``; of an adapter in PEFT's form, ``<name>.gguf`` there, with the folder that it
    lies in. Raises ``HubError`` for a path that leads elsewhere or to a hidden file."""
    owner_and_name, parts = repo_id.split("/"), path.split("/")
    if len(owner_and_name) > 2 or not all(map(_is_plain, [*owner_and_name, *parts])):
        raise HubError(
            f"The file {quoted(path)} of {quoted(repo_id)} would not lie in a folder of its own here, so it is not "
            "downloaded: choose another file or repository."
        )
    if peft:
        folders = PurePosixPath(path).parent.parts
        parts = [f"{'-'.join([owner_and_name[-1], *folders])[:LONGEST_PART_BYTES]}.gguf"]
    return models_dir.joinpath(*owner_and_name, *parts)


def check_free(place: Path) -> None:
    """Raises ``HubError`` when something lies there that no download has put there."""
    if os.path.lexists(place) and read_origin(place) is None:
        raise HubError(
            f"{place} is here already and does not come from the hub, so it is not replaced: give it another name, or "
            "remove it."
        )


def move(path: Path, place: Path) -> None:
    """There it is whole or not at all. Raises ``OSError``."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _sync(path)
    try:
        os.replace(path, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = place.with_name(f".{place.name}.part")  # an owner's folder may be a link to another disk
        try:
            shutil.copy2(path, beside)
            _sync(beside)
            os.replace(beside, place)
        finally:
            beside.unlink(missing_ok=True)
        path.unlink()


def check_room(models_dir: Path, what: str, needed_bytes: int, promised_bytes: int) -> None:
    """Raises ``HubError`` when the disk has too little left beside what was promised to others, and ``OSError``."""
    free = max(0, shutil.disk_usage(models_dir).free - promised_bytes)
    if needed_bytes + RESERVE_BYTES > free:
        raise HubError(
            f"{what} needs {shown_size(needed_bytes)} more on the disk, but only {shown_size(free)} is free where the "
            f"models lie, and {shown_size(RESERVE_BYTES)} of that stays in reserve: remove a model, or make room."
        )


def _sync(path: Path) -> None:
    with path.open("rb") as content:
        os.fsync(content.fileno())


def _is_plain(name: str) -> bool:
    """A visible name of one folder or file."""
    fits = 0 < len(name.encode("utf-8", "replace")) <= LONGEST_PART_BYTES
    return fits and name.isprintable() and not name.startswith((".", "~")) and not set(name) & set('\\:*?"<>|')
