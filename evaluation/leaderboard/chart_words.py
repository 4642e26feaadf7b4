"""What is said beside the charts of a leaderboard: what their marks mean, and how each model compares (Markdown)."""

import pandas as pd

from evaluation.leaderboard.board import Board
from evaluation.leaderboard.compare import Comparison
from evaluation.leaderboard.figures import Figure, shown_interval
from evaluation.leaderboard.view import View
from evaluation.leaderboard.wording import bold, counted, direction, prompts_needed
from evaluation.statistics import FEWEST, Interval

LATENCY = (
    "Colored: median latency, pale until the first token, full while decoding, one shade where the parts are not "
    "known. Gray: median words. A slow model has the longer colored bar, a talkative one has both long."
)


def quality(board: Board) -> str:
    """Of ``pareto_chart``."""
    front = (
        "The dashed line joins the models that by their medians no other one beats in both"
        if board.same_prompts
        else "The models have not all answered the same prompts, so no line says which of them nothing beats"
    )
    return (
        f"Better is to the left and below. {front}; lines through a point are its intervals, its area is the peak "
        "memory."
    )


def differences(shown: pd.DataFrame, total: int) -> str:
    """Of ``differences_chart``, which draws the pairs ``shown`` out of so many."""
    repeated = " The thin line through a point is the interval by its repeats." if shown["low"].notna().any() else ""
    return (
        "A point per prompt, right of the line where the model's figure is larger than the baseline's."
        f"{repeated} The diamond is the median difference, the bar through it the 95% interval."
        f"{drawn(len(shown), total, 'pairs')}"
    )


def length(view: View, known: int, draw: int) -> str:
    """Of ``length_chart``, which draws so many ``known`` answers out of a ``draw`` from all."""
    total = sum(row.answers for row in view.measured.board.rows)
    unknown = f" Left out, as their words or latency are unknown: {draw - known:,}." if known < draw else ""
    return (
        "A point per answer. Points on one line through the corner have the same speed: further out is longer, steeper "
        f"is slower.{drawn(draw, total, 'answers')}{unknown}"
    )


def drawn(count: int, total: int, things: str) -> str:
    """That a chart does not show all of them; nothing when it does."""
    return f" An even draw of {count:,} from {total:,} {things}." if count < total else ""


def compared(view: View, comparison: Comparison, figure: Figure) -> str:
    """How a model differs from the baseline in a figure."""
    name = bold(view.labels[comparison.model_key])
    pair = comparison.overall
    if pair is None:
        return f"{name}: no prompt in common."
    difference = shown_interval(figure, pair.difference)
    sign = "+" if pair.difference.median > 0 else ""
    text = f"{name}: {sign}{difference}, {counted(pair.difference.n, 'prompt')}"
    if pair.told_apart is None:
        return f"{text}; fewer than {FEWEST}, so no verdict."
    if direction(pair):
        return f"{text}{_ratio(pair.ratio)}."
    return f"{text}; **not told apart yet**. {prompts_needed(pair)}"


def _ratio(ratio: Interval | None) -> str:
    if ratio is None or ratio.low is None or ratio.high is None:
        return ""
    return f"; {ratio.median:.2f} times the baseline ({ratio.low:.2f}–{ratio.high:.2f})"
