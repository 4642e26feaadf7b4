"""What the environment says about an installation."""

import pytest

from evaluation.settings import Settings


@pytest.mark.parametrize(
    ("public", "in_a_space", "expected"),
    [
        (None, False, False),
        ("1", False, True),
        ("yes", False, True),
        ("0", False, False),
        ("No", False, False),
        ("", False, False),
        (None, True, True),
        ("", True, True),
        ("0", True, False),
    ],
)
def test_who_visits(public: str | None, in_a_space: bool, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Space is public by itself, anything else when PUBLIC says so; PUBLIC=0 makes a Space private."""
    for name, value in (("PUBLIC", public), ("SPACE_ID", "maker/space" if in_a_space else None)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert Settings.from_environment().public is expected
