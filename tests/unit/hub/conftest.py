"""A hub for each test, and files to put there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gguf_files import write_lora_adapter
from tests.hub_server import HubServer
from tests.tiny_gguf import write_tiny


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        server.use(monkeypatch, tmp_path / "hub-home")
        yield server


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny-q8_0.gguf")


@pytest.fixture(scope="session")
def lora(tiny: Path) -> Path:
    return write_lora_adapter(tiny.with_name("lora.gguf"), tiny, rank=2)
