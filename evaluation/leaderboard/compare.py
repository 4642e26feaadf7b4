"""Models against a baseline, paired by prompt."""

from dataclasses import dataclass

import pandas as pd

from evaluation.statistics import PairedDifference, paired_difference


@dataclass(frozen=True)
class Comparison:
    """One model against the baseline in one figure."""

    model_key: str
    baseline_key: str
    figure: str
    pairs: int
    overall: PairedDifference | None
    """``None`` without a pair."""


def compare(cells: pd.DataFrame, baseline_key: str, figure: str) -> list[Comparison]:
    """Every other model of ``Answers.cells`` against the baseline, in the order in which they occur."""
    pairs = dict(iter(per_prompt(cells, baseline_key, figure).groupby("model_key")))
    others = [str(key) for key in cells["model_key"].unique() if key != baseline_key]
    return [_comparison(key, baseline_key, figure, pairs.get(key)) for key in others]


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
    """For a chart: ``model_key``, ``prompt_key``, ``prompt``, ``value``, ``baseline_value``, ``difference``, one row
    per pair. Prompts of which either value is unknown are no pair."""
    if figure not in cells:
        cells = cells.assign(**{figure: float("nan")})
    known = cells.loc[cells[figure].notna(), ["model_key", "prompt_key", "prompt", figure]]
    known = known.rename(columns={figure: "value"})
    is_baseline = known["model_key"] == baseline_key
    baseline = known.loc[is_baseline, ["prompt_key", "value"]].rename(columns={"value": "baseline_value"})
    pairs = known[~is_baseline].merge(baseline, on="prompt_key", how="inner", validate="many_to_one")
    return pairs.assign(difference=pairs["value"] - pairs["baseline_value"])


def _comparison(key: str, baseline_key: str, figure: str, pairs: pd.DataFrame | None) -> Comparison:
    if pairs is None:
        return Comparison(key, baseline_key, figure, 0, None)
    overall = paired_difference(list(pairs["value"]), list(pairs["baseline_value"]))
    return Comparison(key, baseline_key, figure, len(pairs), overall)
