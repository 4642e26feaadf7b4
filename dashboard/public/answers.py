"""The stored answers as strangers see them: every figure, but no word that another visitor wrote or was told."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dashboard import services, visitors
from evaluation.leaderboard.answers import Answers, AnswerText
from evaluation.leaderboard.selection import HostFacts, Selection

if TYPE_CHECKING:
    import pandas as pd

PRIVATE = "A visitor's message"
"""Stands for a prompt that was asked in the arena only."""


def shown_answers() -> "Answers | PublicAnswers":
    """The stored answers, as far as the visitor may see them."""
    return PublicAnswers(services.answers()) if visitors.hides() else services.answers()


class PublicAnswers:
    """Has the methods of ``Answers``. A prompt is shown when a benchmark or a publication has it, too."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answers, name)

    def refresh(self) -> int:
        """A number like that of ``Answers.refresh``, and never the same: what is remembered by it differs."""
        return -1 - self._answers.refresh()

    def hosts(self) -> list[HostFacts]:
        """The address of an endpoint is left out."""
        return [replace(host, cpu="Another server") if host.cores is None else host for host in self._answers.hosts()]

    def choices(self, host: str) -> "pd.DataFrame":
        return self._masked(self._answers.choices(host), host)

    def cells(self, selection: Selection) -> "pd.DataFrame":
        return self._masked(self._answers.cells(selection), selection.host)

    def points(self, selection: Selection, limit: int = 5_000) -> "pd.DataFrame":
        return self._masked(self._answers.points(selection, limit), selection.host)

    def texts(self, selection: Selection, prompt_key: str, model_keys: tuple[str, ...]) -> dict[str, list[AnswerText]]:
        """Those of benchmarks and imports."""
        origins = tuple(each for each in selection.origins or ("benchmark", "imported") if each != "arena")
        return self._answers.texts(replace(selection, origins=origins), prompt_key, model_keys) if origins else {}

    def _masked(self, frame: "pd.DataFrame", host: str) -> "pd.DataFrame":
        choices = self._answers.choices(host)
        told = set(choices.loc[choices["origin"] != "arena", "prompt_key"])
        return frame.assign(prompt=frame["prompt"].where(frame["prompt_key"].isin(told), PRIVATE))
