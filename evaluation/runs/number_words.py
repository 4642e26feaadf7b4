"""Numbers of any size within sentences: as many digits as they deserve, never a line full of them."""

import math

HUGE = 1e6
ROUNDING = 1e-8


def number(value: float, decimals: int, sign: str = "-") -> str:
    """``−0.12``, from a million on ``1.20e+06``; ``sign="+"`` also marks what is above zero."""
    text = f"{value:{sign}.2e}" if abs(value) >= HUGE else f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"
    return text.replace("-", "−")


def decimals(size: float) -> int:
    """With which a figure of this size has two digits, at least two; of what is only rounding, or no finite number,
    two."""
    return max(2, 1 - math.floor(math.log10(abs(size)))) if ROUNDING < abs(size) < math.inf else 2
