"""The figures of the leaderboard: names, units, which way is better, definitions; one place for all who show them."""

import math
from dataclasses import dataclass

from evaluation.statistics import Interval


@dataclass(frozen=True)
class Figure:
    """One column."""

    key: str
    """Column of the frames and key of ``Row.figures``."""
    label: str
    unit: str
    better: int
    """-1: less is better; 1: more is better; 0: neither."""
    digits: int
    definition: str
    shown: bool = True
    """Whether the table shows it unless asked otherwise."""
    scale: float = 1.0
    """Shown value = stored value × this."""


FIGURES: tuple[Figure, ...] = (
    Figure("latency_s", "Latency", "s", -1, 2, "Busy seconds from the prompt to the last token."),
    Figure(
        "latency_150_s",
        "Latency at 150 words",
        "s",
        -1,
        2,
        "Time to first token + 150 × the answer's tokens per word / its decode speed: what is left of latency when all "
        "answers have one length.",
    ),
    Figure(
        "time_to_first_token_s",
        "Time to first token",
        "s",
        -1,
        2,
        "Busy seconds until the first token, nothing of the prompt reused.",
    ),
    Figure(
        "decode_tok_s",
        "Decode speed",
        "tok/s",
        1,
        1,
        "(Tokens of the answer − 1) / busy seconds from the first to the last token.",
    ),
    Figure("prompt_tok_s", "Prompt speed", "tok/s", 1, 0, "Tokens of the prompt / busy seconds to the first token."),
    Figure("words", "Words", "words", 0, 0, "Words of an answer, split at white space."),
    Figure("seconds_per_word", "Seconds per word", "s", -1, 3, "Latency / words."),
    Figure("load_s", "Load time", "s", -1, 2, "Starting the model's process and loading it from disk."),
    Figure("peak_memory_bytes", "Peak memory", "MB", -1, 0, "Largest resident set of the model's process.", scale=1e-6),
    Figure("size_bytes", "File size", "MB", -1, 0, "Size of the files: base and adapter.", scale=1e-6),
    Figure(
        "bits_per_byte",
        "Bits per byte",
        "bits/byte",
        -1,
        3,
        "How unlikely the model finds the reference answers, per byte of their text; less is better, and tokenizers do "
        "not matter.",
    ),
    Figure(
        "answer_loss_nats",
        "Answer loss",
        "nats/token",
        0,
        3,
        "The same per token: comparable between models with one tokenizer only.",
        shown=False,
    ),
    Figure("sentences", "Sentences", "", 0, 0, "Sentences of an answer.", shown=False),
    Figure(
        "ended",
        "Ended by itself",
        "%",
        0,
        0,
        "Mean share of answers that were not cut at max tokens.",
        False,
        scale=100,
    ),
    Figure("repeated_4grams", "Repeated", "%", -1, 0, "Share of runs of four words that occurred before.", False, 100),
    Figure("markdown", "Markdown", "%", 0, 0, "Share of lines that carry Markdown.", False, scale=100),
)
BY_KEY = {figure.key: figure for figure in FIGURES}


def shown(figure: Figure, value: float | None) -> str:
    """A value as table, charts and words show it, for example ``1.84 s``; ``–`` when it is unknown."""
    if value is None or math.isnan(value):
        return "–"
    return _with_unit(figure, _digits(figure, value))


def shown_interval(figure: Figure, interval: Interval | None) -> str:
    """Median and interval, for example ``1.84 s (1.79–1.90)``; without an interval the median alone."""
    if interval is None or interval.low is None or interval.high is None:
        return shown(figure, interval.median if interval else None)
    return f"{shown(figure, interval.median)} ({shown_range(figure, interval.low, interval.high)})"


def shown_range(figure: Figure, low: float, high: float) -> str:
    """From where to where, without the unit: ``1.79–1.90``, and ``−0.05 to 0.03`` with a sign in it."""
    ends = _digits(figure, low), _digits(figure, high)
    return (" to " if "−" in "".join(ends) else "–").join(ends)


def _digits(figure: Figure, value: float) -> str:
    text = f"{value * figure.scale:,.{figure.digits}f}"
    return text.replace("-", "−") if any(digit in text for digit in "123456789") else text.removeprefix("-")


def _with_unit(figure: Figure, number: str) -> str:
    if figure.unit == "%":
        return f"{number}%"
    unit = "word" if figure.unit == "words" and number == "1" else figure.unit
    return f"{number} {unit}".rstrip()
