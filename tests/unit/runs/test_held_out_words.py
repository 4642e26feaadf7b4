"""What is said of held-out losses and of a run that diverged."""

import math

import numpy as np
import pandas as pd
import pytest

from evaluation.runs.held_out_words import diverged_sentence, fell_clearly, held_out_sentence
from evaluation.runs.logs import RunLogs
from evaluation.settings import PUBLISHED_DIR


def evaluated(*losses: float) -> pd.DataFrame:
    """Before the first step and then every 20 steps."""
    return pd.DataFrame({"step": 20 * np.arange(len(losses)), "loss": losses})


def said(*losses: float, rows: int | None = 60) -> str | None:
    return held_out_sentence(evaluated(*losses), rows)


@pytest.mark.parametrize(
    ("losses", "parts", "not_said"),
    [
        ((2.5,), ["2.500 at step 0, the only time"], "overfitting"),
        ((2.5, 2.0, 1.8), ["from 2.500 (step 0) to 1.800 (step 40), the lowest of 3 evaluations"], "overfitting"),
        (
            (2.5, 1.5, 1.7),
            [
                "lowest was 1.500 at step 20",
                "risen since by 0.200, **a sign of overfitting**",
                "Of the evaluated steps",
            ],
            "?",
        ),
        ((2.5, 1.5, 1.512), ["lowest was 1.500 at step 20", "hardly changed since"], "overfitting"),
        ((2.5, 1.5, 3.0, 1.502), ["lowest was 1.500 at step 20", "was up to 3.000 at step 40"], "hardly"),
        ((1.5, 1.7), ["**it became worse** on these rows"], "overfitting"),
        ((1.5, 1.508), ["it hardly changed"], "worse"),
        ((1.5, 1.5), ["it hardly changed"], "lowest"),
        ((1.5, 3.0, 1.502), ["was up to 3.000 at step 20"], "hardly"),
        ((1e300, 2e300), ["1.00e+300 (step 0) to 2.00e+300"], "000000"),
        ((2.5, math.nan, 1.5), ["from 2.500 (step 0) to 1.500 (step 40)", "1 evaluation on", "no finite loss"], "nan"),
    ],
)
def test_held_out_loss(losses: tuple[float, ...], parts: list[str], not_said: str) -> None:
    """From what to what, the lowest and where, and a warning only when it really rose again."""
    words = said(*losses)
    assert words and all(part in words for part in parts) and not_said not in words
    assert len(losses) == 1 or "the same ones each time" in words


def test_nothing_is_claimed_of_rows_that_are_not_known() -> None:
    """Of an imported log nobody knows whether each evaluation had the same rows; of a few rows little can be said."""
    words = said(2.5, 1.5, 1.7, rows=None)
    assert words and words.startswith("On held-out rows the loss went from 2.500") and "same" not in words
    few, many = said(2.5, 1.5, 1.7, rows=12), said(2.5, 1.5, 1.7, rows=600)
    assert few and "the 12 held-out rows" in few and few.endswith("So few rows tell little.")
    assert many and "So few" not in many


def test_the_projects_own_run() -> None:
    """From what to what it went, on how many rows."""
    folder = next((PUBLISHED_DIR / "runs").glob("r16-2026*"))
    words = held_out_sentence(RunLogs().read([folder])[folder].held_out, 60)
    assert words == (
        "On the 60 held-out rows, the same ones each time and so without the noise of batches, the loss went from "
        "2.787 (step 0) to 2.519 (step 60), the lowest of 4 evaluations."
    )


@pytest.mark.parametrize(
    ("losses", "rows", "fell"),
    [
        ((2.787, 2.629, 2.544, 2.519), 60, True),
        ((2.787, 2.629, 2.544, 2.519), None, False),
        ((2.787, 2.519), 60, False),
        ((2.787, 2.629, 2.544, math.nan), 60, False),
        ((2.787, 2.786, 2.785), 60, False),
        ((2.8, 2.4, 2.5, 2.3, 2.35), 60, True),
        ((2.8, 2.4, 2.7, 2.6), 60, False),
        ((2.5, 2.6, 2.7), 60, False),
    ],
)
def test_a_clear_fall(losses: tuple[float, ...], rows: int | None, fell: bool) -> None:
    """At least three evaluations of known rows, falling throughout or by several times what it rose in between."""
    assert fell_clearly(evaluated(*losses), rows) is fell


def test_nothing_measured() -> None:
    assert said() is None and diverged_sentence(np.array([], dtype=int)) is None


def test_diverged() -> None:
    """How many steps, and the first of them."""
    words = diverged_sentence(np.array([1200, 1201]))
    assert words and words.startswith("At 2 steps, the first of them step 1,200,") and "**the run diverged**" in words
