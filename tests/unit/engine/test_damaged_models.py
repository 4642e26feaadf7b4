"""Damaged model files, through discovery and engine: each costs at most an answer, never the app."""

import random
from pathlib import Path

import pytest

from evaluation.engine import Engine
from evaluation.models import ChatModel, discover
from evaluation.models.gguf_header import HeaderReader
from tests.gguf_files import write_tiny_model
from tests.unit.engine.conftest import Arena

VARIANTS = 44
ALLOWED = ("stop", "length", "context", "error")


@pytest.fixture(scope="module")
def small_model(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("small") / "small.gguf", model_path)


def damage(data: bytes, header_bytes: int, seed: int) -> bytes:
    """Cut off somewhere, or up to 4 bits flipped: in the metadata's end (which holds the tensors' description and
    the small keys), its beginning, or anywhere."""
    chance = random.Random(seed)
    if seed % 5 == 0:
        return data[: chance.randrange(len(data))]
    damaged = bytearray(data)
    first, last = chance.choice([(4, 400), (header_bytes - 2500, header_bytes), (0, len(data))])
    for _ in range(chance.randint(1, 4)):
        damaged[chance.randrange(first, last)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def test_no_damaged_file_takes_the_engine_down(embedded: ChatModel, small_model: Path, tmp_path: Path) -> None:
    """Every variant is listed as unusable with a sentence, or answers, or fails with one; the sound model goes on."""
    data, header_bytes = small_model.read_bytes(), HeaderReader(small_model).data_offset
    models = tmp_path / "models"
    models.mkdir()
    (models / "sound.gguf").write_bytes(data)
    for seed in range(VARIANTS):
        (models / f"damaged-{seed:02}.gguf").write_bytes(damage(data, header_bytes, seed))
    catalog = discover(models, tmp_path, tmp_path)
    assert all(file.reason.endswith(".") for file in catalog.unusable)
    assert len(catalog.unusable) > 10
    engine = Engine()
    arena = Arena(engine, embedded)
    try:
        for model in catalog.models:
            response = arena.answer("Hi", model=model, max_tokens=3)
            assert response.finish_reason in ALLOWED
            assert (response.error or "").endswith(".") == (response.finish_reason in ("error", "context"))
            if model.base.path.name == "sound.gguf":
                assert response.completion_tokens
        assert arena.answer("Hi", max_tokens=3).completion_tokens
    finally:
        engine.close()
