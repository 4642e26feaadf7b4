"""Sentences of the programs below, as they may be shown: they name folders, which are nobody else's business.

Whatever says why something is not so (an error, a reason, a fault, what is going on) goes through ``told``; what
only names a thing goes through ``as_plain``.
"""

import re

from dashboard import visitors
from dashboard.arena.answer_text import as_plain
from training.public import without_paths


def told(sentence: object) -> str:
    """As Markdown that shows it to the letter, and what stands between backticks as code; to a stranger with each path
    cut to its last name."""
    text = as_plain(str(without_paths(str(sentence)) if visitors.hides() else sentence))
    return re.sub(r"\\`(.+?)\\`", lambda code: "`" + re.sub(r"\\(.)", r"\1", code[1]) + "`", text)
