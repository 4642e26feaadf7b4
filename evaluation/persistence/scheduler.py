"""The hub's side: a ``CommitScheduler`` for files of records that several machines write to one data set.

``CommitScheduler`` alone would push files that were only fetched, over the newer ones of another machine; miss a line
that was added within the same tick of the clock; and keep a process from ending while the hub hangs. So ``KeptFiles``
says what is pushed, and the thread that pushes is the caller's; clock, lock and repository are the library's.
"""

import atexit
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import httpx
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitScheduler, DatasetInfo, get_session
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from evaluation.persistence.files import ChangedFile, KeptFiles

LOOK_EVERY_MIN = 5
"""So often without being asked, for what other processes of this machine have written: benchmarks and training runs."""
FETCHED_AT_ONCE = 32
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
        ask: Callable[[], None],
        committed: Callable[[], None],
    ) -> None:
        """Makes the data set, private, when there is none. ``ask`` is called when it is time to look for news."""
        self._files, self._ask, self._committed = files, ask, committed
        self._compared = self.restored = False
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
        asked: Future[None] = Future()
        asked.set_result(None)
        return asked

    def restore(self) -> None:
        """Fetch what is not here. ``restored`` says whether all of it came."""
        get_session().timeout = TIMEOUT
        commit = self._info().sha
        tree = self.api.list_repo_tree(self.repo_id, repo_type="dataset", revision=commit, recursive=True)
        missing = self._files.missing([file for file in tree if isinstance(file, RepoFile)])
        self._compared = True
        fetched: list[Future[None]] = []
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=self.folder_path) as beside:
            for start in range(0, len(missing), FETCHED_AT_ONCE):  # Python ends only when all that were begun are here
                with ThreadPoolExecutor(8) as pool:
                    batch = missing[start : start + FETCHED_AT_ONCE]
                    fetched += [pool.submit(self._fetch, file, str(commit), Path(beside)) for file in batch]
        for each in fetched:
            each.result()
        self.restored = True

    def push_to_hub(self) -> CommitInfo | None:
        """Commit what the data set lacks: records first, then what is large, which may fail by itself."""
        if not self._compared:  # it is not known what is there
            return None
        with self.lock:
            changed = self._files.changed()
        if not changed:
            return None
        get_session().timeout = TIMEOUT
        info = self._info_or_new()
        names = {file.rfilename for file in info.siblings or ()}
        if self._is_another(names):
            with self.lock:
                self._files.forget()
                changed = self._files.changed()
        pushed = None
        text, large = ([file for file in changed if file.is_text is kind] for kind in (True, False))
        for files in chain(_batches(text), _batches(large)):
            pushed = self._commit(files, with_card="README.md" not in names and pushed is None) or pushed
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

    def _info(self) -> DatasetInfo:
        return self.api.dataset_info(self.repo_id)

    def _info_or_new(self) -> DatasetInfo:
        """Of the data set, which is made again if it was deleted. Raises ``PublicDatasetError``."""
        try:
            info = self._info()
        except RepositoryNotFoundError:
            self.api.create_repo(self.repo_id, repo_type="dataset", private=True, exist_ok=True)
            info = self._info()
        if not info.private:
            raise PublicDatasetError
        return info

    def _is_another(self, names: set[str]) -> bool:
        """Whether it has none of the files that it had: it was deleted and made again."""
        known = self._files.known()
        if not known or known & names:
            return False
        self.notice = (
            f"The data set {self.repo_id} was deleted while the app ran. It was made again, private, and got all "
            "that is on this machine. To delete records for good, stop the app first."
        )
        return True

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


def _batches(files: Iterable[ChangedFile]) -> Iterator[list[ChangedFile]]:
    """Each for one commit."""
    batch: list[ChangedFile] = []
    for file in files:
        if batch and (len(batch) == COMMIT_FILES or sum(f.state.size for f in batch) + file.state.size > COMMIT_BYTES):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch
