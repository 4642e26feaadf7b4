"""Sentences of the programs below, as they may be shown: they name folders, which are nobody else's business."""

from dashboard import visitors
from dashboard.arena.answer_text import as_plain
from training.public import without_paths


def told(sentence: object) -> str:
    """As Markdown that shows it to the letter; to a stranger with each path cut to its last name."""
    return as_plain(str(without_paths(str(sentence)) if visitors.hides() else sentence))
