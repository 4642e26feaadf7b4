"""A report on a static Space of the hub, where it is served for nothing and without a program behind it."""

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evaluation.report import ReportError

if TYPE_CHECKING:
    from huggingface_hub import SpaceInfo

TIMEOUT_S = 10.0
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
MARK = "finetune-arena-report"
"""Tag by which a report knows a Space of reports."""
FRESH = {".gitattributes", "README.md"}
"""What a Space has that nobody has put anything into."""
_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


def push(page: str, repo_id: str, title: str, private: bool = False) -> str:
    """Make the page the ``index.html`` of a static Space, which is created if needed, in one commit.

    Returns the address at which people see it. A Space that holds something else is never overwritten. Raises
    ``ReportError``.
    """
    import httpx
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import HFValidationError

    if not _NAME.fullmatch(repo_id):
        raise ReportError(f"{repo_id} is not the name of a Space to push to: write USER/NAME.")
    token = get_token()
    if token is None:
        raise ReportError(f"Pushing to the hub needs a token that may write: {LOG_IN}.")
    if not (token.isascii() and token.isprintable()):
        raise ReportError(f"The token of the hub has characters that no token has: {LOG_IN} anew.")
    api = HfApi(token=token)
    try:
        is_new = not api.repo_exists(repo_id, repo_type="space")
        api.create_repo(repo_id, repo_type="space", space_sdk="static", private=private, exist_ok=True)
        there = api.space_info(repo_id, timeout=TIMEOUT_S)
        if not is_new:
            _refuse_other(there, repo_id, private)
        files = {"README.md": _readme(title), "index.html": page}
        api.create_commit(
            repo_id,
            [CommitOperationAdd(name, content.encode()) for name, content in files.items()],
            commit_message=f"Report: {title}",
            repo_type="space",
        )
    except HFValidationError:
        raise ReportError(f"{repo_id} is not the name of a Space: write USER/NAME.") from None
    except (OSError, ValueError, RuntimeError, httpx.HTTPError) as error:
        raise ReportError(_why_not(error, repo_id, token)) from None
    return f"{api.endpoint}/spaces/{repo_id}"


def _refuse_other(there: "SpaceInfo", repo_id: str, private: bool) -> None:
    files = {each.rfilename for each in there.siblings or ()}
    tags = (there.card_data and there.card_data.tags) or ()
    if there.sdk != "static" or not (files <= FRESH or MARK in tags):
        what = "holds pages that are no report" if there.sdk == "static" else f"runs {there.sdk or 'something else'}"
        raise ReportError(
            f"The Space {repo_id} is there already and {what}, which a report would replace: name another one."
        )
    if private and not there.private:
        raise ReportError(
            f"The Space {repo_id} is there already and everyone can see it, so nothing was pushed: make it private in "
            "its settings, name another one, or push without asking for privacy."
        )


def _readme(title: str) -> str:
    """The card of a Space; a JSON text is a YAML text, too."""
    lines = (f"title: {json.dumps(title[:100], ensure_ascii=False)}", "sdk: static", "app_file: index.html")
    return "\n".join(("---", *lines, "pinned: false", f"tags: [{MARK}]", "---", ""))


def _why_not(error: Exception, repo_id: str, token: str) -> str:
    import httpx
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    host = urlsplit(constants.ENDPOINT).netloc
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so nothing can be pushed to {repo_id}: unset it."
    if isinstance(error, httpx.TransportError):
        return f"The hub at {host} cannot be reached, so nothing was pushed to {repo_id}: connect and try again."
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status == 402:
            return (
                f"The plan of {repo_id.partition('/')[0]} does not allow this Space, although static ones are free: "
                "see its billing page on the hub, or push under another name."
            )
        if status in (401, 403) or isinstance(error, RepositoryNotFoundError):
            return (
                f"Your token may not write to {repo_id}: check the user's or organization's name, and give the token "
                "the permission to write, or log in with another one."
            )
        if status >= 500 or status == 429:
            return f"The hub answers with the error {status}, so nothing was pushed to {repo_id}: try again later."
    detail = " ".join(str(error).split()).replace(token, "<token>")
    return f"The hub did not take the report into {repo_id}: {detail}"
