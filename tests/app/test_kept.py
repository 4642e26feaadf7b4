"""Who looks after the app sees whether its records are kept beyond this machine's disk."""

from pathlib import Path

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from tests.hub_server import HubServer


def page() -> None:
    from dashboard.kept import draw_kept

    draw_kept()


def test_owners_see_the_data_set_and_what_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Others see nothing of it, and where the disk stays there is nothing to see."""
    app = AppTest.from_function(page)
    assert not app.run().main.children
    with HubServer() as hub:
        hub.use(monkeypatch, tmp_path)
        monkeypatch.setenv("RESULTS_DATASET", "owner/records")
        (tmp_path / "results" / "responses").mkdir(parents=True)
        (tmp_path / "results" / "responses" / "a.jsonl").write_text("{}\n")
        clear()
        app.run()
        assert "records of the hub · 1 record not there yet" in app.caption[0].value
        assert "set HF\\_TOKEN" in app.warning[0].value
        monkeypatch.setenv("PUBLIC", "1")
        clear()
        assert not app.run().main.children


def clear() -> None:
    streamlit.cache_resource.clear()
