"""A stand-in for the Hugging Face hub: a local server that speaks its protocol, with repositories in memory.

    with HubServer() as hub:
        hub.use(monkeypatch, tmp_path)              # from now on, this is the hub
        tiny = hub.add("maker/tiny", {"config.json": b"{}"}, gated=True)
        hub.tokens["hf_secret"] = "reader"          # a token, and whose it is
        tiny.readers.add("reader")
        ...                                         # libraries download and upload
        hub.repositories["model", "reader/new"].commits, hub.requests

``tests.hub_protocol`` says what is spoken. Large files are served and taken under another host name, as on the true
hub, where no client may send its token. Xet is not spoken: a client in another process that uploads must be started
with ``HF_HUB_DISABLE_XET=1``, as one without ``hf_xet`` does by itself.
"""

import hashlib
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.request import getproxies

import pytest

from tests.hub_about import git_oid
from tests.hub_protocol import Handler, Request


@dataclass(frozen=True)
class Commit:
    sha: str
    title: str
    author: str | None
    files: Mapping[str, bytes]
    """Everything the repository holds after it, by path."""


@dataclass
class Repository:
    id: str
    kind: str = "model"
    private: bool = False
    gated: bool = False
    """Its info can be seen by all, its files only by readers."""
    readers: set[str] = field(default_factory=set)
    """Users beside the owner who may read it when it is private or gated."""
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    """Names of commits, beside the branch ``main``."""
    cut_after_bytes: int | None = None
    """The next file that is downloaded breaks off after so many bytes; once."""
    pace_bytes_s: float | None = None
    """Its large files come no faster than this."""
    served: dict[str, bytes] = field(default_factory=dict)
    """What is sent under a large file's path instead of what the hub says it holds."""
    disabled: bool = False
    """Taken down: it is known, but nothing of it is given. One that was removed is deleted from ``repositories``."""
    downloads: int = 0
    likes: int = 0
    created_at: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")
    """Another one when it was deleted and made again."""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    """Commits come one after the other, as on the true hub."""

    @property
    def files(self) -> Mapping[str, bytes]:
        return self.commits[-1].files

    def commit(self, changes: Mapping[str, bytes | None], title: str, author: str | None = None) -> Commit:
        """Add and replace files; ``None`` deletes one."""
        with self.lock:
            before = self.commits[-1] if self.commits else None
            merged = {**(before.files if before else {}), **changes}
            files = {path: content for path, content in merged.items() if content is not None}
            seed = f"{before and before.sha} {title} {sorted((path, git_oid(files[path])) for path in files)}"
            made = Commit(hashlib.sha1(seed.encode()).hexdigest(), title, author, files)
            self.commits.append(made)
            return made

    def at(self, revision: str) -> Commit | None:
        wanted = self.commits[-1].sha if revision == "main" else self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit.sha == wanted), None)


class HubServer(ThreadingHTTPServer):
    """Runs while its context is open. ``url`` is what ``HF_ENDPOINT`` should say."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.storage_url = f"http://localhost:{self.server_port}/storage"
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.tokens: dict[str, str] = {}
        self.stored: dict[str, bytes] = {}
        """Large files by their SHA-256."""
        self.requests: list[Request] = []
        self.broken: int | None = None
        """A status such as 503 with which everything is answered."""
        self.retry_after_s: int | None = None
        """How long it then asks to wait."""
        self.portal: str | None = None
        """A page with which everything is answered, as a network does that wants a login first."""
        self.connections: set[socket.socket] = set()
        self.creation = threading.Lock()
        """Of two who create a repository at the same time, one is told that it exists."""

    def add(
        self, repo_id: str, files: Mapping[str, bytes] | Path, kind: str = "model", private: bool = False,
        gated: bool = False, downloads: int = 0,
    ) -> Repository:  # fmt: skip
        """A repository with one commit, of these files or of everything in a folder."""
        if isinstance(files, Path):
            files = {str(path.relative_to(files)): path.read_bytes() for path in files.rglob("*") if path.is_file()}
        repository = Repository(repo_id, kind, private, gated, downloads=downloads)
        repository.commit(files, "initial commit")
        self.repositories[kind, repo_id] = repository
        return repository

    def use(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        """Make this the hub of the libraries in this process, with an empty cache in ``home`` and nobody logged in.

        They read the environment only when they are imported, so what they made of it is changed. A test that loads
        rows must have imported ``datasets`` before.
        """
        from huggingface_hub import close_session, constants

        if getproxies():  # they lead to the true hub, not back to this machine
            for variable in ("NO_PROXY", "no_proxy"):
                monkeypatch.setenv(variable, "127.0.0.1,localhost")
            close_session()  # the client keeps to what was set when it was made
        for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_DATASETS_CACHE"):
            monkeypatch.delenv(variable, raising=False)
        for name, value in {
            "ENDPOINT": self.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": False,
        }.items():
            monkeypatch.setattr(constants, name, value)
        if config := sys.modules.get("datasets.config"):
            monkeypatch.setattr(config, "HF_ENDPOINT", self.url)
            monkeypatch.setattr(config, "HUB_DATASETS_URL", self.url + "/datasets/{repo_id}/resolve/{revision}/{path}")
            monkeypatch.setattr(config, "HF_DATASETS_CACHE", home / "datasets")
            monkeypatch.setattr(config, "HF_HUB_OFFLINE", False)

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """From now on nothing answers, not even on connections that are open."""
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
