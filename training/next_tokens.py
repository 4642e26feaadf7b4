"""Whether an exported file predicts what the fine-tuned model does: next-token distributions, PEFT against llama.cpp.

    reference = of_peft(model, tokenizer)
    difference = compare(reference, base_gguf, adapter_gguf, EXACT, scratch_file)      # or raises Mismatch

Both sides read the same tokens: the start of a conversation, rendered with the chat template, and a part of an answer.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.llama_process import Probabilities, Prompt, next_tokens

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerFast

POSITIONS = 8
"""Compared after each of this many last tokens of a prompt: the answer so far."""
_CONVERSATIONS = (
    ("What is the capital of Norway?", "The capital of Norway is Oslo, a city by the sea."),
    ("How do I boil an egg?", "Put it into boiling water for eight minutes, then let it cool"),
    ("What is 12 times 11?", "12 times 11 is 132, because 12 times 10 is 120"),
    ("Write one sentence about rain.", "The rain fell softly on the old roof while we"),
    ("Name three fruits.", "1. Apple\n2. Pear\n3."),
)


class Mismatch(Exception):
    """A file predicts something else than it should; the message says by how much."""


@dataclass(frozen=True)
class Bound:
    """How far llama.cpp may be from PEFT."""

    largest: float
    """Difference of a token's probability, at most."""
    moved: float
    """Mean over the prompts' positions of the total variation distance, at most: the share of probability that would
    have to move to other tokens."""


# Measured with adapters of 3 to 12 steps on SmolLM2 135M. Wrong files were: the adapter not applied, applied at half or
# double its strength, or that of another run.
EXACT = Bound(largest=0.04, moved=0.01)
"""16-bit weights. Right: at most 0.011 and 0.0013. Wrong: at least 0.14 and 0.018."""
QUANTIZED_BASE = Bound(largest=0.3, moved=0.1)
"""An adapter, found exact, on the quantized file itself, where llama.cpp rounds activations to 8 bits and PEFT doesn't.
Right: at most 0.11 and 0.029, as without an adapter. Not applied: at least 0.50."""
COARSE = Bound(largest=1.0, moved=0.6)
"""A model that was exact before it was quantized. Right: 0.11 and 0.03 for Q8_0, 0.28 and 0.10 for Q4_K_M, 0.97 and
0.32 for Q2_K, where single tokens say nothing any more; what the run records tells them apart. Noise: above 0.9."""


@dataclass(frozen=True)
class Reference:
    """What the fine-tuned model predicts, by PEFT in 32-bit floating point."""

    prompts: tuple[Prompt, ...]
    probabilities: Probabilities
    """Shape (prompts, positions, vocabulary)."""


def of_peft(model: "PeftModel", tokenizer: "PreTrainedTokenizerFast") -> Reference:
    """The model's distributions on the fixed prompts."""
    import torch

    prompts = tuple(_prompt(question, answer, tokenizer) for question, answer in _CONVERSATIONS)
    model.eval()
    with torch.inference_mode():
        probabilities = [
            torch.softmax(model(input_ids=torch.tensor([prompt.tokens])).logits[0, -POSITIONS:].float(), dim=-1)
            for prompt in prompts
        ]
    return Reference(prompts, torch.stack(probabilities).cpu().numpy())


def compare(reference: Reference, model: Path, adapter: Path | None, bound: Bound, scratch: Path) -> float:
    """Largest absolute difference of a token's probability under llama.cpp, 0 to 1.

    ``scratch`` is a file that may be overwritten. Raises ``Mismatch``, and ``LlamaError`` when llama.cpp cannot even
    load a file or makes other tokens of the prompts' text.
    """
    found = next_tokens(model, adapter, reference.prompts, POSITIONS, scratch)
    vocabulary = min(reference.probabilities.shape[-1], found.shape[-1])  # either may be padded to a round size
    differences = np.abs(reference.probabilities[..., :vocabulary] - found[..., :vocabulary])
    largest, moved = float(differences.max()), float(differences.sum(axis=-1).mean() / 2)
    if not (largest <= bound.largest and moved <= bound.moved):  # so that NaN is a mismatch too
        raise Mismatch(
            f"with it llama.cpp gives a token another probability than PEFT does, by up to {largest:.3f}, and moves "
            f"{moved:.1%} of the probability on average; allowed are {bound.largest:.3f} and {bound.moved:.1%}."
        )
    return largest


def _prompt(question: str, answer: str, tokenizer: "PreTrainedTokenizerFast") -> Prompt:
    messages = [{"role": "user", "content": question}]
    text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)) + answer
    return Prompt(text, tuple(tokenizer(text, add_special_tokens=False)["input_ids"]))
