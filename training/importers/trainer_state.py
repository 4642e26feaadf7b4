"""``trainer_state.json``, which the Hugging Face Trainer writes into each checkpoint."""

from pathlib import Path
from typing import Any

from training.importers import json_file
from training.importers.fields import EVALUATION_LOSS_NAMES, LOSS_NAMES, field_of, whole
from training.importers.found import Facts, Found, ImporterError
from training.importers.settings_of import adapter_settings, trainer_settings

KIND = "Hugging Face trainer state"
LOOKED_FOR = f"log_history with rows of step and {LOSS_NAMES[0]} or {EVALUATION_LOSS_NAMES[0]}"

_STATE = {
    *("log_history", "train_runtime", "global_step", "max_steps", "num_train_epochs", "train_batch_size"),
    *("logging_steps", "save_steps"),  # not eval_steps, which is there without any evaluation
}


def read(path: Path, found: Found) -> Facts:
    """Read the log in a trainer state, or a list of log rows that someone saved. Raises ``ImporterError``."""
    content = json_file.load(path, lambda key: key in _STATE or field_of(key))
    state: dict[str, Any] = content if isinstance(content, dict) else {"log_history": content}
    rows = state.get("log_history")
    if not isinstance(rows, list):
        raise ImporterError(
            f"{path} is no trainer state: it has no log_history. A Trainer writes trainer_state.json into its "
            "checkpoint folders: import one of those."
        )
    for row in rows:
        if isinstance(row, dict):
            found.add(row)
    found.progress(whole(state.get("global_step")), whole(state.get("max_steps")))
    return trainer_settings(state).and_of(adapter_settings(path.parent))


def step_of(path: Path) -> int:
    """How far the training had come in a state; -1 when the file cannot be read."""
    try:
        state = json_file.load(path, lambda key: key == "global_step")
    except (OSError, ImporterError):
        return -1
    step = whole(state.get("global_step")) if isinstance(state, dict) else None
    return -1 if step is None else step
