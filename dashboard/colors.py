"""The color of a model, the same on every page."""

from collections.abc import Iterable
from hashlib import sha256

PALETTE = (
    "#3b82f6",  # blue
    "#f08c1a",  # orange
    "#10a37f",  # green
    "#a06bf5",  # violet
    "#c2a014",  # ochre
    "#0ea5c4",  # cyan
    "#e255a1",  # pink
    "#9a7557",  # brown
)
"""Of middle lightness, so that they can be told from a white and from a dark page; no red, which means an error."""


def model_colors(keys: Iterable[str]) -> dict[str, str]:
    """A color for each model key: the one its own hash names, or the next one free if another model has it."""
    colors: dict[str, str] = {}
    for key in sorted(set(keys)):
        start = int(sha256(key.encode()).hexdigest()[:8], 16)
        candidates = [PALETTE[(start + step) % len(PALETTE)] for step in range(len(PALETTE))]
        taken = set(colors.values())
        colors[key] = next((color for color in candidates if color not in taken), candidates[0])
    return colors
