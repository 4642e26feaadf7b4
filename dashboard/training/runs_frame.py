"""The list of runs as a table for Streamlit: its columns, what each means, and its cells."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pandas as pd
import streamlit as st

from dashboard.times import MINUTE_S, local_clock
from dashboard.training.looks import LOOKS
from evaluation.models.names import LONGEST_NAME, display_name
from evaluation.runs.checked import as_number
from evaluation.runs.listing import RunSummary
from training.runlog import Run

LATEST_S = 32_503_680_000
"""The year 3000: a time after it, or before 1970, is none."""
COLOR = "color"


def moment(seconds_utc: float | None) -> float | None:
    """The time, when a calendar has it."""
    return seconds_utc if seconds_utc is not None and 0 <= seconds_utc < LATEST_S else None


def origin(summary: RunSummary) -> str | None:
    """Where the run comes from, when it was not trained here."""
    if summary.read_only or summary.run.origin == "published":
        return "published"
    return "imported" if summary.run.origin == "imported" else None


def status(summary: RunSummary) -> str:
    """``finished``, ``failed, since 14:05``; with where it comes from, and whether it was put aside."""
    run = summary.run
    parts = (LOOKS[run.status].listed + since(run), origin(summary), "archived" if run.archived else None)
    return " · ".join(filter(None, parts))


def since(run: Run) -> str:
    """Since when a run is dead, to go on from a word: ``, since 14:05``; nothing of one that is not, or unknown."""
    ended_at = moment(run.ended_at)
    return (
        f", since {local_clock(ended_at)}" if run.status in ("interrupted", "failed") and ended_at is not None else ""
    )


def matches(summary: RunSummary, words: Sequence[str]) -> bool:
    """Whether each of these lower-case words occurs in the run's name, base, status or data."""
    run = summary.run
    about = (run.name, run.base.model if run.base else "", status(summary), run.data.name if run.data else "", run.id)
    text = "\n".join(about).casefold()
    return all(word in text for word in words)


def frame(runs: Sequence[RunSummary], chosen: Collection[str], colors: Mapping[str, str]) -> pd.DataFrame:
    """A row per run; unknown is missing."""

    def numbers(values: Sequence[Any]) -> pd.Series:
        return pd.Series([_number(value) for value in values], dtype="float64")

    return pd.DataFrame(
        {
            COLOR: [_swatch(colors[each.run.id]) if each.run.id in chosen else "" for each in runs],
            "name": [" ".join(each.run.name.split())[:LONGEST_NAME] for each in runs],
            "status": [status(each) for each in runs],
            "base": [display_name(None, each.run.base.model) if each.run.base else None for each in runs],
            "rank": numbers([each.setting("lora", "rank") for each in runs]),
            "steps": numbers([each.steps_done for each in runs]),
            "asked": numbers([each.run.steps for each in runs]),
            "rows": numbers([each.run.data.train_rows if each.run.data else None for each in runs]),
            "final": numbers([each.final_loss for each in runs]),
            "best": numbers([each.best_loss for each in runs]),
            "held_out": numbers([each.held_out_loss for each in runs]),
            "duration": numbers([each.duration_s for each in runs]) / MINUTE_S,
            "tok_s": numbers([each.tok_s for each in runs]),
            "method": [each.run.method for each in runs],
            "started": pd.to_datetime(
                numbers([moment(each.run.started_at) for each in runs]), unit="s", utc=True
            ).dt.floor("s"),
        }
    )


def columns() -> dict[str, Any]:
    """How Streamlit shows each column, with what its figure means."""
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    return {
        COLOR: st.column_config.ImageColumn("", width=20, pinned=True, help="The color of the run's line."),
        "name": text("Name", width=150, pinned=True, help="As its recipe calls it, or as it was renamed."),
        "status": text(
            "Status",
            width=150,
            help="Running, finished, interrupted (by somebody, or because its process died) or failed, since when; "
            "imported from another program's log; published: comes along with the project.",
        ),
        "base": text("Base", width=150, help="The model that was fine-tuned."),
        "rank": number("Rank", width=55, format="%d", help="Rank of the LoRA adapter."),
        "steps": number("Steps", width=52, format="localized", help="Optimizer steps done."),
        "asked": number("Of", width=52, format="localized", help="Optimizer steps that its recipe asks for."),
        "rows": number("Rows", width=60, format="localized", help="Conversations trained on, filters applied."),
        "final": number(
            "Final loss",
            width=74,
            format="%.3f",
            help="Training loss at the last step, of the smoothed line, as a single step is mostly noise. Nats per "
            "token of the answers: minus the natural logarithm of the chance that the model gave to the right token, "
            "on average. 0 is certainty, 0.69 a chance of one half, 2.3 one of a tenth.",
        ),
        "best": number("Best loss", width=74, format="%.3f", help="Lowest value of the smoothed line of training."),
        "held_out": number(
            "Held-out loss",
            width=98,
            format="%.3f",
            help="Loss on rows that were not trained on, at the last evaluation. Only runs with the same held-out rows "
            "and the same tokenizer compare.",
        ),
        "duration": number(
            "Minutes", width=70, format="%.1f", help="Training time; pauses before a resume are left out."
        ),
        "tok_s": number("Tokens/s", width=75, format="%.0f", help="Tokens trained on per second, median of the steps."),
        "method": text("Method", width=70, help="How it was fine-tuned, for example by LoRA."),
        "started": st.column_config.DatetimeColumn(
            "Started",
            width=150,
            format="D MMM YYYY, HH:mm",
            timezone=st.context.timezone or "UTC",
            help="In your time zone.",
        ),
    }


def _number(value: Any) -> float:
    """NaN for what is no number, or one that no table can hold."""
    found = as_number(value)
    return math.nan if found is None else found


def _swatch(color: str) -> str:
    square = f'<rect width="16" height="16" rx="3" fill="{color}"/>'
    picture = f'<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16">{square}</svg>'
    return f"data:image/svg+xml,{quote(picture)}"
