"""Models against a baseline, paired by prompt."""

from dataclasses import dataclass

import pandas as pd

from evaluation.leaderboard.repeats import median_variance
from evaluation.statistics import PairedDifference, paired_difference

NORMAL_95 = 1.96
"""Standard deviations to either side that hold 95% of a normal distribution."""


@dataclass(frozen=True)
class Comparison:
    """One model against the baseline."""

    model_key: str
    overall: PairedDifference | None
    """``None`` without a pair."""

    @property
    def pairs(self) -> int:
        """Prompts that both have answered and of which the figure is known."""
        return self.overall.difference.n if self.overall else 0


def compare(cells: pd.DataFrame, baseline_key: str, figure: str) -> list[Comparison]:
    """Every other model of ``Answers.cells`` against the baseline, in the order in which they occur."""
    others = [str(key) for key in cells["model_key"].unique() if key != baseline_key]
    return [Comparison(key, compare_two(cells, key, baseline_key, figure)) for key in others]


def compare_two(cells: pd.DataFrame, model_key: str, baseline_key: str, figure: str) -> PairedDifference | None:
    """One model against the baseline, as ``compare`` has it; ``None`` without a pair."""
    if figure not in cells:
        return None
    of_both = [
        cells.loc[cells["model_key"] == key, ["prompt_key", figure]].dropna() for key in (model_key, baseline_key)
    ]
    ours, theirs = (dict(zip(of_one["prompt_key"], of_one[figure], strict=True)) for of_one in of_both)
    shared = [prompt for prompt in ours if prompt in theirs]
    return paired_difference([ours[prompt] for prompt in shared], [theirs[prompt] for prompt in shared])


def per_prompt(cells: pd.DataFrame, baseline_key: str, figure: str) -> pd.DataFrame:
    """For a chart: ``model_key``, ``prompt_key``, ``prompt``, ``value``, ``answers``, ``baseline_value``,
    ``baseline_answers``, ``difference``, ``low``, ``high``, one row per pair. Prompts of which either value is unknown
    are no pair.

    Low and high are the 95% interval of the difference, from the spread of the repeats as if they were normal; NaN
    where there are too few of them, or where the spread was not looked at.
    """
    if figure not in cells:
        cells = cells.assign(**{figure: float("nan")})
    variance = median_variance(cells, figure) if f"{figure}_q1" in cells else float("nan")
    columns = ["model_key", "prompt_key", "prompt", "value", "answers", "variance"]
    known = cells.rename(columns={figure: "value"}).assign(variance=variance)[columns].dropna(subset="value")
    is_baseline = known["model_key"] == baseline_key
    baseline = known.loc[is_baseline, ["prompt_key", "value", "answers", "variance"]]
    baseline = baseline.rename(columns={name: f"baseline_{name}" for name in ("value", "answers", "variance")})
    pairs = known[~is_baseline].merge(baseline, on="prompt_key", how="inner", validate="many_to_one")
    difference = pairs["value"] - pairs["baseline_value"]
    reach = NORMAL_95 * (pairs.pop("variance") + pairs.pop("baseline_variance")) ** 0.5
    return pairs.assign(difference=difference, low=difference - reach, high=difference + reach)
