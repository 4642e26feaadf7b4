"""Putting the app on a Space, against a stand-in that speaks the hub's protocol over a socket."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluation.report.__main__ import _parser as report_command
from scripts.space import Wish, publish
from scripts.space_errors import SpaceError
from scripts.space_files import FilesError, SpaceFiles, space_files, told
from scripts.start_space import LOST
from tests.hub_space_protocol import SpaceHub

DOCKERFILE = """\
FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt /tmp/requirements.txt
FROM python:3.11-slim-bookworm
COPY --from=packages /venv /venv
COPY scripts/start_space.py scripts/
COPY app app
"""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SpaceHub]:
    with SpaceHub() as server:
        server.use(monkeypatch, tmp_path / "hub")
        server.tokens["hf_mine"] = "you"
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
        yield server


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project under git: an app, tests that are none of the image's, and the Space's own README."""
    root = tmp_path_factory.mktemp("template")
    for path, text in {
        "Dockerfile": DOCKERFILE,
        ".dockerignore": "tests\n",
        "requirements.txt": "streamlit\n",
        "README.md": "for GitHub\n",
        "space/README.md": "---\nsdk: docker\n---\n",
        "scripts/start_space.py": "print('start')\n",
        "app/page.py": "print('page')\n",
        "app/picture.png": "\0large",
        "app/.gitignore": "*.log\n",
        "tests/test_page.py": "assert True\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "first")
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "project"))


@pytest.fixture
def files(project: Path) -> SpaceFiles:
    return space_files(project)


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)


def published(wish: Wish, files: SpaceFiles) -> list[str]:
    """What was said meanwhile."""
    said: list[str] = []
    publish(wish, files, said.append, poll_s=0.001)
    return said


def refusal(wish: Wish, files: SpaceFiles) -> str:
    with pytest.raises(SpaceError) as error:
        published(wish, files)
    return str(error.value)


def test_the_image_s_files_and_the_space_s_readme_are_what_goes_there(project: Path) -> None:
    """Nothing that git does not know or the Dockerfile does not copy, so no tests, no records and no keys."""
    (project / "app" / "new.py").write_text("")
    (project / "app" / "keys.log").write_text("secret")
    (project / "app" / "page.py").write_text("changed")
    files = space_files(project)
    assert set(files.paths) == {
        ".dockerignore", "Dockerfile", "README.md", "app/.gitignore", "app/page.py", "app/picture.png",
        "requirements.txt", "scripts/start_space.py",
    }  # fmt: skip
    assert files.paths["README.md"].read_text().startswith("---")
    assert any("app/page.py" in sentence for sentence in told(files) if "Changed since" in sentence)
    assert any("app/new.py" in sentence and "git add" in sentence for sentence in told(files))


def test_a_folder_without_git_or_with_files_missing_is_told(project: Path) -> None:
    (project / "app" / "page.py").unlink()
    with pytest.raises(FilesError, match=r"app/page\.py can't be found"):
        space_files(project)
    (project / "app" / "page.py").write_text("")
    git(project, "rm", "--quiet", "-r", "--cached", "scripts")
    with pytest.raises(FilesError, match=r"git does not know scripts/start_space\.py"):
        space_files(project)
    shutil.rmtree(project / ".git")
    with pytest.raises(FilesError, match="Clone it"):
        space_files(project)


def test_a_space_is_made_and_updated(hub: SpaceHub, files: SpaceFiles) -> None:
    """One commit, variables, the way to RUNNING told, and the address; the second time only what differs changes."""
    hub.stages = ["BUILDING", "BUILDING", "APP_STARTING", "RUNNING"]
    said = published(Wish("you/arena", private=True), files)
    space, repository = hub.spaces["you/arena"], hub.repositories["space", "you/arena"]
    assert (space.sdk, repository.private, space.variables) == ("docker", True, {"OWNERS": "you"})
    assert set(repository.files) == {*files.paths, ".gitattributes"}
    assert repository.files["README.md"] == files.paths["README.md"].read_bytes()
    assert repository.files["app/picture.png"] == b"\0large"
    assert len(repository.commits) == 2
    stages = [line.partition(" (")[0] for line in said]
    assert [stage for stage in stages if stage in ("building", "app starting", "running")] == [
        "building", "app starting", "running",
    ]  # fmt: skip
    assert f"It runs: {hub.url}/spaces/you/arena" in said
    assert "https://you-arena.hf.space" in said[-1]

    space.variables["OWNERS"] = "you,friend"
    cookie = space.secrets["COOKIE_SECRET"]
    files.paths["app/page.py"].write_text("print('newer')\n")
    repository.commit({"app/gone.py": b"", "scripts/start_space.py": b"older"}, "meanwhile")
    published(Wish("you/arena"), files)
    assert repository.files["app/page.py"] == b"print('newer')\n"
    assert "app/gone.py" not in repository.files
    assert space.variables == {"OWNERS": "you,friend"}, "owners set by hand stay"
    assert space.secrets["COOKIE_SECRET"] == cookie, "another one would sign everybody out"
    assert repository.private, "what was private stays so without being asked again"


def test_storage_is_made_attached_and_checked(
    hub: SpaceHub, files: SpaceFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conversations go to a private place. A data set needs a token in the Space, which is asked for before anything is
    made, as is privacy; where the Space says that it can't keep records after all, this counts as a failure."""
    wish = Wish("you/arena", storage="datasets/you/records", owners="you,friend")
    assert "--secret HF_TOKEN" in refusal(wish, files)
    shown = hub.add("you/shown", {}, "dataset")
    assert "make it private" in refusal(Wish("you/arena", "datasets/you/shown", secrets=("HF_TOKEN",)), files)
    assert not hub.spaces and not shown.private
    published(Wish("you/arena", wish.storage, wish.owners, secrets=("HF_TOKEN",)), files)
    space = hub.spaces["you/arena"]
    assert space.variables == {"OWNERS": "you,friend", "RESULTS_DATASET": "you/records"}
    assert space.secrets["HF_TOKEN"] == "hf_mine"
    assert hub.repositories["dataset", "you/records"].private
    published(wish, files)  # the secret is there by now

    space.volumes = [{"type": "model", "source": "you/model", "mountPath": "/model"}]
    bucket = Wish("you/arena", storage="buckets/you/records")
    space.logs["run"] = [f"Finetune Arena: records {LOST}.", "You can now view your app"]
    sentence = refusal(bucket, files)
    assert "runs" in sentence and "you/records" in sentence and LOST in sentence
    assert hub.buckets == {"you/records": True}
    assert [(volume["type"], volume["mountPath"]) for volume in space.volumes] == [
        ("model", "/model"), ("bucket", "/data"),
    ]  # fmt: skip
    space.logs["run"] = ["Finetune Arena: records are kept in /data/results, on the volume at /data."]
    assert "The Space says: records are kept in /data/results, on the volume at /data." in published(bucket, files)

    monkeypatch.delenv("OTHER_KEY", raising=False)
    assert "OTHER_KEY is not set" in refusal(Wish("you/arena", secrets=("OTHER_KEY",)), files)


def test_a_space_that_sleeps_or_failed_is_started_again(hub: SpaceHub, files: SpaceFiles) -> None:
    """The hub does neither by itself when there is nothing new."""
    published(Wish("you/arena"), files)
    space = hub.spaces["you/arena"]
    space.stages = ["PAUSED"]
    published(Wish("you/arena"), files)
    space.stages = ["RUNTIME_ERROR"]
    published(Wish("you/arena"), files)
    assert space.restarts == 2


@pytest.mark.parametrize(
    ("stage", "log", "reason"),
    [("BUILD_ERROR", "build", "c++: not found"), ("RUNTIME_ERROR", "run", "Killed")],
)
def test_a_space_that_does_not_run_shows_the_end_of_its_log(
    hub: SpaceHub, files: SpaceFiles, stage: str, log: str, reason: str
) -> None:
    hub.stages = ["BUILDING", stage]
    space = hub.add_space("you/arena", "docker", {"README.md": b""})
    space.logs[log] = [*(f"line {number}" for number in range(50)), reason]
    sentence = refusal(Wish("you/arena"), files)
    assert stage.replace("_", " ").lower() in sentence
    assert reason in sentence
    assert "line 49" in sentence and "line 2\n" not in sentence
    assert "/spaces/you/arena" in sentence


def test_what_ran_before_does_not_count(hub: SpaceHub, files: SpaceFiles) -> None:
    """Right after an upload the hub may still tell of the build before it, running or failed."""
    published(Wish("you/arena"), files)
    for before, now in (("RUNNING", "BUILD_ERROR"), ("BUILD_ERROR", "RUNNING")):
        hub.spaces["you/arena"].stages = [before]
        files.paths["app/page.py"].write_text(f"print('{now}')")
        hub.lag, hub.stages = 4, ["BUILDING", now]
        if now == "RUNNING":
            assert any(line.startswith("running") for line in published(Wish("you/arena"), files))
        else:
            assert "build error" in refusal(Wish("you/arena"), files)


def test_refusals_say_what_to_do(hub: SpaceHub, files: SpaceFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan without Docker Spaces, a name that is taken, a token that does not do, no login, no hub."""
    hub.unpaid = True
    sentence = refusal(Wish("you/arena"), files)
    remedy = re.search(r"`python -m evaluation\.report (.*?)`", sentence)
    assert "paid plan" in sentence and remedy
    assert report_command().parse_args(shlex.split(remedy[1])).push == "you/arena-report"
    hub.unpaid = False

    assert "organization" in refusal(Wish("somebody/arena"), files)
    hub.add_space("somebody/shown", "docker", {"README.md": b""})
    assert "may not change somebody/shown" in refusal(Wish("somebody/shown"), files)
    hub.add_space("you/site", "static", {"index.html": b""})
    assert "static Space" in refusal(Wish("you/site"), files)
    other = hub.add_space("you/other", "docker", {"Dockerfile": b"FROM scratch", "main.go": b""})
    assert "another program" in refusal(Wish("you/other"), files)
    assert "main.go" in hub.repositories["space", "you/other"].files and not other.variables

    hub.role = "read"
    assert "may only read" in refusal(Wish("you/arena"), files)
    monkeypatch.setenv("HF_TOKEN", "hf_unknown")
    assert "does not know the token" in refusal(Wish("you/arena"), files)
    monkeypatch.delenv("HF_TOKEN")
    assert "hf auth login" in refusal(Wish("you/arena"), files)
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    hub.role = "write"
    hub.storage_url = f"{hub.url}/nowhere"
    sentence = refusal(Wish("you/arena"), files)
    assert "app/picture.png" in sentence and "same command again" in sentence
    hub.broken = 503
    assert "few minutes" in refusal(Wish("you/arena"), files)
    hub.stop()
    assert "can't be reached" in refusal(Wish("you/arena"), files)
