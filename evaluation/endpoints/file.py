"""The file that lists the endpoints, ``endpoints.toml`` in the folder of models.

[[endpoint]]
name = "Llama 3B on the big machine"
base_url = "http://gpu-box:8000/v1"
model = "meta-llama/Llama-3.2-3B-Instruct"
key_variable = "GPU_BOX_KEY"       # name of an environment variable; leave it out where no key is needed
"""

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from evaluation.endpoints import Endpoint
from training.runlog import write_whole

FILE = "endpoints.toml"

_HEAD = """# Servers that speak OpenAI's chat protocol, and the models they serve. The app writes this file, too.
# Keys stay out of it: key_variable is the name of the environment variable that holds one.
"""
_FIELDS = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(Endpoint)}
"""Whether an endpoint must state it."""
_KEYS = ("key", "api_key", "apikey", "token", "secret", "password")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
LONGEST = 200
"""Characters of a name or of a model's name."""


class EndpointError(Exception):
    """Something is wrong with an endpoint or with the file; a sentence for the user."""


def read_endpoints(models_dir: Path) -> tuple[tuple[Endpoint, ...], tuple[str, ...]]:
    """The usable endpoints in the order of the file, and a sentence for each fault. A missing file holds nothing."""
    path = models_dir / FILE
    try:
        entries = _entries(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        return (), ()
    except OSError as error:
        return (), (f"The file {path} cannot be read: {error.strerror}.",)
    except UnicodeDecodeError:
        return (), (f"The file {path} is not UTF-8 text: save it as that.",)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return (), (f"The file {path} is not valid TOML ({_without_value(error)}): mend it there.",)
    except EndpointError as error:
        return (), (f"The file {path}: {error}",)
    endpoints: list[Endpoint] = []
    faults: list[str] = []
    for number, entry in enumerate(entries, start=1):
        try:
            endpoints.append(checked(_endpoint(entry), endpoints))
        except EndpointError as error:
            faults += [f"{path}, endpoint {number}: {line}" for line in str(error).splitlines()]
    return tuple(endpoints), tuple(faults)


def write_endpoints(models_dir: Path, endpoints: Sequence[Endpoint]) -> None:
    """Write the file anew, at once or not at all. Raises ``EndpointError``, also when the file has faults now: what is
    written there and cannot be used would be lost."""
    path = models_dir / FILE
    if faults := read_endpoints(models_dir)[1]:
        raise EndpointError("\n".join(("First mend what is wrong in the file of endpoints:", *faults)))
    stored: list[Endpoint] = []
    for endpoint in endpoints:
        stored.append(checked(endpoint, stored))
    content = "\n".join([_HEAD, *map(_written, stored)])
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.encode())
    except OSError as error:
        raise EndpointError(f"The file {path} cannot be written: {error.strerror}.") from None


def checked(endpoint: Endpoint, others: Sequence[Endpoint] = ()) -> Endpoint:
    """The endpoint as it may be stored: blanks gone, the address in the one form for its server. Raises
    ``EndpointError`` with a sentence per fault: an address with credentials or that is no http(s) address, a key
    instead of the name of a variable, a name that another endpoint has, or the same model of the same server."""
    endpoint = Endpoint(
        name=endpoint.name.strip(),
        base_url=endpoint.base_url.strip(),
        model=endpoint.model.strip(),
        key_variable=(endpoint.key_variable or "").strip() or None,
    )
    faults = [*_faults(endpoint), *_address_faults(endpoint.base_url)]
    if any(endpoint.name.casefold() == other.name.casefold() for other in others):
        faults.append(f"Another endpoint is called {endpoint.name}: choose another name.")
    if not faults:
        endpoint = dataclasses.replace(endpoint, base_url=_one_form(endpoint.base_url))
        same = (other for other in others if (other.base_url, other.model) == (endpoint.base_url, endpoint.model))
        faults += [
            f"The endpoint {other.name} is the same model of the same server: change that one." for other in same
        ]
    if faults:
        raise EndpointError("\n".join(faults))
    return endpoint


def _one_form(url: str) -> str:
    """Of an address without faults: what means the same server is written the same. The routes of the protocol lie
    under ``/v1`` unless the address names a path of its own."""
    parts = urlsplit(url)
    place = parts.netloc.lower().removesuffix({"http": ":80", "https": ":443"}[parts.scheme])
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return f"{parts.scheme}://{place}{path}"


def _faults(endpoint: Endpoint) -> Iterator[str]:
    for text, what in ((endpoint.name, "a name for the endpoint"), (endpoint.model, "what the server calls its model")):
        if not text:
            yield f"State {what}."
        elif len(text) > LONGEST or _CONTROL.search(text):
            yield f"State {what} on one line of at most {LONGEST} characters."
    variable = endpoint.key_variable
    if variable and (not _VARIABLE.fullmatch(variable) or _looks_like_key(variable)):
        # Whatever it is may be a secret, so it is not repeated.
        yield (
            "What stands for the key must be the name of an environment variable, for example OPENAI_API_KEY, and not "
            "the key itself: keys are never stored."
        )


def _looks_like_key(text: str) -> bool:
    """Keys such as ``hf_...`` could be names of variables; who names one uses capitals or few letters."""
    return len(text) >= 20 and any(c.islower() for c in text) and any(c.isdigit() for c in text)


def _address_faults(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine, parts = False, urlsplit("")
    if "@" in parts.netloc:
        yield (
            "The address holds a user or a password, which would be stored: leave them out, and put the key into an "
            "environment variable."
        )
    elif not fine or _CONTROL.search(url) or " " in url:
        yield "The address must begin with http:// or https:// and name a machine, as http://gpu-box:8000/v1 does."
    elif parts.query or parts.fragment:
        yield "The address must end before the ? or #: what stands behind it may be secret, and would be stored."


def _entries(document: dict[str, Any]) -> list[Any]:
    """Raises ``EndpointError``."""
    if unknown := [name for name in document if name != "endpoint"]:
        raise EndpointError(f"{unknown[0]!r} means nothing there; each endpoint begins with [[endpoint]].")
    entries = document.get("endpoint", [])
    if not isinstance(entries, list):
        raise EndpointError("Each endpoint begins with [[endpoint]], in two pairs of brackets.")
    return entries


def _endpoint(entry: Any) -> Endpoint:
    """Raises ``EndpointError`` with a sentence per fault."""
    if not isinstance(entry, dict):
        raise EndpointError('It must have lines such as name = "...".')
    faults = []
    for name, value in entry.items():
        if name.casefold() in _KEYS:
            faults.append(
                f"{name} does not belong into the file: put the key into an environment variable and state the "
                "variable's name as key_variable."
            )
        elif name not in _FIELDS:
            near = get_close_matches(name, _FIELDS, 1)
            faults.append(f"It has no setting {name!r}" + (f"; did you mean {near[0]}?" if near else "."))
        elif not isinstance(value, str):
            faults.append(f"{name} must be a text in quotation marks.")
    faults += [f"{name} is missing." for name, needed in _FIELDS.items() if needed and name not in entry]
    if faults:
        raise EndpointError("\n".join(faults))
    return Endpoint(**entry)


def _without_value(error: Exception) -> str:
    """Where the fault is; what stands there may be a key."""
    place = re.search(r"\(at [^()]*\)$", str(error))
    return place[0].strip("()") if place else "too deeply nested"


def _written(endpoint: Endpoint) -> str:
    # A text of JSON is a text of TOML, once DEL is escaped, and no text that was checked holds one.
    lines = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in dataclasses.asdict(endpoint).items()
        if value is not None
    ]
    return "\n".join(["[[endpoint]]", *lines, ""])
