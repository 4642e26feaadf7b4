"""The model with its adapter, ready to train: through unsloth on a GPU, else through transformers and PEFT.

Both get the same base, adapter settings and encoded conversations, so their runs compare.
"""

import tempfile
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from training.base import FoundBase, load_model, load_tokenizer
from training.recipe import Recipe

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerFast

Backend = Literal["trl", "unsloth"]


class BackendError(Exception):
    """The backend that a recipe asks for is not here; the message says what to do."""


def choose_backend(recipe: Recipe) -> Backend:
    """The backend for this recipe on this machine. Raises ``BackendError``.

    unsloth replaces parts of transformers and TRL when it is imported, so it must come before them: nothing that
    imports those may run before this.
    """
    if recipe.optimizer.name == "adamw_8bit" and find_spec("bitsandbytes") is None and has_gpu():
        raise BackendError(
            "optimizer.name is adamw_8bit, but the package bitsandbytes is not installed: pip install -r "
            "training/requirements-unsloth.txt, or set optimizer.name=adamw."
        )
    wanted = recipe.training.backend
    installed = find_spec("unsloth") is not None
    if wanted == "trl" or (wanted == "auto" and not installed):
        return "trl"
    if not installed:
        raise BackendError(
            "training.backend is unsloth, but the package is not installed: pip install -r "
            "training/requirements-unsloth.txt, or set training.backend=trl."
        )
    if wanted == "auto" and not has_gpu():
        return "trl"
    import unsloth  # noqa: F401

    return "unsloth"


def has_gpu() -> bool:
    """Whether torch can use a GPU."""
    import torch

    return bool(torch.cuda.is_available())


def load(recipe: Recipe, base: FoundBase, backend: Backend) -> "tuple[PeftModel, PreTrainedTokenizerFast]":
    """The base with a fresh adapter on it, the only part that learns, and its tokenizer. Raises ``BaseError``."""
    tokenizer = load_tokenizer(base)
    return _load_unsloth(recipe, base, tokenizer) if backend == "unsloth" else _load_peft(recipe, base), tokenizer


def _load_peft(recipe: Recipe, base: FoundBase) -> "PeftModel":
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    lora = recipe.lora
    model = load_model(base, torch.bfloat16 if has_gpu() else torch.float32)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type="CAUSAL_LM",
    )
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise BackendError(
            f"lora.target_modules does not fit {base.record.model}: {str(error).splitlines()[0]} Name modules that "
            f"it has; those of Llama and Qwen are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj."
        ) from None
    assert isinstance(adapted, PeftModel)
    return adapted


def _load_unsloth(recipe: Recipe, base: FoundBase, tokenizer: "PreTrainedTokenizerFast") -> "PeftModel":
    from unsloth import FastLanguageModel

    lora = recipe.lora
    with tempfile.TemporaryDirectory() as folder:
        location = base.location
        if base.gguf is not None:  # unsloth reads Hugging Face's form only
            import torch

            load_model(base, torch.float32).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            location = folder
        model, _ = FastLanguageModel.from_pretrained(
            location,
            revision=base.revision,
            max_seq_length=recipe.base.max_length,
            load_in_4bit=False,
        )
    adapted: PeftModel = FastLanguageModel.get_peft_model(
        model,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        random_state=recipe.training.seed,
        use_gradient_checkpointing="unsloth" if has_gpu() else False,
    )
    return adapted
