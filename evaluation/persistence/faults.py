"""Why records could not be brought to the hub or back, as a sentence for the owner, and when to try again."""

import errno
from urllib.parse import urlsplit

import httpx
from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import parse_ratelimit_headers

from evaluation.persistence.scheduler import PublicDatasetError

FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
_MEANWHILE = "Meanwhile new records are on this machine's disk only; this is tried again by itself."


def fault_sentence(error: Exception, dataset: str) -> str:
    """What is wrong, and what to do."""
    return f"{_what(_cause(error), dataset)} {_MEANWHILE}"


def retry_after_s(error: Exception, failures: int) -> float:
    """Seconds to wait after so many failures in a row; when the hub is asked too often, as long as it says."""
    error, wait_s = _cause(error), FIRST_RETRY_S * 2.0 ** (failures - 1)
    if isinstance(error, HfHubHTTPError) and error.response.status_code == 429:
        headers = error.response.headers
        limit, asked = parse_ratelimit_headers(headers), headers.get("Retry-After", "")
        wait_s = limit.reset_in_seconds if limit else float(asked) if asked.isdecimal() else LONGEST_RETRY_S
    return max(FIRST_RETRY_S, min(wait_s, LONGEST_RETRY_S))


def _what(error: Exception, dataset: str) -> str:
    host = urlsplit(constants.ENDPOINT).netloc
    if isinstance(error, PublicDatasetError):
        return (
            f"The data set {dataset} is public, so nothing is pushed to it: records hold what visitors wrote. Make it "
            "private in its settings on the hub, or name another one in RESULTS_DATASET."
        )
    if isinstance(error, HFValidationError):
        return f"RESULTS_DATASET={dataset} does not name a data set: write user/name."
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so the data set {dataset} is out of reach: unset it."
    if get_token() is None:
        return f"There is no token of the hub, so the data set {dataset} is out of reach: set HF_TOKEN."
    if isinstance(error, httpx.TransportError | LocalEntryNotFoundError):
        certificate = (
            " Its certificate is not accepted: is this machine's clock right?" if "CERTIFICATE" in str(error) else ""
        )
        return f"The hub at {host} cannot be reached, so the data set {dataset} cannot be read or written.{certificate}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403) or isinstance(error, RepositoryNotFoundError):
            return (
                f"The token of the hub may not write to the data set {dataset}: check the name, and give HF_TOKEN a "
                "token with the permission to write to it."
            )
        if status == 429:
            return f"The hub takes nothing more for the data set {dataset} for now (error 429: too many requests)."
        return f"The hub answers with the error {status} for the data set {dataset}."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full, so the records of the data set {dataset} cannot be fetched: free some space."
    return f"The data set {dataset} could not be brought up to date ({type(error).__name__})."


def _cause(error: Exception) -> Exception:
    """What the library wraps: the failed upload or download of one file."""
    wrapped = isinstance(error, RuntimeError | LocalEntryNotFoundError) and error.__cause__
    return wrapped if isinstance(wrapped, Exception) else error
