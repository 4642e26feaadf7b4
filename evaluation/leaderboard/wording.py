"""Pieces of the sentences about a leaderboard, as Markdown."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from evaluation.leaderboard.board import Board, Row
from evaluation.leaderboard.figures import Figure, shown, shown_range
from evaluation.statistics import MOST_PAIRS, Interval, PairedDifference


def escaped(text: str) -> str:
    """Text on one line in which Markdown sees nothing but text."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$:&!])", r"\\\1", " ".join(text.split()))


def bold(name: str) -> str:
    """The name of a model."""
    return f"**{escaped(name)}**"


def names(board: Board) -> dict[str, str]:
    """Names of the models by key; where several share one, with quantization and the start of the key."""
    count = Counter(row.name for row in board.rows)

    def name(row: Row) -> str:
        return row.name if count[row.name] == 1 else f"{row.name} ({row.quantization}, {row.model_key[:12]})"

    return {row.model_key: bold(name(row)) for row in board.rows}


def listed(items: Sequence[str]) -> str:
    """``A, B and C``."""
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def counted(number: int, noun: str) -> str:
    """``1 prompt``, ``1,200 prompts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def in_words(settings: Iterable[tuple[float | None, int]]) -> list[str]:
    """``temperature 0.7, at most 512 tokens``, of each setting of ``Row.settings``."""
    return [
        f"{'its own temperature' if temperature is None else f'temperature {temperature:g}'}, at most "
        f"{counted(tokens, 'token')}"
        for temperature, tokens in sorted(settings, key=lambda each: (each[0] is None, each))
    ]


def median_of(figure: Figure, interval: Interval) -> str:
    """``1.84 s (1.79–1.90; 43 prompts)``."""
    return f"{shown(figure, interval.median)} ({_within(figure, interval)}{counted(interval.n, 'prompt')})"


def amount(figure: Figure, difference: Interval) -> str:
    """The size of a difference, whose direction is said in words: ``0.05 bits (0.03–0.07; 43 prompts)``."""
    if difference.median >= 0:
        return median_of(figure, difference)
    low, high = (None if end is None else -end for end in (difference.high, difference.low))
    return median_of(figure, Interval(-difference.median, low, high, difference.n))


def times(pair: PairedDifference | None, of: str) -> str:
    """``2.1 times as long (1.8–2.4)`` when ``of`` is ``as long``; more digits near 1."""
    if pair is None or pair.ratio is None:
        return f"an unknown number of times {of}"
    ratio, digits = pair.ratio, 2 if pair.ratio.median < 2 else 1
    within = "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.{digits}f}–{ratio.high:.{digits}f})"
    return f"{ratio.median:.{digits}f} times {of}{within}"


def direction(pair: PairedDifference | None) -> int:
    """1 when the model's values are larger than the baseline's, -1 when smaller, 0 when that can't be told: when one of
    the intervals, of the differences and of the ratios, has an end on the other side."""
    if pair is None or not pair.told_apart:
        return 0
    sign = 1 if pair.difference.median > 0 else -1
    ratio = pair.ratio
    if (
        ratio
        and ratio.low is not None
        and ratio.high is not None
        and not (ratio.low > 1 if sign > 0 else ratio.high < 1)
    ):
        return 0
    return sign


def prompts_needed(pair: PairedDifference) -> str:
    """A sentence: with how many prompts two models that could not be told apart might be."""
    if pair.pairs_needed is None:
        return "No difference was seen at all, and more prompts would have to show one first."
    if pair.pairs_needed >= MOST_PAIRS:
        return f"To tell so small a difference more than {MOST_PAIRS:,} prompts would be needed."
    needed = max(pair.pairs_needed, pair.difference.n + 1)
    return f"If it is as large as it looks, about {counted(needed, 'prompt')} would be needed to tell."


def _within(figure: Figure, interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return ""
    return f"{shown_range(figure, interval.low, interval.high)}; "
