"""Damaged model files, through discovery and engine: each costs at most an answer, never the app."""

import random
from pathlib import Path

from evaluation.engine import Engine
from evaluation.models import ChatModel, discover
from evaluation.models.gguf_header import HeaderReader
from tests.tiny_gguf import write_tiny
from tests.unit.engine.conftest import Arena

VARIANTS = 50
ALLOWED = ("stop", "length", "context", "error")


def damage(data: bytes, header_bytes: int, seed: int) -> bytes:
    """Cut off somewhere, or up to 4 bits flipped: in the beginning of the metadata (which holds the small keys), in its
    rest (the vocabulary and the tensors' description), or anywhere."""
    chance = random.Random(seed)
    if seed % 5 == 0:
        return data[: chance.randrange(len(data))]
    damaged = bytearray(data)
    first, last = chance.choice([(4, 400), (400, header_bytes), (0, len(data))])
    for _ in range(chance.randint(1, 4)):
        damaged[chance.randrange(first, last)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def test_no_damaged_file_takes_the_engine_down(embedded: ChatModel, tmp_path: Path, shared_cache: Path) -> None:
    """Every variant is listed as unusable with a sentence, or answers, or fails with one, also where llama.cpp crashes,
    as with two tokens of one text; the sound model goes on."""
    models = tmp_path / "models"
    models.mkdir()
    sound = write_tiny(models / "sound.gguf")
    data, header_bytes = sound.read_bytes(), HeaderReader(sound).data_offset
    one_byte = (1).to_bytes(8, "little")
    (models / "crashing.gguf").write_bytes(data.replace(one_byte + b"b", one_byte + b"c"))
    for seed in range(VARIANTS):
        (models / f"damaged-{seed:02}.gguf").write_bytes(damage(data, header_bytes, seed))
    catalog = discover(models, tmp_path, shared_cache)
    assert all(file.reason.endswith(".") for file in catalog.unusable)
    assert len(catalog.unusable) > 10
    engine = Engine()
    arena = Arena(engine, embedded)
    try:
        answers = {model.base.path.stem: arena.answer("Hi", model=model, max_tokens=3) for model in catalog.models}
        assert arena.answer("Hi", max_tokens=3).completion_tokens
    finally:
        engine.close()
    for response in answers.values():
        assert response.finish_reason in ALLOWED
        assert (response.error or "").endswith(".") == (response.finish_reason in ("error", "context"))
    assert answers["sound"].completion_tokens
    assert "crashed" in (answers["crashing"].error or "")
