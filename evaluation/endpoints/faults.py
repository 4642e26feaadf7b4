"""What goes wrong with an endpoint, as a sentence that names it and never shows its key."""

import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import httpx

from evaluation.endpoints import Endpoint
from evaluation.endpoints.refusal import Complaint, Refused, complaints

QUOTED = 300
"""Characters of what a server says that are repeated."""
LISTED = 12
"""Names of models in a sentence."""


class NoCompletion(Exception):
    """The server answered with something else than a chat completion; the message is what it says, if it says why."""


class Overlong(Exception):
    """The server wrote on, far beyond the longest answer that was asked for."""


class KeyFault(Exception):
    """There is no usable key; a sentence for the user."""


def sentence(
    endpoint: Endpoint, error: Exception, stall_s: float, begun: bool = False, served: Sequence[str] = ()
) -> str:
    """Why no answer came, or its end is missing.

    ``begun``: whether some of it has come. ``served``: the models that the server has, where that may help.
    """
    if isinstance(error, KeyFault):
        return str(error)
    if isinstance(error, Refused):
        return _refusal(endpoint, error, served)
    return _failure(endpoint, error, stall_s, begun)


def _refusal(endpoint: Endpoint, refused: Refused, served: Sequence[str]) -> str:
    name, status, said = f"The endpoint {endpoint.name}", f"({refused.status})", _said(endpoint, refused.complaints)
    variable, address = endpoint.key_variable, _place(endpoint, endpoint.base_url)
    if refused.context_is_full:
        return (
            f"The conversation is too long for the endpoint {endpoint.name}{said}. Shorten the message, clear the "
            "conversation, or allow fewer tokens for the answer."
        )
    match refused.status:
        case status_code if status_code < 400:
            return (
                f"{name} sends requests elsewhere {status}, to {_place(endpoint, refused.location)}. They do not go "
                "there by themselves, because they carry the conversation: if it is right, make it the endpoint's "
                "address."
            )
        case 401 if variable:
            return f"{name} refused the key {status}: check the value of the environment variable {variable}."
        case 401 | 403 if not variable:
            return f"{name} wants a key {status}: name the environment variable that holds it."
        case 403:
            return f"{name} does not let the key in {variable} use the model {endpoint.model} {status}."
        case 404 if served and endpoint.model not in served:
            return no_such_model(endpoint, served, f" {status}")
        case 404:
            return (
                f"{name} knows no model called {endpoint.model}, or has no chat under {address} "
                f"{status}: check both. The address usually ends with /v1."
            )
        case 429:
            return f"{name} has too many requests or the quota is used up {status}: {_wait(refused)}{said}."
        case status_code if status_code >= 500:
            return f"{name} failed {status}{said}. Try again later, or look into the server's log."
    return f"{name} refused the request {status}{said}."


def _failure(endpoint: Endpoint, error: Exception, stall_s: float, begun: bool) -> str:
    name, address = f"The endpoint {endpoint.name}", endpoint.address
    causes = list(_causes(error))
    if tls := next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None):
        reason = getattr(tls, "verify_message", None) or str(tls.reason or "not understood").replace("_", " ").lower()
        return f"No secure connection to the endpoint {endpoint.name} at {address} could be made: {reason}."
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"No machine is known under the address {address} of the endpoint {endpoint.name}: check it."
    match error:
        case httpx.ConnectTimeout():
            return f"{name} at {address} did not accept a connection: is the machine on, and the port open?"
        case httpx.TimeoutException() | TimeoutError():
            return f"{name} sent nothing for {stall_s:g} s, so the connection was closed."
        case httpx.ConnectError():
            return f"Nothing answers at {address}, the address of the endpoint {endpoint.name}: is the server running?"
        case httpx.ProxyError() | httpx.UnsupportedProtocol() | httpx.InvalidURL() | httpx.LocalProtocolError():
            return f"The request to the endpoint {endpoint.name} at {address} could not be sent: check its address."
        case httpx.TransportError() if begun:
            return f"{name} broke off in the middle of the answer; what had come by then is kept."
        case httpx.TransportError():
            return f"{name} closed the connection before it answered."
        case Overlong():
            return f"{name} wrote on after the tokens it was allowed, so the connection was closed."
        case NoCompletion() if error.args:
            return f"{name} reported a fault{_said(endpoint, complaints(str(error)))}."
        case NoCompletion() | httpx.HTTPError():
            return _no_completion(endpoint)
    return f"{name} could not be asked, because of a fault of this program ({type(error).__name__})."


def _no_completion(endpoint: Endpoint) -> str:
    return (
        f"What the endpoint {endpoint.name} answers is not what such a server says: check its address, "
        f"{_place(endpoint, endpoint.base_url)}, which usually ends with /v1."
    )


def ended_early(endpoint: Endpoint, finish: str | None, begun: bool) -> str:
    """The stream has ended, but not as an answer should. ``finish``: why, as the server calls it."""
    if finish is not None:
        return f"The endpoint {endpoint.name} did not let the model finish ({_quoted(endpoint, finish, 50)})."
    if begun:
        return f"The endpoint {endpoint.name} broke off in the middle of the answer; what had come by then is kept."
    return (
        f"The endpoint {endpoint.name} ended the stream without an answer: the conversation may be too long for it, "
        "or it does not stream; look into the server's log."
    )


def no_such_model(endpoint: Endpoint, served: Sequence[str], status: str = "") -> str:
    """What the server has instead: the first names, and how many more."""
    more = f" and {len(served) - LISTED} more" if len(served) > LISTED else ""
    names = ", ".join(_quoted(endpoint, model, 100) for model in served[:LISTED])
    return f"The endpoint {endpoint.name} serves no model called {endpoint.model}{status}. It serves: {names}{more}."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, what led to it, and what is bundled in those."""
    seen: list[BaseException | None] = [error]
    for each in seen:
        if each is not None:
            yield each
            bundled = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
            seen += [cause for cause in (each.__cause__, each.__context__, *bundled) if cause not in seen]


def _said(endpoint: Endpoint, complained: Sequence[Complaint]) -> str:
    """What the server says, to be put behind a sentence's first half; empty when it says nothing to be repeated."""
    said = _quoted(endpoint, "; ".join(each.text for each in complained if each.text), QUOTED).rstrip(".")
    return f", saying: {said}" if said else ""


def _wait(refused: Refused) -> str:
    if not (seconds := refused.retry_after_s):
        return "try again later"
    return f"it asks to wait {seconds:.0f} s" if seconds < 120 else f"it asks to wait {seconds / 60:.0f} min"


def _place(endpoint: Endpoint, url: str | None) -> str:
    """Without what may be secret in it."""
    try:
        parts = urlsplit(url or "")
        place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else parts.path
    except ValueError:
        place = ""
    return _quoted(endpoint, place, 100) or "an unnamed place"


def _quoted(endpoint: Endpoint, text: str, longest: int) -> str:
    """What comes from elsewhere, on one line and not too long. A server may repeat the key, so every such text passes
    here, and loses the key before it is cut."""
    key = os.environ.get(endpoint.key_variable, "").strip() if endpoint.key_variable else ""
    text = text.replace(key, "…") if key else text
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= longest else f"{text[:longest]}…"
