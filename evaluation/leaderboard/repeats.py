"""Whether answering the same prompts again would tell more, or only other prompts would."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

FEWEST_REPEATS = 3
"""With fewer the quartiles say nothing on the noise."""
QUARTILES = 1.349
"""Distance of a normal distribution's quartiles, in standard deviations."""


def would_repeats_tell(cells: "pd.DataFrame", figure: str, model_key: str, baseline_key: str) -> str:
    """A sentence that begins with a space, or nothing where the answers do not show it."""
    if figure == "bits_per_byte":
        return " Repeats would not help: an answer loss comes out the same each time."
    share = noise_share(cells, figure, model_key, baseline_key)
    if share is None:
        return ""
    if share < 0.5:
        return " More repeats of the same prompts would not tell: the prompts differ more than their repeats."
    return " More repeats of the same prompts would help, too: much of the spread lies between the repeats."


def noise_share(cells: "pd.DataFrame", figure: str, model_key: str, baseline_key: str) -> float | None:
    """How much of the variance of a latency's paired differences is chance between the repeats; ``None`` when unknown.

    The median of ``k`` repeats has the variance ``π/2 × σ² / k`` (of normal noise), and σ is seen in their quartiles.
    All spreads are taken from quartiles.
    """
    if f"{figure}_q1" not in cells:
        return None
    tables = [cells[cells["model_key"] == key].set_index("prompt_key") for key in (model_key, baseline_key)]
    ours, theirs = (table[table[figure].notna() & table[f"{figure}_q1"].notna()] for table in tables)
    ours, theirs = ours.loc[ours.index.isin(theirs.index)], theirs.loc[theirs.index.isin(ours.index)]
    if ours.empty or min(ours["answers"].median(), theirs["answers"].median()) < FEWEST_REPEATS:
        return None
    differences = ours[figure] - theirs[figure].loc[ours.index]
    low, high = (float(each) for each in np.quantile(differences, [0.25, 0.75]))
    if not high > low:
        return None
    noise = float((median_variance(ours, figure) + median_variance(theirs, figure).loc[ours.index]).median())
    return min(1.0, noise / ((high - low) / QUARTILES) ** 2)


def median_variance(cells: "pd.DataFrame", figure: str) -> "pd.Series":
    """Variance of each cell's median over its repeats; NaN where there are fewer than ``FEWEST_REPEATS``."""
    deviation = (cells[f"{figure}_q3"] - cells[f"{figure}_q1"]) / QUARTILES
    return (math.pi / 2 * deviation**2 / cells["answers"]).where(cells["answers"] >= FEWEST_REPEATS)
