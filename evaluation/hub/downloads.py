"""Downloads from the hub into the folder of models: seen, stopped, resumed, checked, and listed only when whole.

    downloads = Downloads(models_dir, cache_dir)
    download = downloads.start(repository, file)
    downloads.list()                  # also those that an earlier process left unfinished

A file is written under ``<models>/.downloads/`` and gets its place, ``<models>/<owner>/<name>/<file>``, in one move,
after its size, checksum and header were found right.
"""

import builtins
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from evaluation.hub import HubError
from evaluation.hub.job import BUSY, Download, DownloadState, Job
from evaluation.hub.origins import read_origin
from evaluation.hub.peft import WEIGHTS, check_converter
from evaluation.hub.places import check_free, check_room, download_id, target
from evaluation.hub.repositories import HubFile, HubRepository
from evaluation.hub.transfer import Wanted
from evaluation.hub.unfinished import Unfinished, part_bytes, part_file, read_unfinished, write_unfinished
from evaluation.models.discovery import DOWNLOADS_FOLDER
from evaluation.models.files import Unusable, read_files
from training.run_lock import hold, is_held, let_go
from training.runlog import RunError, subfolders

__all__ = ["BUSY", "Download", "DownloadState", "Downloads"]

AT_A_TIME = 2
"""More would only share the same connection."""
STOP_S = 2.0
"""A cancelled one has ended by then, unless the hub keeps silent."""
LOOK_S = 0.2
NO_SUCH = "There is no such download: look its model up again, and download it anew."


class Downloads:
    """All downloads of a folder of models. Thread-safe; several processes may have one on the same folder."""

    def __init__(self, models_dir: Path, cache_dir: Path) -> None:
        self._models_dir = models_dir.absolute()
        self._folder = self._models_dir / DOWNLOADS_FOLDER
        self._cache_dir = cache_dir
        self._lock = threading.RLock()
        self._turns = threading.Semaphore(AT_A_TIME)
        self._jobs: dict[str, Job] = {}

    def start(self, repository: HubRepository, file: HubFile) -> Download:
        """Begin, or go on where an earlier try of the same file stopped. Raises ``HubError``: no room on the disk,
        already here, no access, a path that leads out of the folder, a file of one's own in its place."""
        if not repository.accessible:
            raise HubError(repository.why_not or f"The files of {repository.repo_id} may not be downloaded.")
        if file.kind == "unusable":
            raise HubError(file.reason or f"{file.path} is nothing that can be used here.")
        wanted = Wanted(repository.repo_id, repository.commit, file.path, file.size_bytes, file.sha256)
        return self._run(Unfinished(wanted, file.kind, repository.license, repository.base_model))

    def replaced(self, repository: HubRepository, file: HubFile) -> str | None:
        """What that download would take the place of, as a sentence; ``None`` when there is no other version here."""
        with suppress(HubError):
            place = target(self._models_dir, repository.repo_id, file.path, file.kind == "peft")
            origin = read_origin(place)
            if origin is not None and place.is_file() and origin.sha256 != file.sha256:
                return f"Another version is here, {origin.file} of commit {origin.commit[:7]}; a download replaces it."
        return None

    def list(self) -> builtins.list[Download]:
        """Running ones first; those that were done since this process began stay listed until ``forget``."""
        with self._lock:
            known = {id: job.snapshot() for id, job in self._jobs.items()}
            for folder in subfolders(self._folder):
                with suppress(HubError):  # a folder that is none of ours
                    if folder.name not in known and (found := self._on_disk(folder.name)):
                        known[folder.name] = found
        return sorted(known.values(), key=lambda each: (each.state not in BUSY, each.repo_id.casefold(), each.file))

    def cancel(self, id: str) -> None:
        """Stop; what was downloaded is kept for ``resume``. Raises ``HubError`` when another process runs it."""
        job = self._jobs.get(id)
        if job is not None:
            job.progress.cancel()
            job.join(STOP_S)
        elif is_held(self._folder_of(id)):
            raise HubError("This download belongs to another process of this machine: stop it there.")

    def resume(self, id: str) -> Download:
        """Go on. Raises ``HubError``."""
        unfinished = read_unfinished(self._folder_of(id))
        if unfinished is None:
            raise HubError(NO_SUCH)
        return self._run(unfinished)

    def forget(self, id: str) -> None:
        """Drop it from the list, with what was downloaded of it if it is not whole. Raises ``HubError``."""
        self.cancel(id)
        with self._lock, _told(self._folder):
            self._refuse_stopping(id)
            self._jobs.pop(id, None)
            if (folder := self._folder_of(id)).is_dir():
                lock = hold(folder)
                try:
                    shutil.rmtree(folder)
                finally:
                    let_go(lock)

    def wait(self, id: str, timeout_s: float | None = None) -> Download:
        """Until it does not run any more, or for so long. Raises ``HubError`` when there is no such download."""
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        last: Download | None = None
        while True:
            job = self._jobs.get(id)
            found = job.snapshot() if job else self._on_disk(id)
            if found is None:
                if last is None:
                    raise HubError(NO_SUCH)
                return replace(last, state="done", done_bytes=last.size_bytes)  # another process has finished it
            left_s = LOOK_S if ends is None else ends - time.monotonic()
            if found.state not in BUSY or left_s <= 0:
                return found
            last = found
            time.sleep(min(LOOK_S, left_s)) if job is None else job.join(min(LOOK_S, left_s))

    def _run(self, wanted: Unfinished) -> Download:
        file = wanted.file
        place = target(self._models_dir, file.repo_id, file.path, wanted.is_peft)
        if wanted.is_peft:
            if not file.path.endswith(WEIGHTS):
                raise HubError(f"{file.path} can hold programs, so it is not read: take an adapter as safetensors.")
            check_converter()
        id = download_id(file.repo_id, file.path)
        folder = self._folder_of(id)
        with self._lock:
            if (job := self._jobs.get(id)) and job.busy:
                return job.snapshot()
            if self._is_here(place, wanted):
                raise HubError(f"{file.path} of {file.repo_id} is here already, as {place}.")
            check_free(place)
            self._refuse_stopping(id)
            with _told(self._models_dir):
                folder.mkdir(parents=True, exist_ok=True)
                lock = hold(folder)
                try:
                    job = Job(folder, place, self._prepared(folder, wanted), self._cache_dir, self._turns, lock)
                except BaseException:
                    if read_unfinished(folder) is None:
                        shutil.rmtree(folder)
                    let_go(lock)
                    raise
            self._jobs[id] = job
            job.start()
            return job.snapshot()

    def _prepared(self, folder: Path, wanted: Unfinished) -> Unfinished:
        """What is to be done, after what was done before. Raises ``HubError`` and ``OSError``."""
        before, file = read_unfinished(folder), wanted.file
        if before is not None and before.same_content(wanted):
            wanted = replace(wanted, file=replace(file, etag=before.file.etag), error=None)
        else:
            part_file(folder, wanted.is_peft).unlink(missing_ok=True)
        missing_bytes = max(0, file.size_bytes - part_bytes(folder, wanted.is_peft))
        promised_bytes = sum(job.missing_bytes for job in self._jobs.values())
        check_room(self._models_dir, file.path, missing_bytes, promised_bytes)
        write_unfinished(folder, wanted)
        return wanted

    def _is_here(self, place: Path, wanted: Unfinished) -> bool:
        if wanted.file.sha256 is None or not place.is_file():
            return False
        origin = read_origin(place)
        if wanted.is_peft:  # what lies here was made from the file that the hub has
            return origin is not None and origin.sha256 == wanted.file.sha256
        facts = read_files([place], self._cache_dir)[place]
        return not isinstance(facts, Unusable) and facts.sha256 == wanted.file.sha256

    def _refuse_stopping(self, id: str) -> None:
        job = self._jobs.get(id)
        if job is not None and job.is_alive():
            job.join(STOP_S)
            if job.is_alive():
                raise HubError("This download is still being stopped: try again in some seconds.")

    def _on_disk(self, id: str) -> Download | None:
        """One that is not of this process."""
        folder = self._folder_of(id)
        unfinished = read_unfinished(folder)
        if unfinished is None:
            return None
        file, is_peft = unfinished.file, unfinished.is_peft
        state: DownloadState = "running" if is_held(folder) else "failed" if unfinished.error else "interrupted"
        done_bytes = part_bytes(folder, is_peft)
        place = target(self._models_dir, file.repo_id, file.path, is_peft)
        return Download(id, file.repo_id, file.path, place, state, file.size_bytes, done_bytes, error=unfinished.error)

    def _folder_of(self, id: str) -> Path:
        """Raises ``HubError`` for what is no id."""
        if not re.fullmatch(r"[0-9a-f]{16}", id):
            raise HubError(NO_SUCH)
        return self._folder / id


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turns what the disk says into a sentence."""
    try:
        yield
    except RunError:
        raise HubError("This file is being downloaded by another process of this machine: wait for it.") from None
    except OSError as error:
        raise HubError(
            f"Nothing can be downloaded to {folder} ({error.strerror or error}): make it writable for the user of this "
            "app, or name another folder in MODELS_DIR."
        ) from None
