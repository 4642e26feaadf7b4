"""The worker process: owns one base model and writes answers on it, one turn at a time.

Started by the engine as ``python -m evaluation.engine.worker FD``, with a socket as file descriptor FD. It computes
only when the engine gives it the turn. A crash of llama.cpp ends this process and nothing else. It says ``started``,
and then to each message of the engine:

| message | meaning | answer |
| --- | --- | --- |
| ``load`` | load the model | ``loaded``, or ``unusable`` with a sentence |
| ``turn`` | compute this answer for ``quantum_s`` seconds (null: until ``yield``) | ``paused`` or ``finished`` |
| ``yield`` | give the turn back after the current step | |
| ``cancel`` | end this answer now, also in the middle of a step | ``finished`` |

The first ``turn`` of an answer brings its ``task``; during a turn the worker says ``progress`` now and then.
"""

import os
import queue
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluation.engine.generation import Writer
from evaluation.engine.llama import Abort, Context, LlamaError, Model
from evaluation.engine.prompt import PromptError, PromptFormat
from evaluation.engine.slots import Slots
from evaluation.engine.wire import Channel, Task
from evaluation.records import FinishReason

REPORT_INTERVAL_S = 0.2
"""Progress is sent this often at most: every message costs the listeners time on the cores that compute."""


class Worker:
    """Carries out the engine's messages; see the module's docstring."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._writers: dict[int, Writer] = {}
        self._abort = Abort()
        self._yield = threading.Event()
        self._lock = threading.Lock()  # guards the two below against the listening thread
        self._current: int | None = None
        self._cancelled: set[int] = set()
        self._reported_at = 0.0

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        self._channel.send({"is": "started"})
        handlers = {"load": self._load, "turn": self._turn, "cancel": self._cancel}
        while True:
            message = self._inbox.get()
            handlers[message["do"]](message)

    def _listen(self) -> None:
        """Runs beside the computation, so that it can be interrupted."""
        for message in self._channel:
            match message["do"]:
                case "yield":
                    self._yield.set()
                    continue
                case "turn":
                    self._yield.clear()
                case "cancel":
                    with self._lock:
                        self._cancelled.add(message["id"])
                        if self._current == message["id"]:
                            self._abort.set()
            self._inbox.put(message)
        os._exit(0)  # the engine is gone

    def _load(self, message: dict[str, Any]) -> None:
        try:
            self._model = model = Model(Path(message["path"]))
            self._format = PromptFormat(
                message["chat_template"], model.control_tokens, bos=model.bos_text, eos=model.eos_text
            )
        except (LlamaError, PromptError) as error:
            self._channel.send({"is": "unusable", "error": str(error)})
            return

        def new_context(n_ctx: int, adapter: tuple[str, float] | None) -> Context:
            return Context(model, n_ctx, message["threads"], self._abort, adapter)

        self._slots = Slots(new_context, limit=message["context_tokens"], total=message["total_tokens"])
        self._channel.send({"is": "loaded"})

    def _turn(self, message: dict[str, Any]) -> None:
        if "task" in message:
            task = Task.from_json(message["task"])
            self._writers[task.id] = Writer(task, self._model, self._format, self._slots)
        writer = self._writers.get(message["id"])
        if writer is None:
            return  # cancelled meanwhile; the engine has been told
        deadline = time.monotonic() + message["quantum_s"] if message["quantum_s"] else float("inf")
        with self._lock:
            if writer.task.id in self._cancelled:
                return  # the cancel message is next in the inbox
            self._current = writer.task.id
            self._abort.clear()
        reason, error = self._work(writer, deadline)
        with self._lock:
            self._current = None
        if reason:
            self._finish(writer, reason, error)
        else:
            self._report(writer)
            self._channel.send({"is": "paused", "id": writer.task.id})

    def _work(self, writer: Writer, deadline: float) -> tuple[FinishReason | None, str | None]:
        def pause() -> bool:
            now = time.monotonic()
            first = writer.progress.completion_tokens == 1
            if first or now - self._reported_at >= REPORT_INTERVAL_S:
                self._report(writer)
            return now >= deadline or self._yield.is_set()

        try:
            return writer.work(pause), writer.error
        except (LlamaError, PromptError) as error:
            return "error", str(error)

    def _cancel(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._cancelled.discard(message["id"])
        writer = self._writers.get(message["id"])
        if writer:
            self._finish(writer, "cancelled", None)

    def _report(self, writer: Writer) -> None:
        self._reported_at = time.monotonic()
        self._channel.send({"is": "progress", **_state(writer), "text": writer.take_text()})

    def _finish(self, writer: Writer, reason: FinishReason, error: str | None) -> None:
        del self._writers[writer.task.id]
        text = writer.take_text() + writer.close()
        end = {"reason": reason, "error": error, "peak_memory_bytes": peak_memory_bytes()}
        self._channel.send({"is": "finished", **_state(writer), "text": text, **end})


def _state(writer: Writer) -> dict[str, Any]:
    return {"id": writer.task.id, "progress": asdict(writer.progress)}


def peak_memory_bytes() -> int | None:
    """Largest resident set of this process so far, mapped model file included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server; when that ends, so does the socket
    Worker(Channel(socket.socket(fileno=int(sys.argv[1])))).run()


if __name__ == "__main__":
    main()
