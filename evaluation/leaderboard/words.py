"""What is said about machines and about what was counted."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation.leaderboard.answers import HostFacts
from evaluation.leaderboard.board import Board
from evaluation.leaderboard.wording import counted as how_many
from evaluation.leaderboard.wording import in_words
from evaluation.models.names import distinct

if TYPE_CHECKING:
    import pandas as pd

OTHERWISE_SAID = ("failed", "warm-up")
"""Reasons for which answers are left out that are counted apart, or that no reader need know of."""

PUBLISHED_NOTE = """
Five models, three prompts, each asked **once**. A single run has no spread, so no difference between two of these times
means much by itself, and nothing here gets an interval or a verdict.

- **Cannot be concluded**: which of these models is faster. The app asked for 6 threads on 2 virtual processors, which
  get in each other's way, in ways that change from run to run; at temperature 0.7 the length of an answer is chance.
- **Not known**: time to first token, decode speed, memory, whether a time includes waiting and loading, the seed, most
  settings, and the words of all answers but those to the third prompt. They are shown as unknown.
- **Can be seen**: latency follows length. To the third prompt the base 1B took 49 s for 231 words (0.21 s per word) and
  its fine-tune 38 s for 136 (0.28 s per word): the shorter wait was not the faster model.

The times must not be ranked together with those of another machine; that is why it is a machine of its own here. Where
each figure comes from, and what stands in for the unknown, is in `results/published/README.md`.
"""


def host_names(hosts: Sequence[HostFacts], here: str | None) -> dict[str, str]:
    """A name for each machine by key, and for each address of an endpoint; ``here`` is the key of this machine."""
    engines, keys = [f"· {each.engine}" for each in hosts], [f"· {each.key}" for each in hosts]
    names = distinct([_host_name(each, here) for each in hosts], engines, keys)
    return {each.key: name for each, name in zip(hosts, names, strict=True)}


def _host_name(host: HostFacts, here: str | None) -> str:
    if host.published:
        return f"Published study, {host.cpu.split(',')[0]}"
    if host.cores is None or host.memory_bytes is None:
        return f"Endpoint {host.cpu}"
    cpu = re.sub(r"\((R|TM)\)|\b(CPU|Processor)\b|\d+-Core|@.*", "", host.cpu)
    cores = f"{host.cores:g} core{'' if host.cores == 1 else 's'}"
    name = f"{' '.join(cpu.split())}, {cores}, {host.memory_bytes / 2**30:.0f} GB"
    return f"This machine: {name}" if host.key == here else name


def counted(board: Board, cells: "pd.DataFrame") -> str:
    """How much the figures rest on: ``4 models · 43 prompts × 5 repeats · 860 answers, 2 left out (disturbed: 2)``."""
    prompts = max((row.prompts for row in board.rows), default=0)
    left_out = Counter({"failed": sum(row.failed for row in board.rows)})
    for row in board.rows:
        left_out.update({reason: count for reason, count in row.left_out.items() if reason not in OTHERWISE_SAID})
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in left_out.most_common() if count)
    return " · ".join(
        (
            how_many(len(board.rows), "model"),
            f"{'' if board.same_prompts else 'up to '}{how_many(prompts, 'prompt')} × {_repeats(cells)}",
            how_many(sum(row.answers for row in board.rows), "answer")
            + (f", {left_out.total():,} left out ({reasons})" if reasons else ""),
        )
    )


def _repeats(cells: "pd.DataFrame") -> str:
    if cells.empty:
        return "0 repeats"
    fewest, most = int(cells["answers"].min()), int(cells["answers"].max())
    return how_many(most, "repeat") if fewest == most else f"{fewest:,} to {most:,} repeats"


def settings(board: Board) -> str:
    """The sampling settings of the counted answers."""
    pairs = in_words(set().union(*(row.settings for row in board.rows)))
    return f"Different settings: {'; '.join(pairs)}" if len(pairs) > 1 else "".join(pairs)


def prompt_labels(prompts: Mapping[str, str]) -> dict[str, str]:
    """Prompts by key in one line each, no two alike: lists take entries that look alike for one."""
    keys = [f"· {key}" for key in prompts]
    return dict(zip(prompts, distinct([shortened(text) for text in prompts.values()], keys), strict=True))


def shortened(prompt: str, characters: int = 70) -> str:
    """A prompt in one line of a list."""
    line = " ".join(prompt.split())
    return line if len(line) <= characters else f"{line[: characters - 1]}…"
