"""Which file of a path holds the log of a run, and of which form it is."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.importers import csv_table, json_lines, notebook, tensorboard, trainer_state
from training.importers.found import Facts, Found, ImporterError
from training.runlog import LOG_FILE, RUN_FILE

DEEPEST = 3
"""Folders below the named one that are looked into."""
MOST_NAMED = 6

FORMS = (
    "trainer_state.json or a checkpoint folder (Hugging Face Trainer), trainer_log.jsonl (LLaMA-Factory), "
    "events.out.tfevents.* (TensorBoard), a .csv table, or a notebook (.ipynb)"
)


@dataclass(frozen=True)
class Source:
    """The files of one run, and how they are read."""

    kind: str
    looked_for: str
    files: tuple[Path, ...]
    read: Callable[[Found], Facts]


def locate(path: Path) -> Source:
    """The log that a path stands for: of a folder, the one that says the most. Raises ``ImporterError``."""
    if path.is_dir():
        return _in_folder(path)
    if not path.exists():
        raise ImporterError(f"There is no file or folder {path}.")
    if path.name == LOG_FILE and (path.parent / RUN_FILE).exists():
        raise ImporterError(_already_a_run(path.parent))
    source = _of_file(path)
    if source is None:
        raise ImporterError(f"{path} is of no form that can be imported. Looked for {FORMS}.")
    return source


def _of_file(path: Path) -> Source | None:
    if _is_events(path):
        return _events([path])
    module = _BY_SUFFIX.get(path.suffix.casefold())
    return None if module is None else Source(module.KIND, module.LOOKED_FOR, (path,), lambda f: module.read(path, f))


_BY_SUFFIX = {
    ".json": trainer_state,
    ".jsonl": json_lines,
    ".csv": csv_table,
    ".tsv": csv_table,
    ".ipynb": notebook,
}
_ALONE = _BY_SUFFIX.keys() - {".json"}
"""In a folder: other JSON files beside a log are settings."""


def _events(paths: Sequence[Path]) -> Source:
    ordered = tuple(sorted(paths, key=lambda path: path.name))  # their names begin with the time
    return Source(tensorboard.KIND, tensorboard.LOOKED_FOR, ordered, lambda f: tensorboard.read(ordered, f))


def _in_folder(folder: Path) -> Source:
    if (folder / RUN_FILE).exists():
        raise ImporterError(_already_a_run(folder))
    files = _files(folder)
    states = _grouped([path for path in files if path.name == "trainer_state.json"], _output_folder)
    if states:
        # The state beside the checkpoints is the newest, unless the run went on after it was written.
        return _required(max(_only(folder, states), key=lambda path: (trainer_state.step_of(path), -len(path.parts))))
    for chosen in (
        [path for path in files if path.name == "trainer_log.jsonl"],
        [path for path in files if _is_events(path)],
        [path for path in files if path.suffix.casefold() in _ALONE and path.parent == folder],
    ):
        if chosen and _is_events(chosen[0]):
            return _events(_only(folder, _grouped(chosen, lambda path: path.parent)))
        if chosen:
            return _required(_only(folder, _grouped(chosen, lambda path: path))[0])
    raise ImporterError(f"There is nothing to import in {folder}. Looked for {FORMS}.")


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < DEEPEST else []
        found += [Path(place, name) for name in sorted(names) if not name.startswith(".")]
    return found


def _grouped(paths: Sequence[Path], key: Callable[[Path], Path]) -> dict[Path, list[Path]]:
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return groups


def _only(folder: Path, groups: dict[Path, list[Path]]) -> list[Path]:
    """The files of the one run in a folder; when there are several, those of the folder itself."""
    if folder in groups:
        return groups[folder]
    if len(groups) > 1:
        names = [str(group.relative_to(folder)) for group in groups]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        raise ImporterError(
            f"{folder} holds several logs: {', '.join(names[:MOST_NAMED])}{more}. Name the one that is to be imported."
        )
    return next(iter(groups.values()))


def _output_folder(state: Path) -> Path:
    return state.parent.parent if state.parent.name.startswith("checkpoint-") else state.parent


def _is_events(path: Path) -> bool:
    return "tfevents" in path.name


def _required(path: Path) -> Source:
    source = _of_file(path)
    assert source is not None, path
    return source


def _already_a_run(folder: Path) -> str:
    return f"{folder} is a run of this program already: copy the folder into runs/ of the results folder."
