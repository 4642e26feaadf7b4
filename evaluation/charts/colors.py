"""The color of a model, the same on every page."""

from collections import Counter
from collections.abc import Iterable, Mapping
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
    taken: Counter[str] = Counter()
    for key in (*first, *sorted(set(others).difference(first))):
        start = int(sha256(key.encode()).hexdigest()[:8], 16) % len(PALETTE)
        colors[key] = _least_taken(start, taken)
    return colors


def apart(wanted: Mapping[str, str]) -> dict[str, str]:
    """The colors wanted, except where an earlier key has the same one: there the next that fewest keys have."""
    taken: Counter[str] = Counter()
    return {key: _least_taken(PALETTE.index(color), taken) for key, color in wanted.items()}


def _least_taken(start: int, taken: Counter[str]) -> str:
    """Counts it as taken, too."""
    color = min((*PALETTE[start:], *PALETTE[:start]), key=lambda each: taken[each])
    taken[color] += 1
    return color
