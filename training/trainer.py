"""TRL's trainer, set up from a recipe.

On the CPU four things make it faster with the same losses: no gradient checkpointing, conversations laid end to end
instead of padded to the longest, as many of them in one pass as a step holds, and attention within each of them alone.
``make bench`` prints what they save.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from transformers import AttentionInterface, AttentionMaskInterface, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from training.backends import Backend, has_gpu
from training.chat import NO_LOSS, encode
from training.recipe import Recipe

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerFast

TOKENS_PER_PASS = 4096
"""On the CPU, the most tokens that are laid end to end: more fill the memory and gain nothing."""
ATTENTION = "within_conversations"
PLAIN_ATTENTION = ("llama", "qwen2", "qwen3", "smollm3")
"""Architectures whose attention is the plain causal one, without a sliding window or the like."""


def attend_within_conversations(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float,
    cu_seq_lens_q: torch.Tensor,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of conversations that lie end to end, each for itself, in transformers' calling convention.

    ``query``, ``key`` and ``value`` have the shape (1, heads, tokens, head size); ``cu_seq_lens_q`` holds where
    conversations begin, and the end. A mask over all of them would compute, and throw away, every pair across two.
    """
    lengths = cu_seq_lens_q.diff().tolist()
    parts = [
        F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=True)
        for q, k, v in zip(*(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attend_within_conversations)
AttentionMaskInterface.register(ATTENTION, lambda *_, **__: None)


def answer_loss(model: Any, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Summed cross-entropy of the answers' tokens, nats, of conversations end to end in one row.

    ``inputs`` as TRL's collator gives them with ``padding_free``: ``input_ids``, ``labels`` and ``position_ids`` of
    shape (1, tokens). Also returns the log-probabilities, shape (answer tokens, vocabulary), and those tokens.
    """
    labels, positions = inputs["labels"], inputs["position_ids"]
    predicting = (labels[0, 1:] != NO_LOSS).nonzero()[:, 0]
    targets = labels[0, predicting + 1]
    starts = (positions[0] == 0).nonzero()[:, 0]
    outputs = model(
        input_ids=inputs["input_ids"],
        position_ids=positions,
        cu_seq_lens_q=torch.cat([starts, starts.new_tensor([positions.shape[1]])]),
        use_cache=False,
        logits_to_keep=predicting,
    )
    log_probabilities = F.log_softmax(outputs.logits[0].float(), dim=-1)
    return F.nll_loss(log_probabilities, targets, reduction="sum"), log_probabilities, targets


class AnswerTrainer(SFTTrainer):
    """Computes the vocabulary's logits at the answers only. TRL's own way to do so needs Triton, and so a GPU.

    Batches are one row of conversations end to end (``padding_free``). Metrics have TRL's names, and are means over
    the answers' tokens, also on the held-out rows, where a mean over batches would depend on the size of these.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._sums: dict[bool, torch.Tensor] = {}  # of training and of evaluation, since the last line of each

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, log_probabilities, targets = answer_loss(model, inputs)
        with torch.no_grad():
            entropy = -(log_probabilities.exp() * log_probabilities).sum()
            correct = (log_probabilities.argmax(dim=-1) == targets).sum()
            counts = [len(targets), inputs["input_ids"].shape[1]]
            sums = torch.stack([loss.detach(), entropy, correct, *loss.new_tensor(counts)])
            everywhere = self.accelerator.reduce(sums, reduction="sum")
            self._sums[model.training] = everywhere + self._sums.get(model.training, 0)
        if num_items_in_batch is None:
            loss = loss / max(1, len(targets))
        else:  # counts the answers' tokens of every pass and process of this step; processes are then averaged
            loss = loss / num_items_in_batch * self.accelerator.num_processes
        return (loss, {"logits": log_probabilities}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        sums = self._sums.pop("eval_loss" not in logs, None)
        if sums is not None:  # the summary at the end has none
            loss, entropy, correct, answer_tokens, tokens = sums.tolist()
            measured = {"entropy": entropy / answer_tokens, "mean_token_accuracy": correct / answer_tokens}
            if "eval_loss" in logs:
                logs |= {"eval_loss": loss / answer_tokens} | {f"eval_{name}": it for name, it in measured.items()}
            else:
                self._total_train_tokens += int(tokens)
                logs |= measured | {"num_tokens": self._total_train_tokens}
        super().log(logs, start_time)


def encoded(
    rows: Dataset, tokenizer: "PreTrainedTokenizerFast", recipe: Recipe, template_date: str
) -> tuple[Dataset, int]:
    """The conversations as tokens with loss on the answers, and how many of them were cut at the longest length.

    Conversations of which no answer token fits are not among them.
    """
    found = [encode(row["messages"], tokenizer, recipe.base.max_length, template_date) for row in rows]
    usable = [each for each in found if each is not None]
    data = {"input_ids": [each.input_ids for each in usable], "labels": [each.labels for each in usable]}
    return Dataset.from_dict(data), sum(each.truncated for each in usable)


def make_trainer(
    recipe: Recipe,
    backend: Backend,
    model: "PeftModel",
    tokenizer: "PreTrainedTokenizerFast",
    train: Dataset,
    held_out: Dataset | None,
    checkpoints: Path,
    callback: TrainerCallback,
) -> SFTTrainer:
    """A trainer that saves into ``checkpoints`` and tells ``callback`` what happens."""
    on_cpu = not has_gpu()
    end_to_end = on_cpu and backend == "trl"
    settings = SFTConfig(
        output_dir=str(checkpoints),
        **_schedule(recipe, on_cpu),
        **_passes(recipe, train, held_out, end_to_end),
        use_cpu=on_cpu,
        bf16=not on_cpu,
        gradient_checkpointing=not on_cpu,
        max_length=recipe.base.max_length,
        report_to="none",
        disable_tqdm=True,
        logging_nan_inf_filter=False,  # it would hide a diverged loss behind the mean of the others
    )
    if end_to_end and model.config.model_type in PLAIN_ATTENTION:
        model.set_attn_implementation(ATTENTION)
    collator = DataCollatorForLanguageModeling(tokenizer.pad_token_id, padding_free=True)
    trainer: SFTTrainer = (AnswerTrainer if end_to_end else SFTTrainer)(
        model=model,
        args=settings,
        train_dataset=train,
        eval_dataset=held_out,
        processing_class=tokenizer,
        data_collator=collator if end_to_end else None,
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)  # the progress bar says the same
    return trainer


def _schedule(recipe: Recipe, on_cpu: bool) -> dict[str, Any]:
    optimizer, training = recipe.optimizer, recipe.training
    return {
        "max_steps": training.steps,
        "learning_rate": optimizer.learning_rate,
        "lr_scheduler_type": optimizer.schedule,
        "warmup_steps": optimizer.warmup_steps,
        "weight_decay": optimizer.weight_decay,
        "max_grad_norm": optimizer.max_grad_norm,
        "optim": "adamw_8bit" if optimizer.name == "adamw_8bit" and not on_cpu else "adamw_torch",
        "seed": training.seed,
        "data_seed": training.seed,
        "logging_steps": training.log_every,
        "logging_first_step": True,
        "save_steps": training.save_every,
        "save_total_limit": 2,
    }


def _passes(recipe: Recipe, train: Dataset, held_out: Dataset | None, end_to_end: bool) -> dict[str, Any]:
    """How the conversations of a step are shared out. The loss is a mean over the step's tokens either way."""
    batch, accumulation = recipe.training.batch_size, recipe.training.gradient_accumulation
    if end_to_end:
        longest = max(map(len, train["input_ids"]))
        merged = [
            n for n in range(1, accumulation + 1) if accumulation % n == 0 and batch * n * longest <= TOKENS_PER_PASS
        ]
        factor = max(merged, default=1)
        batch, accumulation = batch * factor, accumulation // factor
    return {
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulation,
        "per_device_eval_batch_size": recipe.evaluation.batch_size,
        "eval_strategy": "steps" if held_out is not None and recipe.evaluation.every else "no",
        "eval_steps": recipe.evaluation.every or None,
        "eval_on_start": held_out is not None,
    }
