"""Training started from somewhere else than a terminal: a process of its own that outlives who started it.

    start(results_dir, Path("training/recipes/demo.toml"), ["training.steps=20"])
    last_launch(results_dir)                     # whether it lives, which run it writes, its last words
    interrupt(results_dir / "runs" / run)        # after the step in progress; resume(results_dir, run) goes on

One at a time. ``results/runs/.launch/`` holds:

| file | what |
| --- | --- |
| ``launch.json`` | what was started, and when |
| ``run`` | the run's id, as soon as it has one |
| ``output.log`` | what the process prints |
| ``run.lock`` | locked by the process as long as it lives, which begins before its run and ends after the export |
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from training import checkpoints
from training.recipe import RecipeError, read_recipe
from training.run_lock import hold, holder_running, let_go, note_holder
from training.runlog import RunError, read_run, subfolders, trouble, write_whole
from training.settings import PROJECT_ROOT

MODULE = "training.finetune"
FOLDER = ".launch"
LAUNCH_FILE, RUN_FILE, OUTPUT_FILE = "launch.json", "run", "output.log"
PACKAGES = ("torch", "trl", "peft")
NOT_INSTALLED = "The packages for training are not installed here. In a terminal, `make train` installs them."
TAIL_BYTES = 20_000
_PROGRESS_BAR = re.compile(r"\d+%\|")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(?:\S.*\n?)?(?:[ \t].*\n?|\n)*")
_FAULT = "\0"
"""Stands for a traceback where lines are looked at."""


class LaunchError(Exception):
    """The message is a sentence for the user, or lists the faults of a recipe, one per line."""


@dataclass(frozen=True)
class Launch:
    """The last training that was started this way."""

    what: str
    """Name of the run."""
    started_at: float
    """UTC s."""
    alive: bool
    run: str | None
    """Id of the run it writes or wrote; ``None`` before its folder exists, or when it ended before that."""
    last_words: str
    """The last line that it printed, progress bars left out; of a fault of the program, where its details are."""


@dataclass(frozen=True)
class _Stored:
    what: str
    started_at: float


_STORED = TypeAdapter(_Stored)


def installed() -> bool:
    """Whether the packages that training needs are there; the app runs without them."""
    return all(find_spec(name) is not None for name in PACKAGES)


def start(results_dir: Path, recipe: Path, overrides: Sequence[str] = ()) -> None:
    """Train by a recipe; paths in ``overrides`` count from the project's folder. Raises ``LaunchError`` with all that
    is wrong with it, or when something is being trained."""
    try:
        name = read_recipe(recipe, overrides, PROJECT_ROOT).name
    except RecipeError as error:
        raise LaunchError(str(error)) from None
    _launch(results_dir, name, str(recipe.absolute()), *(f"--set={each}" for each in overrides))


def resume(results_dir: Path, run: str) -> None:
    """Go on with a stopped run. Raises ``LaunchError``."""
    folder = results_dir / "runs" / run
    try:
        stored = read_run(folder)
    except RunError as error:
        raise LaunchError(str(error)) from None
    if reason := checkpoints.why_not_resumed(stored):
        raise LaunchError(reason)
    _launch(results_dir, stored.name, f"--resume={folder.absolute()}")


def interrupt(folder: Path) -> None:
    """Ask the process that writes this run to stop after the step in progress; a second time, to stop at once. Harmless
    when none does."""
    _signal(folder, signal.SIGINT)


def stop(results_dir: Path) -> None:
    """End what was launched before its run begins; later it stops after the step in progress. Harmless when there is
    nothing."""
    _signal(results_dir / "runs" / FOLDER, signal.SIGTERM)


def last_launch(results_dir: Path) -> Launch | None:
    """``None`` when nothing was ever started this way."""
    folder = results_dir / "runs" / FOLDER
    alive = is_trained(folder)  # before the rest is read: what has ended changes no more
    try:
        stored = _STORED.validate_json((folder / LAUNCH_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    run = None
    with suppress(OSError, UnicodeDecodeError):
        run = (folder / RUN_FILE).read_text(encoding="utf-8") or None
    return Launch(stored.what, stored.started_at, alive, run, _last_words(folder / OUTPUT_FILE, alive))


def training_now(results_dir: Path) -> str | None:
    """What is being trained on this machine now, from here or from a terminal: the run's name; ``None`` when nothing
    is."""
    launch = last_launch(results_dir)
    if launch is not None and launch.alive:
        return launch.what
    for folder in subfolders(results_dir / "runs"):
        if is_trained(folder):  # before the record is read, which most runs need not
            with suppress(RunError):
                run = read_run(folder)
                if run.status == "running":
                    return run.name
    return None


def is_trained(folder: Path) -> bool:
    """Whether a training process of this machine has the lock of this folder.

    A process that imports a run or renames it has the lock, too, and trains nothing.
    """
    return holder_running(folder, MODULE) is not None


def _signal(folder: Path, number: signal.Signals) -> None:
    pid = holder_running(folder, MODULE)
    if pid is not None:
        with suppress(OSError):  # it has just ended, or is another user's
            os.kill(pid, number)


def _launch(results_dir: Path, what: str, *arguments: str) -> None:
    if not installed():
        raise LaunchError(NOT_INSTALLED)
    if other := training_now(results_dir):
        raise LaunchError(f"{other} is being trained: wait for its end, or interrupt it first.")
    folder, lock = results_dir / "runs" / FOLDER, -1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = hold(folder)
        (folder / RUN_FILE).unlink(missing_ok=True)
        write_whole(folder / LAUNCH_FILE, _STORED.dump_json(_Stored(what, time.time())))
        _spawn(results_dir, folder, lock, arguments)
    except RunError:
        raise LaunchError("Another training is just starting: wait for its end, or interrupt it first.") from None
    except OSError as error:
        raise LaunchError(f"{what} cannot be trained with {results_dir}: {trouble(error)}, and try again.") from error
    finally:
        let_go(lock)  # by now the process has it too, and keeps it


def _spawn(results_dir: Path, folder: Path, lock: int, arguments: Sequence[str]) -> None:
    with (folder / OUTPUT_FILE).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, *arguments, f"--tell={(folder / RUN_FILE).absolute()}"],
            cwd=PROJECT_ROOT,
            env=os.environ | {"RESULTS_DIR": str(results_dir.absolute()), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
        )
    try:
        note_holder(lock, process.pid)
    except OSError:  # nobody could find it to stop it
        process.kill()
        process.wait()
        raise


def _last_words(path: Path, alive: bool) -> str:
    try:
        with path.open("rb") as output:
            output.seek(max(0, output.seek(0, os.SEEK_END) - TAIL_BYTES))
            printed = output.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in re.split(r"[\r\n]+", _TRACEBACK.sub(f"\n{_FAULT}\n", printed))]
    said = [line for line in lines if line and not _PROGRESS_BAR.search(line)]
    if said and said[-1] == _FAULT and not alive:
        return f"The program failed; its last words are in {path}."
    return next((line for line in reversed(said) if line != _FAULT), "")
