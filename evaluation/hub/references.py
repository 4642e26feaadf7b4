"""What people paste to name a model on the hub: an id, an address, or ``id:file``."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from evaluation.hub import HubError

HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_WRITE = "write owner/name, owner/name:file, or paste the address of the model's page"
_NAMED = re.compile(r"(?P<id>[^/\s:@]+/[^/\s:@]+)(?:@(?P<revision>[^\s:]+))?(?::(?P<file>\S.*))?")
_SHOWN_AT_A_REVISION = {"blob", "commit", "commits", "raw", "resolve", "tree"}
_WEIGHTS = (".gguf", ".safetensors")


@dataclass(frozen=True)
class Reference:
    """A repository, perhaps one file of it."""

    repo_id: str
    """``owner/name``."""
    file: str | None = None
    """Path in the repository, as it was written; or a quantization such as ``Q4_K_M``, as in ``owner/name:Q4_K_M``."""
    revision: str | None = None


def parse_reference(text: str) -> Reference | None:
    """From ``owner/name``, ``owner/name:file``, ``owner/name@revision:file`` or an address of the hub; ``None`` when it
    names no repository, as words to search for do. Raises ``HubError`` for one that can't be meant, such as an id with
    ``..`` or the address of another site."""
    text = text.strip()
    if "://" in text:
        return _of_address(text)
    if text.startswith(tuple(f"{host}/" for host in (*HOSTS, _endpoint_host()))):
        return _of_address(f"https://{text}")
    if found := _NAMED.fullmatch(text):
        return _reference(found["id"], found["file"], found["revision"])
    if "/" in text and not re.search(r"\s", text):
        raise HubError(f"That is not the name of a repository on the hub: {_WRITE}.")
    return None


def is_repo_id(text: str) -> bool:
    """Whether the hub could have given ``text`` as an ``owner/name``; it is harmless in addresses and paths then."""
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return text.isascii() and text.count("/") == 1


def is_harmless(path: str) -> bool:
    """Whether a path in a repository stays there, on every system."""
    return path.isprintable() and "\\" not in path and not {"", ".", ".."} & set(path.split("/"))


def _endpoint_host() -> str:
    return urlsplit(constants.ENDPOINT).netloc


def _of_address(text: str) -> Reference:
    # Nothing of the text is repeated: it may hold a password.
    try:
        address = urlsplit(text)
        has_credentials = "@" in address.netloc
    except ValueError:
        raise HubError(f"That is not an address: {_WRITE}.") from None
    if has_credentials:
        raise HubError("The address has a name or a password in it: paste it without, and log in with `hf auth login`.")
    if address.scheme not in ("http", "https") or address.netloc.casefold() not in (*HOSTS, _endpoint_host()):
        raise HubError(f"That address does not lead to the hub, {constants.ENDPOINT}: {_WRITE}.")
    above = urlsplit(constants.ENDPOINT).path if address.netloc == _endpoint_host() else ""
    steps = [unquote(step) for step in address.path.removeprefix(above).split("/") if step]
    if steps and steps[0] in ("datasets", "spaces"):
        what = "data set" if steps[0] == "datasets" else "Space"
        raise HubError(f"That is the address of a {what}, not of a model: {_WRITE}.")
    if len(steps) < 2:
        raise HubError(f"That address names no model: {_WRITE}.")
    owner, (name, _, tag) = steps[0], steps[1].partition(":")  # Ollama's form has :Q4_K_M after the name
    match steps[2:]:
        case [view, revision, *path] if view in _SHOWN_AT_A_REVISION:
            file = "/".join(path)
            return _reference(f"{owner}/{name}", file if file.endswith(_WEIGHTS) else None, revision)
    return _reference(f"{owner}/{name}", tag or None, None)


def _reference(repo_id: str, file: str | None, revision: str | None) -> Reference:
    if not is_repo_id(repo_id):
        raise HubError(f"That is not the name of a repository on the hub: {_WRITE}.")
    if any(part is not None and not is_harmless(part) for part in (file, revision)):
        raise HubError(f"The file or revision after the name leads out of the repository: {_WRITE}.")
    return Reference(repo_id, file, revision)
