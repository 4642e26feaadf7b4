"""Why the hub gives nothing, as a sentence with the remedy."""

from urllib.parse import urlsplit

import httpx
from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_BY_HAND = "copy a GGUF file into the folder of models"
EXPECTED = (
    HfHubHTTPError,
    EntryNotFoundError,
    OfflineModeIsEnabled,
    httpx.RequestError,
    httpx.InvalidURL,
    # An answer that is no JSON, or not what a hub says; also an address or a token that no request can carry.
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)
"""What a question to the hub can raise."""


def why(error: Exception, repo_id: str | None = None) -> str:
    """For one of ``EXPECTED``; ``repo_id`` is whose repository was asked for, ``None`` in a search."""
    which, host = repo_id or "that", urlsplit(constants.ENDPOINT).netloc or constants.ENDPOINT
    match error:
        case OfflineModeIsEnabled():
            return f"HF_HUB_OFFLINE is set, so the hub is not asked: unset it and start again, or {_BY_HAND}."
        case GatedRepoError():
            return gated(which)
        case RepositoryNotFoundError():
            return (
                f"The hub has no model {which} that can be seen: check the spelling. It may have been removed or "
                f"renamed; if it is private, {'use a token that may read it' if get_token() else LOG_IN}."
            )
        case DisabledRepoError():
            return disabled(which)
        case RevisionNotFoundError():
            return f"{which} has no such revision: leave it out, or take one that {page_url(which)} lists."
        case EntryNotFoundError():
            return f"{which} does not have that file any more: look at its files again."
        case HfHubHTTPError():
            return _status(error, which, host)
        case httpx.TimeoutException():
            return f"The hub at {host} does not answer: check the connection, and try again later."
        case UnicodeEncodeError() | httpx.LocalProtocolError():
            return f"The token of the hub has characters that no token has: {LOG_IN} anew."
        case httpx.TransportError() if not leads_nowhere(error):
            return f"The hub at {host} cannot be reached: connect and try again, or {_BY_HAND}."
    return f"What answers at {host} is not a hub: check the network's login page, proxy and HF_ENDPOINT."


def leads_nowhere(error: Exception) -> bool:
    """Whether an address is at fault, the hub's own or one that it redirects to."""
    return isinstance(error, httpx.UnsupportedProtocol) or isinstance(error.__context__, httpx.InvalidURL)


def asked_pause_s(error: HfHubHTTPError) -> float | None:
    """So long the hub asks to wait; ``None`` when it does not say."""
    asked = error.response.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else None


def gated(repo_id: str) -> str:
    """What opens a repository to which its owner must let people in."""
    page = page_url(repo_id)
    if get_token():
        return f"{repo_id} is gated, and your token gives no access to it: ask for it at {page}, then try again."
    return f"{repo_id} is gated: ask for access at {page}, and {LOG_IN}."


def disabled(repo_id: str) -> str:
    """The hub took it down."""
    return f"The hub has disabled {repo_id}, so nothing of it can be downloaded: choose another repository."


def page_url(repo_id: str) -> str:
    """Where people read about a repository."""
    return f"{constants.ENDPOINT}/{repo_id}"


def _status(error: HfHubHTTPError, which: str, host: str) -> str:
    status = error.response.status_code
    if status == 401:
        return f"The hub does not accept your token: {LOG_IN} anew."
    if status == 403 and get_token():
        return f"Your token may not read {which}: give it the permission to read, or {LOG_IN} to another one."
    if status == 403:
        return f"The hub does not give {which} to strangers: {LOG_IN}."
    if status in (404, 410):
        return f"The hub does not have {which} any more: choose another repository."
    if status == 429:
        pause_s = asked_pause_s(error)
        when = "in some minutes" if pause_s is None else f"in {pause_s:.0f} s"
        return f"The hub was asked too often from here: try again {when}."
    return f"The hub at {host} answers with the error {status}: try again later."
