"""``trainer_log.jsonl``, which LLaMA-Factory writes, and other logs with one JSON object per line."""

import json
from pathlib import Path

from training.importers.fields import EVALUATION_LOSS_NAMES, LOSS_NAMES, STEP_NAMES
from training.importers.found import Facts, Found
from training.importers.settings_of import adapter_settings

KIND = "JSON lines, as LLaMA-Factory's trainer_log.jsonl"
LOOKED_FOR = f"lines with a step ({', '.join(STEP_NAMES)}) and a loss ({LOSS_NAMES[0]}, {EVALUATION_LOSS_NAMES[0]})"
LONGEST_LINE_BYTES = 1_000_000
NO_OBJECT = "that could not be read as a JSON object"


def read(path: Path, found: Found) -> Facts:
    """Read a log line by line; lines that cannot be read are counted."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE_BYTES):
            if line.isspace():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                found.add(row)
            else:
                found.skipped[NO_OBJECT] += 1
    return adapter_settings(path.parent)
