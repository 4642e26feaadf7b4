"""In which settings two fine-tunes differ, as far as their runs tell."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from training.runlog import Run

_NOT_LEARNED_FROM = (
    "name",
    "description",
    "evaluation.",
    "training.log_every",
    "training.save_every",
    "training.backend",
)
"""What a recipe says that does not change the adapter."""
_STATED = re.compile(r"rank (\d+), (\d+) steps")


@dataclass(frozen=True)
class Settings:
    """How an adapter was trained."""

    rank: int
    steps: int
    alpha: float | None
    others: Mapping[str, object]
    """Dotted key -> value. The data stand there by their hash, where it is known."""
    complete: bool
    """Whether a whole recipe is known, and not only what a publication states."""

    def other_differences(self, other: "Settings") -> list[str]:
        """Keys apart from rank and steps that differ, where both are known. An alpha that stayed, or that grew with the
        rank, is none."""
        if not (self.complete and other.complete):
            return []
        keys = sorted(self.others.keys() | other.others.keys())
        differing = [key for key in keys if self.others.get(key) != other.others.get(key)]
        alpha_alike = self.alpha == other.alpha or self._scale == other._scale
        return differing if alpha_alike else [*differing, "lora.alpha"]

    @property
    def _scale(self) -> float | None:
        return None if self.alpha is None else self.alpha / self.rank


def settings_of(run: Run | None, name: str) -> Settings | None:
    """From the run's record; without one from the name of a published model; ``None`` when neither tells."""
    flat = dict(_flat(run.recipe)) if run else {}
    rank, steps = flat.pop("lora.rank", None), flat.pop("training.steps", run.steps if run else None)
    alpha = flat.pop("lora.alpha", None)
    if run is None or not isinstance(rank, int) or not isinstance(steps, int):
        stated = _STATED.search(name)
        return Settings(int(stated[1]), int(stated[2]), None, {}, complete=False) if stated else None
    others = {key: value for key, value in flat.items() if not key.startswith(_NOT_LEARNED_FROM)}
    if run.data and run.data.sha256:
        others = {key: value for key, value in others.items() if not key.startswith("data.")}
        others["data"] = run.data.sha256
    others["status"] = run.status
    return Settings(rank, steps, alpha, others, complete=bool(run.data) and isinstance(alpha, int | float))


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
