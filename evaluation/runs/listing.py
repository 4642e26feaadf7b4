"""The list of training runs: what each was, how far it came, how low its loss went."""

import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluation.models.names import printable
from evaluation.runs.log_figures import LogFigures, log_figures
from evaluation.runs.logs import UNREADABLE, RunLogs
from training.runlog import LOG_FILE, RUN_FILE, Run, RunError, read_run, subfolders


@dataclass(frozen=True)
class RunSummary:
    """A run and what its log says in short. Unknown is ``None``; seconds, nats per token."""

    folder: Path
    run: Run
    """Its ``id`` is the folder's name and unique in a listing; ``name`` is not unique."""
    read_only: bool
    """It belongs to the project (``results/published/``), so nothing about it may be changed here."""
    steps_done: int | None = None
    final_loss: float | None = None
    """The smoothed line (``curves.starting_weight``) at the last step: a single step is mostly noise. Unknown when that
    step diverged."""
    best_loss: float | None = None
    """Its lowest value, from where it averages over enough steps; the final one, unless the line went up at the end."""
    held_out_loss: float | None = None
    """Of the last evaluation."""
    held_out_before: float | None = None
    """Of the evaluation before the first step."""
    duration_s: float | None = None
    """Training time; pauses between a stop and a resume left out where the log tells."""
    tok_s: float | None = None
    """Tokens trained on per second, median of the steps."""

    def setting(self, section: str, key: str) -> Any:
        """A setting of the recipe, which may be that of another program; ``None`` where it is unknown."""
        table = self.run.recipe.get(section)
        return table.get(key) if isinstance(table, Mapping) else None


@dataclass(frozen=True)
class Listing:
    """All runs found."""

    runs: tuple[RunSummary, ...]
    """Newest first; of unknown start last."""
    problems: tuple[tuple[Path, str], ...] = ()
    """Folders that are no run, with a sentence each."""


_State = tuple[int, ...]
"""Of a file: changes when it is written, replaced or made readable. Empty: there is none."""


class RunList:
    """Lists the runs of some folders again and again, reading only what has changed. Threads may share it."""

    def __init__(
        self,
        parents: Sequence[Path],
        read_only: Sequence[Path],
        logs: RunLogs,
        cut: Callable[[Run], Run] = lambda run: run,
    ) -> None:
        """``parents``: folders that hold ``runs/``; those in ``read_only`` must not be changed. ``cut``: what is
        listed of a record."""
        locked = {folder.resolve() for folder in read_only}
        self._parents = {parent: parent.resolve() in locked for parent in parents}
        self._logs = logs
        self._cut = cut
        self._lock = threading.Lock()
        self._runs: dict[Path, tuple[tuple[_State, _State], Run | str]] = {}
        """With the states of ``run.json`` and the log: a dead run ended when they last changed. A sentence: no run."""
        self._figures: dict[Path, tuple[_State | None, LogFigures]] = {}
        """With the state of the log; ``None``: to be read again."""

    def refresh(self) -> Listing:
        """What there is now. Never raises because of a folder."""
        with self._lock:
            folders = self._folders()
            states = {folder: (_state(folder, RUN_FILE), _state(folder, LOG_FILE)) for folder in folders}
            self._runs = {folder: self._run(folder, states[folder]) for folder in folders}
            self._read_figures({folder: log for folder, (_, log) in states.items() if self._is_run(folder)})
            return self._listing(folders)

    def _folders(self) -> dict[Path, bool]:
        """Each folder once, however many links lead to it, with whether it must not be changed."""
        paths: dict[tuple[int, int], Path] = {}
        read_only: dict[tuple[int, int], bool] = {}
        for parent, locked in self._parents.items():
            for folder in subfolders(parent / "runs"):
                with suppress(OSError):
                    status = os.stat(folder)
                    key = (status.st_dev, status.st_ino)
                    read_only[key] = read_only.get(key, False) or locked
                    if key not in paths or (paths[key].is_symlink() and not folder.is_symlink()):
                        paths[key] = folder
        return {folder: read_only[key] for key, folder in paths.items()}

    def _run(self, folder: Path, states: tuple[_State, _State]) -> tuple[tuple[_State, _State], Run | str]:
        known = self._runs.get(folder)
        # Whether a running one still lives is not written in any file.
        if known and known[0] == states and not (isinstance(known[1], Run) and known[1].status == "running"):
            return known
        try:
            return states, self._cut(read_run(folder))
        except RunError as error:
            return states, str(error)

    def _is_run(self, folder: Path) -> bool:
        return isinstance(self._runs[folder][1], Run)

    def _read_figures(self, states: Mapping[Path, _State]) -> None:
        kept = {folder: self._figures[folder] for folder in states if folder in self._figures}
        changed = [folder for folder, state in states.items() if folder not in kept or kept[folder][0] != state]
        for folder, entries in self._logs.entries(changed):
            # Why a log could not be read may pass without any change of the file.
            kept[folder] = (None if entries.version == UNREADABLE else states[folder], log_figures(entries))
        self._figures = kept

    def _listing(self, folders: Mapping[Path, bool]) -> Listing:
        runs: dict[str, RunSummary] = {}
        problems: list[tuple[Path, str]] = []
        for folder, read_only in folders.items():
            run = self._runs[folder][1]
            if isinstance(run, str):
                problems.append((folder, run))
            elif run.id not in runs:
                runs[run.id] = _summary(folder, run, read_only, self._figures[folder][1])
            elif runs[run.id].run != run:
                other = runs[run.id].folder
                problems.append((folder, f"{folder} is left out, because {other} is another run of the same name."))
        return Listing(tuple(sorted(runs.values(), key=_newest_first)), tuple(problems))


def labels(runs: Sequence[RunSummary]) -> dict[str, str]:
    """A name for each run id that is unique among these: its name, with date and time only where two share one (and
    with its id where that does not tell them apart)."""
    found = names = {summary.run.id: printable(summary.run.name) or summary.run.id for summary in runs}
    for more in (_time_of_start, lambda run: run.id):
        shared = _shared(found.values())
        told_apart = {each.run.id: f"{names[each.run.id]} ({more(each.run)})" for each in runs}
        found = {run: told_apart[run] if name in shared else name for run, name in found.items()}
    return found


def _shared(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def _time_of_start(run: Run) -> str:
    try:
        return f"{datetime.fromtimestamp(run.started_at or math.nan, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):  # unknown, or no time that a calendar knows
        return run.id


def _summary(folder: Path, run: Run, read_only: bool, figures: LogFigures) -> RunSummary:
    duration_s = figures.elapsed_s
    if duration_s is None and run.started_at is not None and run.ended_at is not None:
        duration_s = run.ended_at - run.started_at
    return RunSummary(
        folder,
        run,
        read_only,
        steps_done=figures.steps_done,
        final_loss=figures.final_loss,
        best_loss=figures.best_loss,
        held_out_loss=figures.held_out_loss,
        held_out_before=figures.held_out_before,
        duration_s=duration_s,
        tok_s=figures.tok_s,
    )


def _newest_first(summary: RunSummary) -> tuple[bool, float, str]:
    started_at = summary.run.started_at
    if started_at is None or not math.isfinite(started_at):
        return True, 0.0, summary.run.id
    return False, -started_at, summary.run.id


def _state(folder: Path, name: str) -> _State:
    try:
        status = os.stat(f"{folder}/{name}")
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
