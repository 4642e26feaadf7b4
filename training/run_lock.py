"""Who writes a run: a lock on ``run.lock``, held as long as the writing process lives and not a moment longer.

The file holds the process id.
"""

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from training.run_record import RunError

LOCK_FILE = "run.lock"

_held: set[int] = set()
"""Locks of this process. Forked children let go of them: one that outlives its parent would keep a dead run alive."""


def is_held(folder: Path) -> bool:
    """Whether a living process of this machine is writing the run."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:  # not ours to open: believe what the run says
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:  # held, or a file system without locks: believe what the run says
        return True
    finally:
        os.close(descriptor)


def holder(folder: Path) -> int | None:
    """Process id of who holds the lock. ``None`` when nobody does, or it is not known who."""
    if is_held(folder):
        with suppress(OSError, ValueError):
            return int((folder / LOCK_FILE).read_bytes())
    return None


def holder_running(folder: Path, module: str) -> int | None:
    """The holder, if it is a process of this Python module: where a file system has no locks, the one named in the file
    may be gone, and its number another's."""
    pid = holder(folder)
    if pid is not None:
        with suppress(psutil.Error):
            words = psutil.Process(pid).cmdline()
            if not words or module in words:  # it has none for a moment when it begins
                return pid
    return None


def hold(folder: Path) -> int:
    """Take the lock, which the system releases when the process ends, however it does; give it back to ``let_go``.

    Raises ``RunError`` when another process has it, ``OSError`` when the folder cannot be written.
    """
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    _held.add(descriptor)
    for _ in range(10):  # a reader that asks whether the run lives holds it for a moment
        try:
            _lock(descriptor)
            note_holder(descriptor, os.getpid())
            return descriptor
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            let_go(descriptor)
            raise
    let_go(descriptor)
    raise RunError(f"The run {folder.name} is still being written by another process: wait for it, or stop it first.")


def note_holder(descriptor: int, pid: int) -> None:
    """Say which process has the lock: one that ``hold``'s caller has given the descriptor to. Raises ``OSError``."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(pid).encode(), 0)


def let_go(descriptor: int) -> None:
    """Release what ``hold`` returned; a second time does nothing."""
    if descriptor in _held:
        _held.remove(descriptor)
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK):  # such as a mounted bucket
            raise


def _let_all_go() -> None:
    for descriptor in tuple(_held):
        let_go(descriptor)


os.register_at_fork(after_in_child=_let_all_go)
