"""An app without a page: processes that restore, write records from several threads, and end at SIGTERM.

    python -m tests.record_writer USER/DATASET

For each line ``RESULTS_DIR REPORT`` of the standard input, a process is begun as ``dashboard.services`` would begin;
its id is printed. It writes into the report: how many records it found, and the id of each that it was told is saved.
At its end it also leaves the weights of an adapter, which go to the hub another way. The processes are forked, which
spares each of them a second of imports; at their end they do all that Python does but for clearing the memory, which
would take as long as all the rest.
"""

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ulid import ULID

import evaluation.persistence as persistence
from evaluation.store import ResponseStore
from tests.responses import PLAIN

THREADS = 4
PAUSE_S = 0.02
"""Between two records of a thread."""
WEIGHTS = {"runs/demo/adapter/a.bin", "runs/demo/adapter/b.bin"}
"""Written at the very end, when Python begins no more threads."""


def main() -> None:
    persistence.PUSH_DELAY_S = 0.05  # a life lasts less than a second here
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return live(Path(line.split()[0]), Path(line.split()[1]))
        print(child, flush=True)
    with suppress(ChildProcessError):  # until none is left
        while True:
            os.wait()


def live(results_dir: Path, report: Path) -> None:
    atexit.register(os._exit, 0)  # the last one to be called
    told_to_end, ended = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_end.set())
    kept = persistence.Persistence(results_dir, sys.argv[1])
    kept.restore()
    store = ResponseStore(results_dir / "responses", lock=kept.lock)
    kept.start()
    atexit.register(kept.close)
    with report.open("w", buffering=1) as saved:
        saved.write(f"found {len(store.read().responses)}\n")

        def write() -> None:
            while not ended.is_set():
                response = replace(PLAIN, id=str(ULID()))
                store.append(response)
                saved.write(f"{response.id}\n")
                time.sleep(PAUSE_S)

        writers = [threading.Thread(target=write) for _ in range(THREADS)]
        for writer in writers:
            writer.start()
        told_to_end.wait()
        ended.set()
        for writer in writers:
            writer.join()
    for name in WEIGHTS:
        weights = results_dir / name
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_bytes(b"\0" + os.urandom(9))


if __name__ == "__main__":
    main()
