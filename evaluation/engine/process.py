"""A worker process seen from the engine: started, spoken to, listened to, and its end explained."""

import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from evaluation.engine.memory import MemoryPlan
from evaluation.engine.threads import worker_environment, worker_threads
from evaluation.engine.wire import Channel
from evaluation.models import GgufInfo

WorkerState = Literal["starting", "started", "loading", "ready", "dead"]


class WorkerProcess:
    """One process for one base model. ``on_message`` and ``on_death`` are called from a thread of its own."""

    def __init__(
        self,
        base: GgufInfo,
        on_message: Callable[["WorkerProcess", dict[str, Any]], None],
        on_death: Callable[["WorkerProcess"], None],
        module: str = "evaluation.engine.worker",
    ) -> None:
        self.base = base
        self.state: WorkerState = "starting"
        self.plan: MemoryPlan | None = None
        self.threads = worker_threads()
        self.spawned_at = self.last_used_at = time.monotonic()
        self._end: str | None = None
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=worker_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
            )
        self._channel = Channel(ours)
        self._on_message, self._on_death = on_message, on_death
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """To a dead process this does nothing: ``on_death`` is called soon."""
        try:
            self._channel.send(message)
        except OSError:
            return

    def kill(self, reason: str | None = None) -> None:
        """End the process and wait until its memory is free; ``reason`` is a sentence for those who still use it."""
        self._end = self._end or reason
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        for message in self._channel:
            self._on_message(self, message)
        self.kill()
        self._channel.close()
        self._on_death(self)

    def last_words(self) -> str:
        """Why the process ended, as a sentence; call it after its death."""
        if self._end:
            return self._end
        code = self._process.returncode
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self._errors.close()
        if code == -signal.SIGKILL:
            return "The model's process was killed, most likely because memory ran out."
        # GGML reports a failed assertion as "path/file.c:123: GGML_ASSERT(...) failed", before any stack trace.
        hint = next((line for line in lines if "GGML_ASSERT" in line or "error" in line.lower()), "")
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        detail = f": {Path(hint.split(': ', 1)[0]).name}: {hint.split(': ', 1)[-1]}" if ": " in hint else ""
        return f"llama.cpp crashed ({name}{detail}). The model file may be damaged."
