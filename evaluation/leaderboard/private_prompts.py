"""What somebody typed in the arena is theirs; prompts of benchmarks and publications are to be read."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

PRIVATE = "A visitor's message"
"""Stands for a prompt that was asked in the arena only."""


def without_private_prompts(rows: "pd.DataFrame", choices: "pd.DataFrame") -> "pd.DataFrame":
    """Rows with ``prompt`` and ``prompt_key``, where ``choices`` are those of ``Answers`` on the same machine."""
    told = set(choices.loc[choices["origin"] != "arena", "prompt_key"])
    return rows.assign(prompt=rows["prompt"].where(rows["prompt_key"].isin(told), PRIVATE))
