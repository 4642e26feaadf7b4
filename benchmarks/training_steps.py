"""A few steps of training on the embedded model in a process of its own, as this project or as TRL's defaults do them.

    python -m benchmarks.training_steps ours
    python -m benchmarks.training_steps trl

Prints one line of JSON: the loss of each step and the seconds they took, loading left out.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from training import quiet_waiting
from training.recipe import Recipe, read_recipe
from training.settings import PROJECT_ROOT

STEPS = 4


def main() -> None:
    who = sys.argv[1]
    if who == "ours":
        quiet_waiting()
    recipe = read_recipe(
        PROJECT_ROOT / "training/recipes/smollm2-r16.toml", [f"training.steps={STEPS}", "optimizer.warmup_steps=1"]
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = (_ours if who == "ours" else _trl)(recipe, Path(folder))
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    print(json.dumps({"losses": [float(loss) for loss in losses], "seconds": seconds}))


def _parts(recipe: Recipe) -> tuple[Any, Any, Any]:
    """Model with adapter, tokenizer and encoded conversations, the same for both."""
    import transformers

    from training import backends, data
    from training.base import find_base
    from training.trainer import encoded

    transformers.set_seed(recipe.training.seed)
    model, tokenizer = backends.load(recipe, find_base(recipe.base), "trl")
    rows, _ = encoded(data.prepare(recipe.data, recipe.training.seed).train, tokenizer, recipe, "2026-11-01")
    return model, tokenizer, rows


def _ours(recipe: Recipe, folder: Path) -> Any:
    import transformers

    from training.trainer import make_trainer

    model, tokenizer, rows = _parts(recipe)
    return make_trainer(recipe, "trl", model, tokenizer, rows, None, folder, transformers.TrainerCallback())


def _trl(recipe: Recipe, folder: Path) -> Any:
    """TRL 1.15's defaults. On a CPU they lack one function, which needs Triton: it is done in plain torch here, for the
    same positions only, so that the comparison is about the settings."""
    import torch
    import torch.nn.functional as F
    import trl.trainer.utils
    from trl import SFTConfig, SFTTrainer

    class LogProbabilities:
        @staticmethod
        def apply(hidden: torch.Tensor, weight: torch.Tensor, bias: None, labels: torch.Tensor, *_: object) -> Any:
            log_probabilities = F.log_softmax(hidden @ weight.T, dim=-1)
            found = log_probabilities.detach()
            entropy, is_top1 = -(found.exp() * found).sum(-1), found.argmax(-1) == labels
            return log_probabilities.gather(1, labels[:, None])[:, 0], entropy, None, None, is_top1

    trl.trainer.utils._ChunkedLogProbFunction = LogProbabilities
    model, tokenizer, rows = _parts(recipe)
    model.enable_input_require_grads()  # as SFTTrainer does with an adapter of its own making
    training, optimizer = recipe.training, recipe.optimizer
    settings = SFTConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        max_steps=training.steps,
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.gradient_accumulation,
        learning_rate=optimizer.learning_rate,
        warmup_steps=optimizer.warmup_steps,
        weight_decay=optimizer.weight_decay,
        seed=training.seed,
        data_seed=training.seed,
        logging_steps=1,
        report_to="none",
    )
    return SFTTrainer(model, args=settings, train_dataset=rows, processing_class=tokenizer)


if __name__ == "__main__":
    main()
