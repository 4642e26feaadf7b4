"""Training as a process of its own: it is started, watched, stopped and mourned from other processes."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.finished_run import make_run
from tests.trainer import trained_by_another
from training import launch
from training.launch import LaunchError, interrupt, last_launch, resume, start, stop, training_now
from training.run_lock import holder
from training.runlog import RunWriter, read_run
from training.settings import PROJECT_ROOT

PATIENCE_S = 30.0
IN_ANOTHER_PROCESS = (
    "import sys; from pathlib import Path; from training.launch import last_launch, training_now\n"
    "results = Path(sys.argv[1]); print(last_launch(results).alive, training_now(results))"
)


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    """What a failed test leaves running is ended."""
    yield tmp_path / "results"
    if pid := holder(lock_folder(tmp_path / "results")):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Sound in itself; its base is missing, which is seen by the process alone."""
    path = tmp_path / "recipe.toml"
    path.write_text('name = "Nordlicht"\n[base]\nmodel = "./gone.gguf"\n[data]\nsource = "./rows.jsonl"\n')
    return path


def lock_folder(results: Path) -> Path:
    return results / "runs" / ".launch"


def until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def alive(results: Path) -> bool:
    found = last_launch(results)
    return found is not None and found.alive


def test_a_start_outlives_who_asked_for_it_and_tells_why_it_failed(results: Path, recipe: Path) -> None:
    """Another process sees it live and may not start a second one; what it said last is kept when it is gone."""
    assert last_launch(results) is None and training_now(results) is None
    start(results, recipe, ["name=Südwind", "lora.rank=4"])
    pid = holder(lock_folder(results))
    assert pid is not None
    until(lambda: bool(psutil.Process(pid).cmdline()))
    os.kill(pid, signal.SIGSTOP)  # it would soon end by itself
    assert psutil.Process(pid).cmdline()[-3:-1] == ["--set=name=Südwind", "--set=lora.rank=4"]
    assert os.getsid(pid) == pid != os.getsid(0)  # closing the terminal of the server does not reach it
    seen = subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS, results], cwd=PROJECT_ROOT, capture_output=True)
    assert seen.stdout.decode().split() == ["True", "Südwind"]
    with pytest.raises(LaunchError, match="Südwind is being trained: wait for its end, or interrupt it first"):
        start(results, recipe)
    os.kill(pid, signal.SIGCONT)
    until(lambda: not alive(results))
    found = last_launch(results)
    assert found is not None and found.what == "Südwind" and found.run is None
    assert "gone.gguf is neither a file nor a folder" in found.last_words
    assert training_now(results) is None


@pytest.mark.parametrize("kill", [stop, lambda results: os.kill(holder(lock_folder(results)) or 0, signal.SIGKILL)])
def test_what_was_ended_is_dead(results: Path, recipe: Path, kill: Callable[[Path], None]) -> None:
    """By the page, or by the system for want of memory: nothing is left that says it lives, and the next can start."""
    start(results, recipe)
    assert alive(results)
    kill(results)
    until(lambda: not alive(results))
    found = last_launch(results)
    assert found is not None and (found.what, found.run, found.last_words) == ("Nordlicht", None, "")
    start(results, recipe)


def test_nothing_trains_that_cannot_be_found_again(
    results: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the process cannot be written down, as on a full disk, it is ended, and the next can start."""

    def full(descriptor: int, pid: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = psutil.Process().children()
    with monkeypatch.context() as patch:
        patch.setattr(launch, "note_holder", full)
        with pytest.raises(LaunchError, match="Nordlicht cannot be trained"):
            start(results, recipe)
    assert not set(psutil.Process().children()) - set(before)
    start(results, recipe)


def test_faults_of_a_recipe_are_told_before_anything_starts(
    results: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, in this process; nothing is written. Paths count from the project's folder, where it will run."""
    with pytest.raises(LaunchError, match=r"(?s)has 2 faults.*lora\.rang: did you mean lora\.rank.*lora\.rank is 0"):
        start(results, recipe, ["lora.rank=0", "lora.rang=3"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaunchError, match=r"data\.held_out is data\.source itself"):
        start(results, recipe, ["data.source=./a.jsonl", f"data.held_out={PROJECT_ROOT}/a.jsonl"])
    assert not results.exists()


def test_without_the_packages_the_way_to_them_is_named(
    results: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app itself runs without them."""
    monkeypatch.setattr(launch, "PACKAGES", ("torch", "no_such_package_anywhere"))
    with pytest.raises(LaunchError, match="`make train` installs them"):
        start(results, recipe)


def test_one_at_a_time_also_beside_a_terminal(tmp_path: Path, results: Path, recipe: Path) -> None:
    """A run that another process trains blocks the start; its renaming and an import do not; what is over is not
    resumed."""
    folder = make_run(tmp_path, name="terminal")
    with pytest.raises(LaunchError, match="is finished; there is nothing to resume"):
        resume(results, folder.name)
    with pytest.raises(LaunchError, match=r"has no run\.json"):
        resume(results, "nowhere")
    writer = RunWriter.amend(folder)
    writer.update(status="running")
    assert training_now(results) is None
    interrupt(folder)  # this process has the lock, but does not train: it is spared
    with trained_by_another(folder):
        assert training_now(results) == "terminal"
        with pytest.raises(LaunchError, match="terminal is being trained"):
            start(results, recipe)
        with pytest.raises(LaunchError, match="is still being trained"):
            resume(results, folder.name)
        writer.update(status="finished")
        assert training_now(results) is None
    writer.release()


def test_without_locks_a_killed_run_blocks_nothing(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without them cannot tell that its process is gone, the list of processes can."""
    writer = RunWriter.amend(make_run(tmp_path))
    writer.update(status="running")
    writer.release()

    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("training.run_lock.fcntl.flock", unsupported)
    with trained_by_another(writer.folder):
        assert training_now(results) == writer.run.name
    assert training_now(results) is None


def test_a_resumed_run_is_told_by_its_id(tmp_path: Path, results: Path) -> None:
    """Its base is gone since; the run stays as it was."""
    folder = make_run(tmp_path, name="again")
    writer = RunWriter.amend(folder)
    writer.close("interrupted", "Stopped by the user at step 3.")
    (tmp_path / "tiny.gguf").unlink()
    resume(results, folder.name)
    assert training_now(results) == "again"
    until(lambda: not alive(results))
    found = last_launch(results)
    assert found is not None and "The base model" in found.last_words
    assert read_run(folder).reason == "Stopped by the user at step 3."


TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1\n    f()\nValueError: x\n'


@pytest.mark.parametrize(
    ("printed", "while_alive", "words"),
    [
        (
            "Loading.\n\r  0%|          | 0/8 [00:00<?, ?step/s]\r 12%|█▎    | 1/8 [00:02<00:14]",
            "Loading.",
            "Loading.",
        ),
        ("one\nStep 8: held-out loss 2.1\n\n", "Step 8: held-out loss 2.1", "Step 8: held-out loss 2.1"),
        (f"Loading.\n 12%|█▎    | 1/8 [00:02<00:14]{TRACEBACK}", "Loading.", "The program failed"),
        (f"No network\n{TRACEBACK}\nDuring handling\n\n{TRACEBACK}Cached.\n", "Cached.", "Cached."),
        ("", "", ""),
    ],
)
def test_last_words_are_for_people(results: Path, printed: str, while_alive: str, words: str) -> None:
    """No progress bar and no traceback reaches the reader, who is told where it is when the process ended by it. One
    that something else handled is no failure."""
    folder = lock_folder(results)
    folder.mkdir(parents=True)
    (folder / "launch.json").write_text('{"what": "demo", "started_at": 1}')
    (folder / "output.log").write_text(printed)
    found = last_launch(results)
    assert found is not None and found.last_words.startswith(words) and "ValueError" not in found.last_words
    assert found.last_words == words or (words == "The program failed" and "output.log" in found.last_words)
    with trained_by_another(folder), (folder / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = last_launch(results)
        assert found is not None and found.alive and found.last_words == while_alive
