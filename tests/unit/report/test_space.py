"""A report on a static Space, against a stand-in that speaks the hub's protocol over a socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from evaluation.report import ReportError
from evaluation.report.__main__ import main
from evaluation.report.space import push
from tests.hub_space_protocol import SpaceHub

PAGE = "<!DOCTYPE html><p>Ümläut</p>"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SpaceHub]:
    with SpaceHub() as server:
        server.use(monkeypatch, tmp_path / "hub")
        server.tokens["hf_mine"] = "you"
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
        yield server


def refusal(repo_id: str = "you/report", private: bool = False) -> str:
    with pytest.raises(ReportError) as error:
        push(PAGE, repo_id, "Report", private)
    assert "hf_" not in str(error.value)
    return str(error.value)


def test_a_static_space_is_made_and_updated(hub: SpaceHub) -> None:
    """One commit with the page and a card whose title is text, whatever is in it; the second time another one."""
    title = 'Which: "one" <b> # 🙂'
    assert push(PAGE, "you/report", title, private=True) == f"{hub.url}/spaces/you/report"
    space, repository = hub.spaces["you/report"], hub.repositories["space", "you/report"]
    assert space.sdk == "static" and repository.private and len(repository.commits) == 2
    assert repository.files["index.html"] == PAGE.encode()
    card = yaml.safe_load(repository.files["README.md"].decode().split("---\n")[1])
    shown = {"title": title, "sdk": "static", "app_file": "index.html", "pinned": False}
    assert card == {**shown, "tags": ["finetune-arena-report"]}
    push(f"{PAGE}!", "you/report", "Report")
    assert len(repository.commits) == 3 and repository.files["index.html"].endswith(b"!")


def test_other_spaces_are_left_alone(hub: SpaceHub) -> None:
    """One that runs a program or has other pages is not overwritten, and one that everyone sees takes no private
    report."""
    hub.add_space("you/app", "docker", {"Dockerfile": b""})
    hub.add_space("you/pages", "static", {"README.md": b"---\ntags: [mine]\n---\n", "index.html": b"Mine"})
    hub.add_space("you/open", "static", {"README.md": b"---\nsdk: static\n---\n"})
    assert "runs docker, which a report would replace" in refusal("you/app")
    assert "holds pages that are no report" in refusal("you/pages")
    assert "everyone can see it" in refusal("you/open", private=True)
    assert all(len(each.commits) == 1 for each in hub.repositories.values())


def test_a_title_of_any_characters_makes_a_card(hub: SpaceHub, tmp_path: Path) -> None:
    """From the command line: what cannot be seen, and no YAML may hold, is left out."""
    title = "A\x7fB \x80\u202eC\ufffe\ud800"
    assert main([str(tmp_path / "report.html"), "--title", title, "--push", "you/report"]) == 0
    card = hub.repositories["space", "you/report"].files["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["title"] == "A B C"


def test_why_nothing_was_pushed(hub: SpaceHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No right, a plan that does not allow it, a hub that fails or is away, no token, a name that is none."""
    assert "Your token may not write to other/report" in refusal("other/report")
    hub.unpaid = True
    assert "The plan of you does not allow this Space" in refusal()
    hub.broken = 503
    assert "answers with the error 503" in refusal()
    hub.stop()
    assert "cannot be reached" in refusal()
    assert "write USER/NAME" in refusal("report")
    monkeypatch.delenv("HF_TOKEN")
    assert "needs a token that may write" in refusal()
