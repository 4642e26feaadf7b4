"""One download from its first byte to its place among the models, in a thread of its own."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from huggingface_hub import hf_hub_download

from evaluation.hub import HubError
from evaluation.hub.origins import Origin, write_origin
from evaluation.hub.part import Part
from evaluation.hub.peft import CONFIG, convert
from evaluation.hub.places import check_free, move
from evaluation.hub.problems import EXPECTED, why
from evaluation.hub.progress import Cancelled, Progress
from evaluation.hub.transfer import described, fetch
from evaluation.hub.unfinished import Unfinished, part_bytes, part_file, write_unfinished
from evaluation.models.files import Unusable, read_files, remember_as
from training.run_lock import let_go

DownloadState = Literal["running", "checking", "converting", "interrupted", "failed", "done"]
"""``interrupted``: cancelled, or its process ended; ``resume`` goes on. ``failed``: see ``error``."""
BUSY: tuple[DownloadState, ...] = ("running", "checking", "converting")
NOTE_BYTES = 64 * 2**10
"""More than the record of a download takes."""
_FAULT = "A fault of this program ended the download; its log has the details. What was downloaded is kept: resume it."


@dataclass(frozen=True)
class Download:
    """The state of a download at one moment."""

    id: str
    """Of repository and path: the same file is never downloaded twice at a time."""
    repo_id: str
    file: str
    target: Path
    state: DownloadState
    size_bytes: int
    done_bytes: int
    speed_bytes_s: float | None = None
    left_s: float | None = None
    error: str | None = None
    """A sentence with the remedy."""


class Job(threading.Thread):
    """``lock`` holds the folder; the thread lets it go at its end."""

    def __init__(
        self, folder: Path, target: Path, unfinished: Unfinished, cache_dir: Path, turns: threading.Semaphore, lock: int
    ) -> None:
        super().__init__(name=f"download {unfinished.file.repo_id}", daemon=True)
        self.progress = Progress(part_bytes(folder, unfinished.is_peft))
        self._folder = folder
        self._target = target
        self._unfinished = unfinished
        self._cache_dir = cache_dir
        self._turns = turns
        self._lock = lock
        self._state: DownloadState = "running"
        self._error: str | None = None

    @property
    def busy(self) -> bool:
        return self.snapshot().state in BUSY

    @property
    def missing_bytes(self) -> int:
        """What it will still need on the disk."""
        return max(0, self._unfinished.file.size_bytes - self.progress.done_bytes) if self.busy else 0

    def snapshot(self) -> Download:
        """As it is now."""
        file, state = self._unfinished.file, self._state
        if state in BUSY and self.progress.cancelled:
            state = "interrupted"
        done_bytes = file.size_bytes if state == "done" else self.progress.done_bytes
        speed = self.progress.speed_bytes_s() if state == "running" else None
        left_s = (file.size_bytes - done_bytes) / speed if speed else None
        return Download(
            self._folder.name, file.repo_id, file.path, self._target, state, file.size_bytes, done_bytes, speed, left_s,
            self._error,
        )  # fmt: skip

    def run(self) -> None:
        try:
            with self._turn():
                self._fetch()
            self._put_in_place(self._usable_file())
            self._state = "done"
        except Cancelled:
            self._state = "interrupted"
        except HubError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(_why_not_written(error, self._unfinished.file.path))
        finally:
            if self._state in BUSY:
                self._fail(_FAULT)
            let_go(self._lock)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        while not self._turns.acquire(timeout=0.2):
            self.progress.check()
        try:
            yield
        finally:
            self._turns.release()

    def _fetch(self) -> None:
        before = self._unfinished.file
        file = described(before, self.progress)
        path = part_file(self._folder, self._unfinished.is_peft)
        path.parent.mkdir(exist_ok=True)
        with Part(path, self.progress) as part:
            if file.etag != before.etag if before.etag else file.sha256 != before.sha256:  # it has changed meanwhile
                part.restart()
            self._note(replace(self._unfinished, file=file))
            fetch(file, part, self.progress)

    def _usable_file(self) -> Path:
        """The whole file, of which the header was read. Raises ``HubError`` when it is none that can be used."""
        path = part_file(self._folder, self._unfinished.is_peft)
        if self._unfinished.is_peft:
            path = self._converted(path.parent)
        self._state = "checking"
        facts = read_files([path], self._cache_dir)[path]
        self.progress.check()
        if isinstance(facts, Unusable):
            for each in (path, part_file(self._folder, self._unfinished.is_peft)):
                each.unlink(missing_ok=True)
            self.progress.at(0)
            file = self._unfinished.file
            raise HubError(f"{file.path} of {file.repo_id} cannot be used, so it was thrown away. {facts.reason}")
        return path

    def _converted(self, adapter: Path) -> Path:
        self._state = "converting"
        file = self._unfinished.file
        settings = str(PurePosixPath(file.path).with_name(CONFIG))
        try:
            found = hf_hub_download(file.repo_id, settings, revision=file.commit, local_dir=self._folder / "settings")
        except EXPECTED as error:
            raise HubError(why(error, file.repo_id)) from None
        shutil.copyfile(found, adapter / CONFIG)
        made = self._folder / "adapter.gguf"
        convert(adapter, made, self._target.stem, self._unfinished.base_model, self.progress)
        return made

    def _put_in_place(self, path: Path) -> None:
        file = self._unfinished.file
        origin = Origin(
            file.repo_id, file.path, file.commit, file.sha256, self._unfinished.license, time.time(),
            self._unfinished.base_model,
        )  # fmt: skip
        check_free(self._target)
        move(path, self._target)
        write_origin(self._target, origin)
        remember_as(path, self._target, self._cache_dir)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _note(self, unfinished: Unfinished) -> None:
        self._unfinished = unfinished
        write_unfinished(self._folder, unfinished)

    def _fail(self, sentence: str) -> None:
        noted = replace(self._unfinished, error=sentence)
        with suppress(OSError):
            try:
                self._note(noted)
            except OSError:  # on a full disk there is room for it where the part ends
                path = part_file(self._folder, self._unfinished.is_peft)
                os.truncate(path, max(0, path.stat().st_size - NOTE_BYTES))
                self.progress.at(path.stat().st_size)
                self._note(noted)
        self._error, self._state = sentence, "failed"


def _why_not_written(error: OSError, path: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full, so {path} could not be written to its end: make room, then resume it from there."
    return f"{path} could not be written ({error.strerror or error}): mend that, then resume it from there."
