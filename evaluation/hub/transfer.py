"""One file of the hub, written to disk piece by piece, and gone on with where it stopped.

A connection that breaks is made again, and what came before is asked for no second time. The hub redirects to other
hosts, to which httpx sends no ``Authorization``. Only what a file is (``HEAD``) is asked by huggingface_hub's own rule:
there the token goes along to wherever else the hub's host name leads, and to huggingface.co.
"""

import re
from dataclasses import dataclass, replace

import httpx
from huggingface_hub import get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from evaluation.hub import HubError
from evaluation.hub.part import Part
from evaluation.hub.problems import EXPECTED, asked_pause_s, leads_nowhere, why
from evaluation.hub.progress import Progress

TIMEOUT = httpx.Timeout(10.0, read=30.0)
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Between tries that bring nothing; after the last one it is given up."""
LONGEST_PAUSE_S = 60.0
"""A hub that asks for a longer one is not waited for."""


@dataclass(frozen=True)
class Wanted:
    """A file at a commit."""

    repo_id: str
    commit: str
    path: str
    size_bytes: int
    sha256: str | None
    """As the hub states it; ``None`` where it does not."""
    etag: str | None = None
    """By which the hub names the content; ``None`` before it was asked."""


def described(wanted: Wanted, progress: Progress) -> Wanted:
    """The file as the hub has it now. Raises ``HubError`` and ``Cancelled``."""
    patience = _Patience(wanted, progress)
    while True:
        try:
            found = get_hf_file_metadata(_url(wanted), timeout=TIMEOUT.connect)
            break
        except EXPECTED as error:
            patience.wait(error)
    is_sha256 = found.etag is not None and re.fullmatch(r"[0-9a-f]{64}", found.etag)
    return replace(
        wanted,
        size_bytes=found.size or wanted.size_bytes,
        sha256=found.etag if is_sha256 else wanted.sha256,
        etag=found.etag,
    )


def fetch(wanted: Wanted, part: Part, progress: Progress) -> None:
    """Write what is missing into ``part`` and check the whole.

    Raises ``HubError``, ``Cancelled``, and ``OSError`` of the disk. What is wrong is thrown away.
    """
    patience = _Patience(wanted, progress)
    most_bytes = part.size_bytes
    while part.size_bytes < wanted.size_bytes:
        fault = None
        try:
            _read_on(wanted, part, progress)
        except EXPECTED as error:
            fault = error
        if part.size_bytes > most_bytes:  # than ever: a server that ignores ranges brings the same again and again
            most_bytes = part.size_bytes
            patience.renew()
        if part.size_bytes < wanted.size_bytes:
            patience.wait(fault, part.size_bytes)
    if part.size_bytes > wanted.size_bytes or wanted.sha256 not in (None, part.sha256):
        part.restart()
        raise HubError(
            f"What came as {wanted.path} of {wanted.repo_id} is not the file that the hub describes (its checksum "
            "differs), so it was thrown away: download it again, and if that happens twice, check the connection."
        )


def _read_on(wanted: Wanted, part: Part, progress: Progress) -> None:
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if part.size_bytes:
        headers["Range"] = f"bytes={part.size_bytes}-"
    with get_session().stream("GET", _url(wanted), headers=headers, timeout=TIMEOUT, follow_redirects=True) as response:
        if response.is_error:
            response.read()
            hf_raise_for_status(response)
        if part.size_bytes and not _continues(response, part.size_bytes):
            part.restart()
        with progress.reading(response):
            for block in response.iter_raw():
                progress.check()
                part.append(block)
                if part.size_bytes > wanted.size_bytes:
                    return


def _continues(response: httpx.Response, start: int) -> bool:
    """Whether what comes begins there; a server may ignore the range and send everything."""
    content_range = response.headers.get("Content-Range", "")
    return response.status_code == httpx.codes.PARTIAL_CONTENT and content_range.startswith(f"bytes {start}-")


def _url(wanted: Wanted) -> str:
    return hf_hub_url(wanted.repo_id, wanted.path, revision=wanted.commit)


class _Patience:
    """How often a thing is tried again."""

    def __init__(self, wanted: Wanted, progress: Progress) -> None:
        self._wanted = wanted
        self._progress = progress
        self._failures = 0

    def renew(self) -> None:
        """Something was gained."""
        self._failures = 0

    def wait(self, error: Exception | None, done_bytes: int = 0) -> None:
        """Before the next try; ``error`` is ``None`` when the answer ended too early without one.

        Raises ``HubError`` when there should be none, and ``Cancelled``.
        """
        self._progress.check()  # a connection that was cancelled looks broken
        pause_s = _pause_s(error)
        if pause_s is None or self._failures == len(PAUSES_S):
            raise HubError(self._why(error, done_bytes))
        self._progress.sleep(max(pause_s, PAUSES_S[self._failures]))
        self._failures += 1

    def _why(self, error: Exception | None, done_bytes: int) -> str:
        wanted = self._wanted
        sentence = "" if error is None else f" {why(error, wanted.repo_id)}"
        if not done_bytes:
            return sentence.strip() or f"The hub sends nothing of {wanted.path}: try again later."
        share = f"{100 * done_bytes // wanted.size_bytes}%"
        return f"The download of {wanted.path} stopped at {share}; resume it to go on from there.{sentence}"


def _pause_s(error: Exception | None) -> float | None:
    """What the hub asks for, else 0; ``None`` where another try would not help."""
    if error is None:
        return 0.0
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (408, 416, 429) or status >= 500:  # 416: what is served ends before what is described
            pause_s = asked_pause_s(error) or 0.0
            return pause_s if pause_s <= LONGEST_PAUSE_S else None
        return None
    hopeless = leads_nowhere(error) or isinstance(error, httpx.LocalProtocolError)
    return 0.0 if isinstance(error, httpx.TransportError) and not hopeless else None
