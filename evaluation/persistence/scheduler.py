"""The hub's side: a ``CommitScheduler`` for files of records that several machines write to one data set.

``CommitScheduler`` alone would push files that were only fetched, over the newer ones of another machine; miss a line
that was added within the same tick of the clock; and keep a process from ending while the hub hangs. So ``KeptFiles``
says what is pushed, and the thread that pushes is the caller's; clock, lock and repository are the library's.
"""

import atexit
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from datetime import datetime
from itertools import chain
from multiprocessing.pool import ThreadPool
from pathlib import Path

import httpx
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitScheduler, DatasetInfo, get_session
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from evaluation.persistence.files import ChangedFile, KeptFiles

LOOK_EVERY_MIN = 5
"""So often without being asked, for what other processes of this machine have written: benchmarks and training runs."""
FETCHED_AT_ONCE = 8
"""Files."""
COMMIT_FILES, COMMIT_BYTES = 100, 50 * 2**20
"""One commit's most."""
TIMEOUT = httpx.Timeout(120, connect=10)
"""Seconds. The library itself would wait for an answer for ever."""

_CARD = """---
viewer: false
---
Answers, benchmarks, training runs and votes of a Finetune Arena, in the form that its `results/README.md` describes.
The app adds to these files and reads them at its start. They may hold what visitors wrote: keep this data set private.
"""


class PublicDatasetError(Exception):
    """Everyone could read what visitors wrote."""


class RecordScheduler(CommitScheduler):
    """Restores from a data set and pushes to it. The methods are called by one thread; what they raise is the hub's
    or the disk's trouble, and they may be called again."""

    def __init__(
        self,
        dataset: str,
        files: KeptFiles,
        lock: threading.Lock,
        closing: threading.Event,
        ask: Callable[[], None],
        committed: Callable[[], None],
    ) -> None:
        """Makes the data set, private, when there is none. ``closing`` is set when there is no time to fetch any more;
        ``ask`` is called when it is time to look for news."""
        self._files, self._closing, self._ask, self._committed = files, closing, ask, committed
        self._compared = self.restored = False
        self._made_at: datetime | None = None
        self.notice: str | None = None
        """For an owner."""
        get_session().timeout = TIMEOUT
        super().__init__(
            repo_id=dataset, repo_type="dataset", folder_path=files.folder, every=LOOK_EVERY_MIN, private=True
        )
        atexit.unregister(self._push_to_hub)  # it might wait for ever; who has made this one pushes in time
        self.lock = lock

    def trigger(self) -> "Future[None]":
        """Called by the clock of ``CommitScheduler``; the work is done elsewhere."""
        self._ask()
        return Future()

    def restore(self) -> None:
        """Fetch what is not here. ``restored`` says whether all of it came."""
        if self._compared and self._closing.is_set():
            return
        commit = self._look().sha
        tree = self.api.list_repo_tree(self.repo_id, repo_type="dataset", revision=commit, recursive=True)
        missing = self._files.missing(file for file in tree if isinstance(file, RepoFile))
        self._compared = True
        for left in self.folder_path.glob(".restore-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with (
            tempfile.TemporaryDirectory(prefix=".restore-", dir=self.folder_path, ignore_cleanup_errors=True) as beside,
            ThreadPool(FETCHED_AT_ONCE) as pool,  # not an executor, for whose threads Python waits at its end
        ):
            fetched = pool.map_async(lambda file: self._fetch(file, str(commit), Path(beside)), missing, chunksize=1)
            while not fetched.ready():
                if self._closing.wait(0.02):
                    return
        fetched.get()
        self.restored = True

    def push_to_hub(self) -> CommitInfo | None:
        """Commit what the data set lacks: records first, then what is large, which may fail by itself."""
        if not self._compared:  # it is not known what is there
            return None
        with self.lock:
            changed = self._files.changed()
        if not changed:
            return None
        info = self._look()
        if not info.private:
            raise PublicDatasetError
        if not self._compared:  # it is another one
            self.restore()
            with self.lock:
                changed = self._files.changed()
        has_card = any(file.rfilename == "README.md" for file in info.siblings or ())
        at_once = 1 if self._closing.is_set() else COMMIT_FILES  # for several large ones the library begins threads
        text, large = ([file for file in changed if file.is_text is kind] for kind in (True, False))
        pushed = None
        for files in chain(_batches(text), _batches(large, at_once)):
            pushed = self._commit(files, with_card=not has_card and pushed is None) or pushed
        return pushed

    def _commit(self, files: list[ChangedFile], with_card: bool) -> CommitInfo | None:
        contents = [(file, content) for file in files if (content := _read(file))]
        if not contents:
            return None
        card = [CommitOperationAdd("README.md", _CARD.encode())] if with_card else []
        pushed = self.api.create_commit(
            self.repo_id,
            [*card, *(CommitOperationAdd(file.name, content) for file, content in contents)],
            commit_message=f"{len(contents)} file{'' if len(contents) == 1 else 's'} of records",
            repo_type="dataset",
        )
        for file, content in contents:
            self._files.confirm(file, len(content) if isinstance(content, bytes) else file.state.size)
        self._committed()
        return pushed

    def _look(self) -> DatasetInfo:
        """At the data set, which is made again if it was deleted; what is known of one does not hold for another."""
        get_session().timeout = TIMEOUT
        try:
            info = self.api.dataset_info(self.repo_id)
        except RepositoryNotFoundError:
            self.api.create_repo(self.repo_id, repo_type="dataset", private=True, exist_ok=True)
            info = self.api.dataset_info(self.repo_id)
        if self._made_at not in (None, info.created_at):
            self._files.forget()
            self._compared = self.restored = False
            self.notice = (
                f"The data set {self.repo_id} was deleted while the app ran. It was made again, private, and got all "
                "that is on this machine. To delete records for good, stop the app first."
            )
        self._made_at = info.created_at
        return info

    def _fetch(self, file: RepoFile, commit: str, beside: Path) -> None:
        fetched = self.api.hf_hub_download(
            self.repo_id, file.path, repo_type="dataset", revision=commit, local_dir=beside
        )
        self._files.take(file, Path(fetched))


def _read(file: ChangedFile) -> bytes | Path | None:
    try:
        return file.content()
    except FileNotFoundError:  # since we looked
        return None


def _batches(files: Iterable[ChangedFile], at_once: int = COMMIT_FILES) -> Iterator[list[ChangedFile]]:
    """Each for one commit."""
    batch: list[ChangedFile] = []
    for file in files:
        if batch and (len(batch) == at_once or sum(f.state.size for f in batch) + file.state.size > COMMIT_BYTES):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch
