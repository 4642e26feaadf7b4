"""JSON files of any size, of which only some keys are kept while they are read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.importers.found import ImporterError

MOST_BYTES = 1_000_000_000


def load(path: Path, wanted: Callable[[str], object]) -> Any:
    """The content of a JSON file, of its objects only the keys for which ``wanted`` is true.

    What a notebook shows and what callbacks store can be a thousand times larger than the log. NaN and infinity are
    read although JSON has no word for them. Raises ``ImporterError``, and ``OSError`` when the file cannot be read.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MOST_BYTES:
        raise ImporterError(
            f"{path} is {size_bytes / 1e9:.1f} GB of JSON; up to {MOST_BYTES / 1e9:.0f} GB is read. Import the "
            "TensorBoard events or a CSV of the same run."
        )

    def prune(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value for key, value in pairs if wanted(key)}

    try:
        return json.loads(path.read_text(encoding="utf-8-sig", errors="replace"), object_pairs_hook=prune)
    except (ValueError, RecursionError) as error:
        raise ImporterError(
            f"{path} is not valid JSON, perhaps cut off while it was written ({error}): copy it again, or import an "
            "older checkpoint."
        ) from None
