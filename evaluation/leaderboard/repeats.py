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
    """How much of the variance of a time's paired differences is chance between the repeats; ``None`` when unknown.

    The median of ``k`` repeats has the variance ``π/2 × σ² / k`` (of normal noise), and σ is seen in the quartiles of
    latency; another time is taken to be as noisy in proportion. All spreads are taken from quartiles.
    """
    tables = [cells[cells["model_key"] == key].set_index("prompt_key") for key in (model_key, baseline_key)]
    ours, theirs = (table[table[figure].notna() & table["latency_low_s"].notna()] for table in tables)
    ours, theirs = ours.loc[ours.index.isin(theirs.index)], theirs.loc[theirs.index.isin(ours.index)]
    if ours.empty or min(ours["answers"].median(), theirs["answers"].median()) < FEWEST_REPEATS:
        return None
    differences = ours[figure] - theirs[figure].loc[ours.index]
    low, high = (float(each) for each in np.quantile(differences, [0.25, 0.75]))
    if not high > low:
        return None
    noise = float((_noise(ours, figure) + _noise(theirs, figure).loc[ours.index]).median())
    return min(1.0, noise / ((high - low) / QUARTILES) ** 2)


def _noise(cells: "pd.DataFrame", figure: str) -> "pd.Series":
    """Variance of each prompt's median."""
    deviation = (cells["latency_high_s"] - cells["latency_low_s"]) / QUARTILES * cells[figure] / cells["latency_s"]
    return math.pi / 2 * deviation**2 / cells["answers"]
