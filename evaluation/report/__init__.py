"""A leaderboard and its training runs as one HTML page to share: nothing is fetched from anywhere when it is opened.

    python -m evaluation.report report.html

``contents`` decides what goes in, ``board``, ``charts``, ``training``, ``conversations`` and ``method`` make the parts,
``page`` puts them together, ``space`` puts the page on a static Space.
"""


class ReportError(Exception):
    """There can be no such report; a sentence for the user: what is wrong, and what to do."""
