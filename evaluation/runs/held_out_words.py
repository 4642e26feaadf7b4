"""What to say of the loss on held-out rows, and of losses that are no numbers (Markdown)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.leaderboard.wording import counted
from evaluation.runs.number_words import number

HARDLY = 0.01
"""A change by less than this share of the loss is not worth a word."""
CLEARLY = 4.0
"""A fall is clear when it is so many times the largest rise from one evaluation to the next."""
FEWEST_EVALUATIONS = 3
FEW_ROWS = 30
"""Of fewer rows it is said that other ones may tell something else."""


def held_out_sentence(held_out: pd.DataFrame, rows: int | None) -> str | None:
    """From what to what it went, and whether an earlier step was better; ``None`` without an evaluation.

    ``held_out``: columns ``step`` and ``loss``, steps ascending, as ``RunLog.held_out``. ``rows``: how many rows each
    of the evaluations measured, always the same ones; ``None`` where that is not known, as of imported logs.
    """
    known = _known(held_out)
    missing = len(held_out) - len(known)
    said = [_of(known["step"].to_numpy(dtype=int), known["loss"].to_numpy(dtype=float), rows)] if len(known) else []
    if missing:
        said.append(f"{counted(missing, 'evaluation')} on the held-out rows gave no finite loss.")
    return " ".join(said) or None


def fell_clearly(held_out: pd.DataFrame, rows: int | None) -> bool:
    """Whether the loss on the same rows is in the end lower than at first, by far more than it went up in between.

    Arguments as of ``held_out_sentence``. Not said of fewer than three evaluations, of unknown rows, or where a loss is
    no finite number.
    """
    losses = held_out["loss"].to_numpy(dtype=float)
    if rows is None or len(losses) < FEWEST_EVALUATIONS or not np.isfinite(losses).all():
        return False
    rise = max(0.0, float(np.diff(losses).max()))
    return bool(losses[0] - losses[-1] > max(HARDLY * abs(losses[0]), CLEARLY * rise))


def _known(held_out: pd.DataFrame) -> pd.DataFrame:
    known: pd.DataFrame = held_out[np.isfinite(held_out["loss"].to_numpy(dtype=float))]
    return known


def _of(steps: NDArray[np.int64], losses: NDArray[np.float64], rows: int | None) -> str:
    where = "held-out rows" if rows is None else f"the {counted(rows, 'held-out row')}"
    if len(losses) == 1:
        return f"On {where} the loss was {number(losses[0], 3)} at step {steps[0]:,}, the only time it was measured."
    same = "" if rows is None else ", the same ones each time and so without the noise of batches,"
    first, last = (f"{number(losses[place], 3)} (step {steps[place]:,})" for place in (0, -1))
    return f"On {where}{same} the loss went from {first} to {last}{_course(steps, losses)}{_few(rows)}"


def _course(steps: NDArray[np.int64], losses: NDArray[np.float64]) -> str:
    """How it came there, for the rest of the sentence; only the evaluated steps are known."""
    best = int(losses.argmin())
    highest = best + int(losses[best:].argmax())
    lowest, risen = float(losses[best]), float(losses[-1] - losses[best])
    if best == len(losses) - 1:
        return f", the lowest of {len(losses):,} evaluations."
    if risen > HARDLY * abs(lowest) and not best:
        return (
            ", and at no evaluation was it below where it began: **it became worse** on these rows. A lower learning "
            "rate or fewer steps may help."
        )
    found = f"; its lowest was {number(lowest, 3)} at step {steps[best]:,}"
    if risen > HARDLY * abs(lowest):
        return (
            f"{found}, and it has risen since by {number(risen, 3)}, **a sign of overfitting**: the run may learn its "
            f"rows by heart. Of the evaluated steps, step {steps[best]:,} had the best model; fewer steps or more rows "
            "may help."
        )
    if losses[highest] - lowest > HARDLY * abs(lowest):
        between = f"it was up to {number(losses[highest], 3)} at step {steps[highest]:,} in between"
        return f"{found}, and {between}." if best else f"; {between}."
    return f"{found}, and it has hardly changed since." if best else ": it hardly changed."


def _few(rows: int | None) -> str:
    return "" if rows is None or rows >= FEW_ROWS else " So few rows tell little."


def diverged_sentence(diverged_steps: NDArray[np.int64]) -> str | None:
    """Of training steps whose loss is NaN or infinite; ``None`` when there are none."""
    count = len(diverged_steps)
    if not count:
        return None
    first = f"step {int(diverged_steps[0]):,}"
    where = f"At {first}" if count == 1 else f"At {count:,} steps, the first of them {first},"
    return (
        f"{where} the loss was no finite number: **the run diverged**. These steps are left out here. Try a lower "
        "learning rate or more warm-up steps."
    )
