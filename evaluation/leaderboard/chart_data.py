"""What the charts show, as tables: from a view to data frames in the units that people read."""

import pandas as pd

from evaluation.leaderboard.board import PER_LOAD, pareto_front
from evaluation.leaderboard.compare import Comparison, compare, per_prompt
from evaluation.leaderboard.figures import BY_KEY, FIGURES, Figure
from evaluation.leaderboard.view import View
from evaluation.leaderboard.words import shortened
from evaluation.statistics import Interval

QUALITY = "bits_per_byte"
MOST_POINTS = 2_000
"""More than that hide each other, and the browser draws them slowly."""


def latency_rows(view: View) -> pd.DataFrame:
    """For ``latency_chart``, from medians: the bar ends at the median latency, its pale part at the median time to
    first token. Models without a known latency are absent."""
    rows = []
    for row in view.measured.board.rows:
        latency, first = _median(row.figures, "latency_s"), _median(row.figures, "time_to_first_token_s")
        if pd.notna(latency):
            known = pd.notna(first)
            rows.append(
                {
                    "pane": view.labels[row.model_key],
                    "color": view.colors[row.model_key],
                    "prompt_s": first,
                    "decode_s": max(0.0, latency - first) if known else latency,
                    "words": _median(row.figures, "words"),
                }
            )
    return pd.DataFrame(rows, columns=["pane", "color", "prompt_s", "decode_s", "words"])


def pareto_rows(view: View, cost: str) -> pd.DataFrame:
    """For ``pareto_chart``: the models of which both figures are known. Medians of different prompts have no front."""
    board = view.measured.board
    front = pareto_front(board, cost, QUALITY) if board.same_prompts else ()
    rows = [
        {
            "label": view.labels[row.model_key],
            "color": view.colors[row.model_key],
            **_bounds("cost", row.figures[cost], BY_KEY[cost]),
            **_bounds("quality", row.figures[QUALITY], BY_KEY[QUALITY]),
            "memory_mb": _median(row.figures, "peak_memory_bytes") / 1e6,
            "front": row.model_key in front,
        }
        for row in board.rows
        if cost in row.figures and QUALITY in row.figures
    ]
    return pd.DataFrame(rows)


def costs(view: View) -> list[str]:
    """The latencies that are known of a model with a known quality, the fairest first."""
    rows = [row.figures for row in view.measured.board.rows if QUALITY in row.figures]
    return [key for key in ("latency_150_s", "latency_s") if any(key in figures for figures in rows)]


def comparable_figures(view: View) -> list[str]:
    """Figures that are known per prompt, the fairest first."""
    cells = view.measured.cells
    keys = [figure.key for figure in FIGURES if figure.key in cells and cells[figure.key].notna().any()]
    return sorted((key for key in keys if key not in PER_LOAD), key=lambda key: key != "latency_150_s")


def differences(view: View, baseline: str, figure: str) -> tuple[pd.DataFrame, pd.DataFrame, list[Comparison]]:
    """For ``differences_chart``, which takes a ``sample``: a row per pair and a row per model, in the figure's shown
    unit; and the comparisons in the order of the board."""
    cells, scale = view.measured.cells, BY_KEY[figure].scale
    order = list(view.labels)
    found = sorted(compare(cells, baseline, figure), key=lambda each: order.index(each.model_key))
    pairs = per_prompt(cells, baseline, figure)
    scaled = ("value", "baseline_value", "difference", "low", "high")
    pairs = pairs.assign(
        label=pairs["model_key"].map(view.labels),
        color=pairs["model_key"].map(view.colors),
        prompt=pairs["prompt"].map(shortened),
        **{column: pairs[column] * scale for column in scaled},
    )
    overall = pd.DataFrame(
        [
            {
                "label": view.labels[each.model_key],
                "color": view.colors[each.model_key],
                **_bounds("", each.overall.difference, BY_KEY[figure]),
                "n": each.pairs,
            }
            for each in found
            if each.overall
        ]
    )
    return pairs, overall, found


def sample(pairs: pd.DataFrame) -> pd.DataFrame:
    """As many as a chart can bear, the same ones each time."""
    return pairs if len(pairs) <= MOST_POINTS else pairs.sample(MOST_POINTS, random_state=0)


def length_rows(view: View) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """For ``length_chart``: the answers whose words and latency are known, and the models that wrote them; and how many
    answers were drawn, with those of which one of the two is unknown."""
    drawn = view.answers.points(view.selection, limit=MOST_POINTS)
    points = drawn.dropna(subset=["words", "latency_s"])
    points = points.assign(label=points["model_key"].map(view.labels), prompt=points["prompt"].map(shortened))
    wrote = [key for key in view.labels if key in set(points["model_key"])]
    models = pd.DataFrame({"label": [view.labels[key] for key in wrote], "color": [view.colors[key] for key in wrote]})
    return points, models, len(drawn)


def _bounds(name: str, interval: Interval, figure: Figure) -> dict[str, float]:
    ends = {"median": interval.median, "low": interval.low, "high": interval.high}
    scaled = {end: float("nan") if value is None else value * figure.scale for end, value in ends.items()}
    if not name:
        return scaled
    return {name: scaled["median"], f"{name}_low": scaled["low"], f"{name}_high": scaled["high"]}


def _median(figures: dict[str, Interval], key: str) -> float:
    """NaN when it is unknown."""
    return figures[key].median if key in figures else float("nan")
