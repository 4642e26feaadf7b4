"""A process that is taken for one that trains."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.run_lock import LOCK_FILE


@contextmanager
def trained_by_another(folder: Path) -> Iterator[None]:
    """The lock of this run, held by the test, is said to be another process's that goes by the trainer's name."""
    waits = ["sh", "-c", "read line", "training.finetune"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE) as process:  # its input ends with the block, and with that it
        (folder / LOCK_FILE).write_text(str(process.pid))
        yield
