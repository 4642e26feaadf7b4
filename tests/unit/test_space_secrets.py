"""The file that lets the owners of a Space sign in."""

import stat
import tomllib
from pathlib import Path

import pytest

from scripts import space_secrets

SPACE = {
    "OAUTH_CLIENT_ID": "4f1c",
    "OAUTH_CLIENT_SECRET": 'a"b\\c#é\n',
    "OAUTH_SCOPES": "openid profile",
    "OPENID_PROVIDER_URL": "https://huggingface.co",
    "SPACE_HOST": "ada-arena.hf.space",
}


def test_what_a_space_says_becomes_streamlits_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every value to the letter, whatever is in it; nobody else can read the file, also where an open one lay before;
    and nothing secret is printed."""
    for name, value in SPACE.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "new" / "secrets.toml"
    path.parent.mkdir()
    path.write_text("old")
    path.chmod(0o644)
    assert space_secrets.main([str(path)]) == 0
    auth = tomllib.loads(path.read_text())["auth"]
    assert len(auth.pop("cookie_secret")) >= 32
    assert auth == {
        "redirect_uri": "https://ada-arena.hf.space/oauth2callback",
        "client_id": "4f1c",
        "client_secret": 'a"b\\c#é\n',
        "server_metadata_url": "https://huggingface.co/.well-known/openid-configuration",
        "client_kwargs": {"scope": "openid profile"},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    printed = "".join(capsys.readouterr())
    assert str(path) in printed and "4f1c" not in printed and "b\\c" not in printed


def test_owners_stay_signed_in_over_a_restart_where_the_space_says_so() -> None:
    """COOKIE_SECRET signs the cookies; without it each start has a secret of its own."""

    def cookie_secret(**more: str) -> str:
        return str(tomllib.loads(space_secrets.as_toml(SPACE | more) or "")["auth"]["cookie_secret"])

    assert cookie_secret(COOKIE_SECRET="kept") == "kept"
    assert cookie_secret() != cookie_secret()


@pytest.mark.parametrize("changed", [{"PUBLIC": "0"}, *({name: ""} for name in space_secrets.NEEDED)])
def test_where_nobody_signs_in_nothing_is_written(tmp_path: Path, changed: dict[str, str]) -> None:
    """Elsewhere than in a Space, in one without ``hf_oauth``, and in one whose visitors are all owners."""
    assert not space_secrets.write(tmp_path / "secrets.toml", SPACE | changed)
    assert not (tmp_path / "secrets.toml").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The app starts all the same, so it must be known why nobody can sign in."""
    for name, value in SPACE.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "file").write_text("")
    assert space_secrets.main([str(tmp_path / "file" / "secrets.toml")]) == 1
    assert "can't be written, so nobody can sign in" in capsys.readouterr().err
