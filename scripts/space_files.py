"""Which files make a Space: those that git knows and the Dockerfile copies, and the Space's own README."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from scripts.image.dockerfile import copied_from_context, read_dockerfile

BESIDE = ("Dockerfile", ".dockerignore")
"""Needed to build the image, not in it."""


class FilesError(Exception):
    """The files can't be listed; the message says why and what to do."""


@dataclass(frozen=True)
class SpaceFiles:
    """What goes to the Space."""

    paths: dict[str, Path]
    """Files on this machine by their path in the Space."""
    commit: str
    """Of the project, short."""
    changed: tuple[str, ...]
    """Those of the files that differ from the commit; they go as they are on the disk."""
    unknown: tuple[str, ...]
    """Files that the image would take, but that git does not know yet; they stay here."""


def space_files(root: Path) -> SpaceFiles:
    """Look at the project in ``root``. Raises ``FilesError``."""
    sources = [*copied_from_context(read_dockerfile(root / "Dockerfile")), *BESIDE]

    def wanted(path: str) -> bool:
        return any(path == source or path.startswith(f"{source}/") for source in sources)

    tracked = [path for path in _git(root, "ls-files", "-z") if wanted(path)]
    if missing := [path for path in tracked if not (root / path).is_file()]:
        raise FilesError(f"{_some(missing)} can't be found. Bring it back with `git restore`, or remove it from git.")
    if lacking := [source for source in sources if not any(p == source or p.startswith(f"{source}/") for p in tracked)]:
        raise FilesError(f"git does not know {_some(lacking)}, which the Dockerfile copies. Add it with `git add`.")
    status = [(entry[:2], entry[3:]) for entry in _git(root, "status", "--porcelain", "-z", "--untracked-files=all")]
    paths = {path: root / path for path in tracked} | {"README.md": root / "space" / "README.md"}
    return SpaceFiles(
        paths=paths,
        commit="".join(_git(root, "rev-parse", "--short", "HEAD")).strip(),
        changed=tuple(path for code, path in status if code != "??" and path in paths),
        unknown=tuple(path for code, path in status if code == "??" and wanted(path)),
    )


def told(files: SpaceFiles) -> list[str]:
    """Sentences for whoever uploads: how much it is, and how it differs from the commit."""
    size_bytes = sum(path.stat().st_size for path in files.paths.values())
    sentences = [f"{len(files.paths)} files, {size_bytes / 1e6:.1f} MB, of commit {files.commit}."]
    if files.changed:
        sentences.append(f"Changed since that commit, and taken as they are: {_some(files.changed)}.")
    if files.unknown:
        sentences.append(f"Not taken, because git does not know them: {_some(files.unknown)}. `git add` changes that.")
    return sentences


def _some(paths: list[str] | tuple[str, ...]) -> str:
    rest = len(paths) - 3
    return ", ".join(paths[:3]) + (f" and {rest} more" if rest > 0 else "")


def _git(root: Path, *arguments: str) -> list[str]:
    """The entries that a git command prints."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise FilesError("git is not installed; it tells which files belong to the project.") from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[0] if error.stderr.strip() else "no reason given"
        raise FilesError(f"git can't tell which files belong to the project in {root} ({reason}). Clone it.") from None
    return [entry for entry in done.stdout.split("\0") if entry]
