"""A benchmark on disk, and from another process: ``results/benchmarks/<id>/``.

| file | what |
| --- | --- |
| ``benchmark.json`` | the plan, written once |
| ``progress.json`` | how far it is, replaced as a whole after each cell |
| ``run.lock`` | locked by the process that runs it, as long as it lives; holds its process id |
| ``output.log`` | what that process printed, when it was started from the page |

Its answers are in ``results/responses/``, its losses in ``results/losses/``. One benchmark of a results folder runs at
a time: the process that does also holds ``results/benchmarks/run.lock``.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from evaluation.benchmark.plan import Plan, from_json, to_json
from evaluation.settings import PROJECT_ROOT
from evaluation.store import to_json_text
from training.launch import training_now
from training.run_lock import hold, holder, holder_running, is_held, let_go
from training.runlog import RunError, new_folder, subfolders, trouble, write_whole

MODULE = "evaluation.benchmark"
PLAN_FILE, PROGRESS_FILE, OUTPUT_FILE = "benchmark.json", "progress.json", "output.log"
START_PATIENCE_S = 60.0
"""A process that has neither begun nor ended by then is stuck."""

Status = Literal["running", "finished", "cancelled", "interrupted", "failed"]
"""``cancelled``: by the user; ``interrupted``: its process ended without saying so; ``failed``: see ``reason``. All
three can be resumed."""


class BenchmarkError(Exception):
    """The message is a sentence for the user."""


@dataclass(frozen=True)
class Progress:
    """How far a benchmark is."""

    status: Status
    done: int = 0
    """Cells finished, failed ones included; warm-ups not counted."""
    total: int = 0
    failed: int = 0
    disturbed: int = 0
    now: str | None = None
    """What is being done, for people."""
    seconds_left: float | None = None
    updated_at: float | None = None
    """UTC s."""
    reason: str | None = None
    """A sentence: why it failed or was interrupted, or what is missing although it finished."""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as found on disk."""

    folder: Path
    plan: Plan
    progress: Progress
    """``running`` only while its process lives."""


_PROGRESS = TypeAdapter(Progress)


def create(results_dir: Path, plan: Plan) -> Path:
    """Write the plan; returns the folder. When there is one of this id, the id gets a number appended.

    Raises ``BenchmarkError``.
    """
    names = [each.name for each in plan.prompt_sets]
    if len(set(names)) < len(names):  # their cells could not be told apart
        raise BenchmarkError(f"Two of the prompt sets {', '.join(names)} have the same name: rename one.")
    parent = results_dir / "benchmarks"
    with _told(f"The benchmark cannot be stored in {parent}"):
        parent.mkdir(parents=True, exist_ok=True)
        folder = new_folder(parent, plan.id)
        write_whole(folder / PLAN_FILE, to_json(replace(plan, id=folder.name)))
    return folder


def read(folder: Path) -> Benchmark:
    """The benchmark in a folder, with its true status. Raises ``BenchmarkError``."""
    plan = _read_plan(folder)
    return Benchmark(folder, plan, _read_progress(folder, plan))


def benchmarks(results_dir: Path, published_dir: Path | None = None) -> tuple[list[Benchmark], list[tuple[Path, str]]]:
    """Those in ``benchmarks/`` of the two folders, newest first, and the folders that are none with a sentence."""
    found: list[Benchmark] = []
    problems: list[tuple[Path, str]] = []
    for folder in _folders(results_dir, *([published_dir] if published_dir else [])):
        try:
            found.append(read(folder))
        except BenchmarkError as error:
            problems.append((folder, str(error)))
    return sorted(found, key=lambda each: each.plan.created_at, reverse=True), problems


def running(results_dir: Path) -> Benchmark | None:
    """The one that runs on this machine now, if any."""
    for folder in _folders(results_dir):
        if is_held(folder):  # before the plan is read, which most pages need not do
            with suppress(BenchmarkError):
                benchmark = read(folder)
                if benchmark.progress.status == "running":
                    return benchmark
    return None


def refuse_second(results_dir: Path) -> None:
    """Raises ``BenchmarkError`` while one runs, or something is trained."""
    if trained := training_now(results_dir):
        raise BenchmarkError(f"{trained} is being trained on this machine: wait for its end, or interrupt it first.")
    other = running(results_dir)
    if other is not None:
        raise BenchmarkError(f"The benchmark {other.plan.name} is running: wait for it, or cancel it first.")


def start(results_dir: Path, benchmark: str, again: bool = False) -> None:
    """Run or resume it in a process of its own that outlives this one. ``again``: also the cells that failed or were
    disturbed. Raises ``BenchmarkError``, for example when another one runs."""
    folder = results_dir / "benchmarks" / benchmark
    _read_plan(folder)
    refuse_second(results_dir)
    command = [sys.executable, "-m", MODULE, "--resume", benchmark, *(["--again"] if again else [])]
    with _told(f"The benchmark {benchmark} cannot be started"), (folder / OUTPUT_FILE).open("ab") as output:
        said_before = output.tell()
        process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=os.environ | {"RESULTS_DIR": str(results_dir.absolute())},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        if holder(folder) == process.pid and read(folder).progress.status == "running":
            return
        time.sleep(0.05)
    if process.returncode == 0:
        return  # there was nothing left to do
    if process.returncode is None:
        process.kill()
        process.wait()
    raise BenchmarkError(_last_words(folder, said_before) or f"The benchmark {benchmark} ended as soon as it began.")


def cancel(folder: Path) -> None:
    """Ask its process to stop; the answer being written is thrown away. Harmless when none runs."""
    pid = holder_running(folder, MODULE)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


@contextmanager
def held(results_dir: Path, folder: Path) -> Iterator[None]:
    """This process runs the benchmark of this folder until the block ends. Raises ``BenchmarkError`` when one runs."""
    machine = benchmark = -1
    try:
        with _told(f"The benchmark {folder.name} cannot be run in {folder}"):
            try:
                machine = hold(folder.parent)
                benchmark = hold(folder)
            except RunError:
                refuse_second(results_dir)
                raise BenchmarkError("Another benchmark is just starting: wait for it, or cancel it first.") from None
            write_progress(folder, replace(read(folder).progress, status="running", now="Starting", reason=None))
        yield
    finally:
        let_go(benchmark)
        let_go(machine)


def write_progress(folder: Path, progress: Progress) -> None:
    """Replace ``progress.json``. Raises ``BenchmarkError``."""
    with _told(f"The progress cannot be written in {folder}"):
        write_whole(folder / PROGRESS_FILE, to_json_text(asdict(progress), indent=2).encode())


def _folders(*parents: Path) -> Iterator[Path]:
    for parent in parents:
        yield from subfolders(parent / "benchmarks")


def _read_plan(folder: Path) -> Plan:
    path = folder / PLAN_FILE
    try:
        return replace(from_json(path.read_bytes()), id=folder.name)
    except FileNotFoundError:
        raise BenchmarkError(f"{folder} has no {PLAN_FILE}: it is not a benchmark, or its start failed.") from None
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be read ({error.strerror}): make it readable for this user.") from error
    except ValueError as error:
        raise BenchmarkError(f"{path} cannot be used. {error}") from None


def _read_progress(folder: Path, plan: Plan) -> Progress:
    path = folder / PROGRESS_FILE
    unknown = Progress("interrupted", total=plan.cells)
    alive = is_held(folder)
    try:
        progress = _PROGRESS.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return replace(unknown, status="running") if alive else replace(unknown, reason="It was never started.")
    except OSError as error:
        return replace(unknown, reason=f"{path} cannot be read ({error.strerror}); resume to count what is there.")
    except ValidationError:
        return replace(unknown, reason=f"{path} is damaged; resume to count what is there.")
    if progress.status == "running" and not alive:
        reason = "Its process has ended without saying so: it was killed, or the machine stopped."
        return replace(progress, status="interrupted", now=None, seconds_left=None, reason=reason)
    return progress


def _last_words(folder: Path, since: int) -> str:
    """The last line that its process printed."""
    with suppress(OSError), (folder / OUTPUT_FILE).open("rb") as output:
        output.seek(since)
        lines = output.read()[-2000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""


@contextmanager
def _told(attempt: str) -> Iterator[None]:
    """Turns an ``OSError`` into a sentence: what was attempted, why it failed, what to do."""
    try:
        yield
    except OSError as error:
        raise BenchmarkError(f"{attempt}: {trouble(error)}, then resume.") from error
