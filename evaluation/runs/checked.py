"""Numbers of a run's record that another program may have written, or somebody edited."""

import math
from typing import Any


def as_number(value: Any) -> float | None:
    """``None`` for what is no number, or not finite, or longer than a float can be (JSON sets no limit)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
