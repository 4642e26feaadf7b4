"""Two runs that learned from the same batches: their losses compared step by step, most of the noise cancels out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.leaderboard.wording import bold, counted, listed
from evaluation.runs.caveats import inline
from evaluation.runs.facts import facts, label
from evaluation.runs.follows import BASE, FILE, HASH, PER_STEP, SEED, by_key, per_step, same
from evaluation.runs.listing import RunSummary
from evaluation.runs.logs import RunLog
from evaluation.runs.noise import autocorrelated_mean_interval
from evaluation.runs.number_words import decimals, number
from evaluation.statistics import Interval

LOG_EVERY, MAX_LENGTH, CUT = "training.log_every", "base.max_length", "card.truncated"
NEEDED = (BASE, HASH, SEED, *PER_STEP, MAX_LENGTH, LOG_EVERY)


@dataclass(frozen=True, eq=False)
class Paired:
    """The second run's loss − the first's, at the steps where both saw the same batch."""

    steps: pd.DataFrame
    """Columns ``step``, ``first``, ``second``, ``difference`` (nats per token)."""
    overall: Interval | None
    late: Interval | None
    """Over the last half of these steps."""


def why_not_paired(first: RunSummary, second: RunSummary, first_log: RunLog, second_log: RunLog) -> str | None:
    """Why the two did not see the same batches, as a sentence; ``None`` when they did."""
    values = by_key([facts(first.run), facts(second.run)])
    missing = [inline(label(key)) for key in NEEDED if None in values.get(key, (None,))]
    if missing:
        return f"What decides the batches is not recorded for both: {listed(missing)}."
    if not same(values[BASE]) and not same(values.get(FILE, (None,))):
        return "Their base models differ and may cut text into other tokens, so no loss per token need be comparable."
    if not same(values[HASH]):
        return "They learned from other rows, so no step of theirs saw the same batch."
    if not same(values[SEED]):
        return "Their seeds differ, so the rows came in another order."
    sizes = per_step(values)
    if sizes is None or len(set(sizes)) > 1:
        return "Their steps hold different numbers of conversations, so no step saw the same batch."
    if not same(values[MAX_LENGTH]) and set(values.get(CUT, (None,))) != {"0"}:
        return "Their conversations were cut at different lengths, so no step need have seen the same batch."
    if not same(values[LOG_EVERY]):
        return "A line of their logs stands for different numbers of steps."
    parted = _first_other_batch(first_log, second_log)
    if parted is None:
        return None
    return f"Their token counts part at step {parted:,}, so their batches were not the same."


def paired(first: RunLog, second: RunLog) -> Paired | None:
    """Of logs that ``why_not_paired`` lets pass. ``None`` when they have no step with finite losses in common."""
    both = _both(first, second, "loss")
    finite = both[np.isfinite(both["first"]) & np.isfinite(both["second"])].reset_index(drop=True)
    if finite.empty:
        return None
    steps = finite.assign(difference=finite["second"] - finite["first"])
    differences = steps["difference"].to_numpy(np.float64)
    late = differences[len(differences) // 2 :]
    return Paired(steps, autocorrelated_mean_interval(differences), autocorrelated_mean_interval(late))


def sentence(paired: Paired, first_name: str, second_name: str) -> str:
    """What it says, Markdown. The names are plain text."""
    first, second = bold(first_name), bold(second_name)
    where = f"At the {counted(len(paired.steps), 'step')} where both saw the same batch"
    overall, late = paired.overall, paired.late
    if not paired.steps["difference"].any():
        return f"{where}, the losses of {first} and {second} are the same."
    if overall is None or overall.low is None or overall.high is None:
        mean = f" (mean difference {_short(overall.median)} nats per token)" if overall else ""
        return f"{where}, {second} and {first} cannot be told apart: there are too few{mean}."
    size = f"by {_size(overall)} nats per token on average ({_range(overall)})"
    text = (
        f"{where}, {second}'s loss is **{_direction(overall)}** than {first}'s {size}"
        if _direction(overall)
        else f"{where}, {second} and {first} **cannot be told apart**: their losses differ {size}"
    )
    return f"{text}{_late(overall, late)}."


def _late(overall: Interval, late: Interval | None) -> str:
    if late is None or late.low is None or late.high is None:
        return ""
    if not _direction(late):
        return "" if not _direction(overall) else "; over the last half alone they cannot be told apart"
    amount = f"by {_size(late)} over the last half ({_range(late)})"
    return f", {amount}" if _direction(late) == _direction(overall) else f"; it is {_direction(late)} {amount}"


def _direction(interval: Interval) -> str:
    if interval.low is None or interval.high is None or interval.low <= 0 <= interval.high:
        return ""
    return "lower" if interval.median < 0 else "higher"


def _size(interval: Interval) -> str:
    """Without a sign where the direction is said in words."""
    return _short(abs(interval.median)) if _direction(interval) else _short(interval.median)


def _range(interval: Interval) -> str:
    low, high = float(interval.low or 0), float(interval.high or 0)
    if not _direction(interval):
        return f"{_short(low)} to {_short(high)}"
    nearest, furthest = sorted((abs(low), abs(high)))
    return f"{_short(nearest)} to {_short(furthest)}"


def _short(value: float) -> str:
    """Thousandths, and more of what is smaller."""
    return number(value, max(3, decimals(value)))


def _first_other_batch(first: RunLog, second: RunLog) -> int | None:
    """The first step after which the two had read different numbers of tokens, where both logs tell."""
    both = _both(first, second, "tokens").dropna()
    other = both.loc[both["first"] != both["second"], "step"]
    return None if other.empty else int(other.iloc[0])


def _both(first: RunLog, second: RunLog, column: str) -> pd.DataFrame:
    """Columns ``step``, ``first``, ``second``: this metric at the steps that both logs have."""
    mine, other = (log.train[["step", column]] for log in (first, second))
    return mine.rename(columns={column: "first"}).merge(other.rename(columns={column: "second"}), on="step")
