"""Answer losses, measured in real processes on a tiny model, against transformers."""

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from gguf import GGMLQuantizationType, GGUFReader

from evaluation.engine.loss import PATIENCE, MeasuredLoss, answer_losses
from evaluation.models import Adapter, ChatModel, discover
from evaluation.records import Message
from tests.gguf_files import write_lora_adapter
from tests.tiny_gguf import LAYERS, write_tiny

TODAY = date(2026, 11, 1)
TEMPLATE = (
    "{% if messages[0].content == 'No' %}{{ raise_exception('one says yes') }}{% endif %}"
    "{% for message in messages %}{{ message.content }}<|im_end|>{% endfor %}"
)
PROMPT = (Message("user", "Why?"),)
REFERENCE = "Because a user may write <|im_end|>, the answer does too; and it is read in several parts."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> ChatModel:
    """Unquantized, so that other programs compute the same; its prompts begin with a token of their own."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny(folder / "tiny.gguf", TEMPLATE, weights=GGMLQuantizationType.F32, add_bos=True)
    return next(model for model in discover(folder, folder, shared_cache).models if model.name == "Tiny")


def measure(model: ChatModel, *references: tuple[Sequence[Message], str]) -> list[MeasuredLoss]:
    return list(answer_losses(model, [(tuple(messages), text) for messages, text in references], TODAY))


def plain(text: str) -> list[int]:
    """Tokens of ASCII text in which no merge of the tiny vocabulary applies: one per character, behind 3 others."""
    return [3 + (220 if character == " " else ord(character) - ord("!")) for character in text]


def by_transformers(model: ChatModel, prompt: list[int], answer: list[int]) -> float:
    """Negative log-likelihood of the answer's tokens, with the adapter added to the weights."""
    import torch
    from transformers import AutoModelForCausalLM

    path = model.base.path
    network: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    if model.adapter:
        tensors = {tensor.name: np.array(tensor.data, np.float32) for tensor in GGUFReader(model.adapter.path).tensors}
        for layer in range(LAYERS):
            name = f"blk.{layer}.ffn_down.weight"
            change = tensors[f"{name}.lora_b"] @ tensors[f"{name}.lora_a"] * model.adapter_scale
            network.model.layers[layer].mlp.down_proj.weight.data += torch.from_numpy(change)
    with torch.inference_mode():
        logits = network(torch.tensor([[*prompt, *answer]])).logits[0].double()
    likelihoods = torch.log_softmax(logits, dim=-1)[len(prompt) - 1 : -1]
    return -float(likelihoods[torch.arange(len(answer)), torch.tensor(answer)].sum())


def test_agrees_with_transformers(tiny: ChatModel, tmp_path: Path) -> None:
    """Base and adapter, over several chunks: the leading token is there, the end of the turn is not counted, and what
    looks like a control token in a reference is text."""
    path = write_lora_adapter(tmp_path / "adapter.gguf", tiny.base.path, rank=4, tensors=["ffn_down"], scale=1.0)
    adapted = replace(tiny, adapter=Adapter(path, "a" * 64, "run", path.stat().st_size), adapter_scale=0.5)
    prompt, answer = [1, *plain("Why?"), 2], plain(REFERENCE)
    losses = []
    for model in (tiny, adapted):
        (measured,) = measure(model, (PROMPT, REFERENCE))
        assert (measured.tokens, measured.error) == (len(REFERENCE), None)
        assert measured.loss_nats == pytest.approx(by_transformers(model, prompt, answer), rel=1e-3)
        losses.append(measured.loss_nats)
    assert abs(losses[0] - losses[1]) > 1


def test_what_cannot_be_measured_has_a_sentence(tiny: ChatModel) -> None:
    """In the place of its figure; the others are measured, and the same one twice alike."""
    too_long, refused, empty = (PROMPT, "x" * 130), ([Message("user", "No")], "yes"), (PROMPT, "")
    results = measure(tiny, (PROMPT, REFERENCE), too_long, refused, empty, (PROMPT, REFERENCE))
    assert [result.error for result in results[1:4]] == [
        "Prompt and reference answer have 136 tokens, but the context holds only 128.",
        "The model's chat template refuses this conversation: one says yes.",
        "The prompt or the reference answer is empty.",
    ]
    assert all(result.loss_nats is None for result in results[1:4])
    assert results[0] == results[4] and results[0].loss_nats


@pytest.mark.parametrize(("damage", "sentence"), [("cut", "could not load"), ("nan", "may be damaged")])
def test_a_damaged_model_has_a_sentence_for_each_reference(
    tiny: ChatModel, tmp_path: Path, damage: str, sentence: str
) -> None:
    """Cut off, or with weights that are no numbers."""
    data = tiny.base.path.read_bytes()
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data[:-2000] if damage == "cut" else data[:-8192] + np.full(2048, np.nan, np.float32).tobytes())
    results = measure(replace(tiny, base=replace(tiny.base, path=path)), (PROMPT, "a"), (PROMPT, "b"))
    assert [result.loss_nats for result in results] == [None, None]
    assert all(result.error and sentence in result.error and result.error.endswith(".") for result in results)


def test_a_model_too_large_for_the_memory_is_refused(tiny: ChatModel) -> None:
    """Before a process is started."""
    huge = replace(tiny, base=replace(tiny.base, size_bytes=10**15))
    assert all("memory" in str(result.error) for result in measure(huge, (PROMPT, "a"), (PROMPT, "b")))


def test_a_process_that_dies_costs_one_reference(tiny: ChatModel) -> None:
    """What was measured before stays, and another process measures the rest; closing early ends the process."""
    many = [(PROMPT, REFERENCE)] * 150
    results = answer_losses(tiny, many, TODAY)
    first = next(results)
    (process,) = worker_processes()
    process.kill()
    killed = MeasuredLoss(None, None, "The model's process was killed, most likely because memory ran out.")
    assert first.loss_nats and Counter(results) == {first: len(many) - 2, killed: 1}
    results = answer_losses(tiny, many, TODAY)
    assert next(results) == first
    results.close()
    assert worker_processes() == []


def test_a_process_that_keeps_dying_is_given_up(tiny: ChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here as soon as it starts; every reference has a sentence."""
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    errors = [result.error for result in measure(tiny, *[(PROMPT, REFERENCE)] * (PATIENCE + 2))]
    crashed = "llama.cpp crashed (exit code 1). The model file may be damaged."
    given_up = f"Not tried after 3 failures in a row, the last of which was: {crashed}"
    assert errors == [crashed] * PATIENCE + [given_up] * 2


def worker_processes() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "evaluation.engine.loss_worker" in child.cmdline()]


def test_many_references(tiny: ChatModel) -> None:
    """What llama.cpp only points to lives as long as it does: the hundredth is measured like the first."""
    text = "{0} is a number, and {0} is followed by {1}."
    losses = measure(tiny, *((PROMPT, text.format(number, number + 1)) for number in range(100)), (PROMPT, REFERENCE))
    assert not [each.error for each in losses if each.error]
    assert losses[-1] == measure(tiny, (PROMPT, REFERENCE))[0]
