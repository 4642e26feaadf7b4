"""The data card of a run as tables, one per chart."""

from itertools import pairwise

import pandas as pd

from evaluation.charts.parts import QUIET_COLOR
from training.runlog import ANSWER_WORDS_BIN, DataCard

MOST_SOURCES = 12
OTHERS = "others"


def stages(card: DataCard, color: str) -> pd.DataFrame:
    """From the rows read to those trained on: ``name``, ``rows``, ``text`` (with what was lost), ``color``."""
    usable = card.rows - sum(card.unusable.values())
    left = [("Rows read", card.rows), *([("usable", usable)] if card.unusable else [])]
    left += [(step.name, step.rows_left) for step in card.filters]
    left.append(("Trained on", card.train_rows))
    lost = [0, *(before - after for (_, before), (_, after) in pairwise(left))]
    return pd.DataFrame(
        {
            "name": [name for name, _ in left],
            "rows": [rows for _, rows in left],
            "text": [
                f"{rows:,}" + (f" (−{fewer:,})" if fewer > 0 else "")
                for (_, rows), fewer in zip(left, lost, strict=True)
            ],
            "color": [*([QUIET_COLOR] * (len(left) - 1)), color],
        }
    )


def answer_lengths(card: DataCard) -> pd.DataFrame:
    """A row per bin: ``low``, ``high``, ``range`` and ``answers``; the last bin is open."""
    lows = [ANSWER_WORDS_BIN * index for index in range(len(card.answer_words))]
    ranges = [f"{low}–{low + ANSWER_WORDS_BIN - 1}" for low in lows]
    if lows:
        ranges[-1] = f"{lows[-1]} or more"
    return pd.DataFrame(
        {
            "low": lows,
            "high": [low + ANSWER_WORDS_BIN for low in lows],
            "range": ranges,
            "answers": list(card.answer_words),
        }
    )


def sources(card: DataCard, color: str) -> pd.DataFrame:
    """Largest first, of many the last row stands for the rest: ``name``, ``rows``, ``text`` (with share), ``color``."""
    ranked = sorted(card.sources.items(), key=lambda source: -source[1])
    shown, rest = ranked[:MOST_SOURCES], ranked[MOST_SOURCES:]
    names = [name for name, _ in shown] + ([f"{len(rest):,} {OTHERS}"] if rest else [])
    rows = [count for _, count in shown] + ([sum(count for _, count in rest)] if rest else [])
    total = sum(rows) or 1
    return pd.DataFrame(
        {
            "name": names,
            "rows": rows,
            "text": [f"{count:,} ({count / total:.0%})" for count in rows],
            "color": [*([color] * len(shown)), *([QUIET_COLOR] if rest else [])],
        }
    )
