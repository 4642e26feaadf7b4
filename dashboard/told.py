"""Sentences of the programs below, as they may be shown: they name folders, which are nobody else's business."""

from dashboard import services
from dashboard.arena.answer_text import as_plain
from training.public import without_paths


def told(sentence: object) -> str:
    """As Markdown that shows it to the letter; on a public deployment with each path cut to its last name."""
    return as_plain(str(without_paths(str(sentence)) if services.settings().public else sentence))
