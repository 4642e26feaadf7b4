"""An answer as the worker process writes it, here without the process."""

from datetime import date
from pathlib import Path

import pytest

from evaluation.engine import generation
from evaluation.engine.llama import Abort, Context, Model
from evaluation.engine.prompt import PromptFormat
from evaluation.engine.slots import SMALLEST_CONTEXT_TOKENS, Slots
from evaluation.engine.wire import Task
from evaluation.records import Message, Sampling
from tests.tiny_gguf import TEMPLATE, write_tiny


def test_an_answer_that_outgrows_its_context_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The KV cache grows in the middle of the answer, which is the one written with room for all of it from the start.
    The room that is made beforehand is reduced, because the real one holds hundreds of tokens."""
    model = Model(write_tiny(tmp_path / "tiny.gguf", context_length=2 * SMALLEST_CONTEXT_TOKENS))
    form = PromptFormat(TEMPLATE, model.control_tokens, model.bos_text, model.eos_text)
    question = Message("user", "x" * (SMALLEST_CONTEXT_TOKENS - 6))
    sizes = []

    def new_context(n_ctx: int, adapter: tuple[str, float] | None) -> Context:
        sizes.append(n_ctx)
        return Context(model, n_ctx, 1, Abort(), adapter)

    def answer(room: int) -> str:
        monkeypatch.setattr(generation, "EXPECTED_ANSWER_TOKENS", room)
        task = Task(1, (question,), Sampling(temperature=0, max_tokens=20), date(2026, 11, 1), None, None)
        writer = generation.Writer(task, model, form, Slots(new_context, limit=2048, total=2048))
        assert writer.work(lambda: False) == "length"
        return writer.take_text() + writer.close()

    assert answer(room=1) == answer(room=20)
    assert sizes == [SMALLEST_CONTEXT_TOKENS, 2 * SMALLEST_CONTEXT_TOKENS, 2 * SMALLEST_CONTEXT_TOKENS]
