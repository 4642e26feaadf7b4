"""The file of endpoints: what it holds comes back, and what it must not hold is refused without being repeated."""

from pathlib import Path

import pytest

from evaluation.endpoints import Endpoint, EndpointModel
from evaluation.endpoints.file import FILE, EndpointError, checked, read_endpoints, write_endpoints
from evaluation.endpoints.found import endpoint_models

PLAIN = Endpoint("Big box", "http://gpu-box:8000/v1", "meta/Llama-3.2-3B", "GPU_BOX_KEY")
ODD = Endpoint('Über "quotes" \\ and #', "https://[::1]:9/a/v4", "C:\\models\\x.gguf")
SECRET = "hunter2secret"


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    """Whatever stands in the texts; blanks, a final slash and the route are taken off; no file means no endpoints."""
    assert read_endpoints(tmp_path / "nowhere") == ((), ())
    loose = Endpoint(" Big box ", "http://gpu-box:8000/v1/chat/completions/", " meta/Llama-3.2-3B", " GPU_BOX_KEY")
    write_endpoints(tmp_path / "new", [loose, ODD])
    assert read_endpoints(tmp_path / "new") == ((PLAIN, ODD), ())
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]
    assert PLAIN.url("models") == "http://gpu-box:8000/v1/models"


@pytest.mark.parametrize("address", ["http://Box", "HTTP://box:80/", "http://box/v1/", "http://box/chat/completions"])
def test_one_server_is_one_host(address: str) -> None:
    """However its address is written; another path or port is another server."""
    given, *others = (
        EndpointModel(checked(Endpoint("x", each, "m")), "x")
        for each in (address, "http://box/v1", "http://box/v2", "http://box:81/v1", "https://box/v1")
    )
    assert given == others[0] and given.host.cpu == "box"
    assert len({each.host.key for each in others}) == len({each.key for each in others}) == 4


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"base_url": f"https://me:{SECRET}@box/v1"}, "holds a user or a password"),
        ({"base_url": f"https://{SECRET}@box/v1"}, "holds a user or a password"),
        ({"base_url": f"https://me:{SECRET}@[box/v1"}, "must begin with http"),
        ({"base_url": f"https://box/v1?key={SECRET}"}, "must end before the"),
        ({"base_url": f"ftp://{SECRET}"}, "must begin with http"),
        ({"base_url": f"http://box:{SECRET}/v1"}, "must begin with http"),
        ({"base_url": "http://b ox/v1"}, "must begin with http"),
        ({"key_variable": f"sk-{SECRET}"}, "the name of an environment variable"),
        ({"key_variable": f"hf_abcdefgh{SECRET}"}, "the name of an environment variable"),
        ({"name": "BIG box"}, "Another endpoint is called"),
        ({"base_url": "HTTP://GPU-box:8000", "model": PLAIN.model}, "Big box is the same model of the same server"),
        ({"name": "two\nlines"}, "on one line"),
        ({"model": " "}, "State what the server calls its model"),
    ],
)
def test_what_may_not_be_stored(change: dict[str, str], fault: str) -> None:
    """Credentials, keys, addresses that are none, and names that are taken; a secret is not in the sentence."""
    given = {"name": "Other", "base_url": "http://box", "model": "m", "key_variable": "KEY"} | change
    with pytest.raises(EndpointError, match=fault) as refused:
        checked(Endpoint(**given), [PLAIN])
    assert SECRET not in str(refused.value)


GOOD = '[[endpoint]]\nname = "A"\nmodel = "m"\nbase_url = "http://b"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            f'{GOOD}[[endpoint]]\nname = "B"\nmodel = "m"\nbase_url = "http://b"\napi_key = "{SECRET}"',
            "does not belong",
        ),
        (f'{GOOD}[[endpoint]]\nname = "B"\nmodel = "m"\nbase_ulr = "http://b"', "did you mean base_url"),
        (f'{GOOD}[[endpoint]]\nname = 3\nmodel = "m"\nbase_url = "http://b"', "name must be a text"),
        (f"{GOOD}{GOOD}", "Another endpoint is called A"),
        ('[endpoint]\nname = "A"', "two pairs of brackets"),
        (f'endpoints = ["{SECRET}"]', "means nothing there"),
        (f'[[endpoint]]\nname = "A\nkey = "{SECRET}"', "not valid TOML .at line 2"),
    ],
)
def test_faults_in_the_file(tmp_path: Path, text: str, fault: str) -> None:
    """Each has a sentence that names the file; what is right beside it can be used, and is not written over."""
    (tmp_path / FILE).write_text(text)
    endpoints, faults = read_endpoints(tmp_path)
    assert endpoints == ((Endpoint("A", "http://b/v1", "m"),) if text.startswith(GOOD) else ())
    assert any(fault.replace(".at", "(at") in sentence for sentence in faults)
    assert all(str(tmp_path / FILE) in sentence and SECRET not in sentence for sentence in faults)
    with pytest.raises(EndpointError, match=fault):
        write_endpoints(tmp_path, [PLAIN])
    assert (tmp_path / FILE).read_text() == text


def test_names_beside_other_models(tmp_path: Path) -> None:
    """A model that is here keeps its name; key and host of an endpoint do not depend on what it is called."""
    write_endpoints(tmp_path, [PLAIN])
    ((first,), faults) = endpoint_models(tmp_path, ["Big box", "Big box (endpoint)"])
    other = EndpointModel(Endpoint("Other", PLAIN.base_url, PLAIN.model), "Other")
    assert (first.name, faults) == ("Big box (endpoint 2)", ())
    assert (first.key, first.host) == (other.key, other.host) and first.host.cpu == "gpu-box:8000"
