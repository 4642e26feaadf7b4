"""The color of a model, the same on every page."""

from collections import Counter
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


def model_colors(known: Iterable[str], others: Iterable[str] = ()) -> dict[str, str]:
    """A color for each model key: from the one its own hash names on, the first that fewest models have.

    ``known`` are the models that every page knows: they come first, so that no other model changes their colors.
    """
    first = sorted(set(known))
    colors: dict[str, str] = {}
    for key in (*first, *sorted(set(others).difference(first))):
        start = int(sha256(key.encode()).hexdigest()[:8], 16)
        taken = Counter(colors.values())
        candidates = [PALETTE[(start + step) % len(PALETTE)] for step in range(len(PALETTE))]
        colors[key] = min(candidates, key=lambda color: taken[color])
    return colors
