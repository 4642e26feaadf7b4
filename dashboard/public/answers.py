"""Answers as strangers see them: every figure, but no word that another visitor wrote or was told, no folder of this
machine and no address of an endpoint."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from dashboard import services, visitors
from evaluation.endpoints import is_served
from evaluation.leaderboard.answers import Answers, AnswerText
from evaluation.leaderboard.private_prompts import without_private_prompts
from evaluation.leaderboard.selection import HostFacts, Measured, Selection
from evaluation.record_folder import Problem
from evaluation.records import Response
from training.public import without_paths

if TYPE_CHECKING:
    import pandas as pd

SERVER_FAULTS = {
    "context": "The prompt is too long for this model. Start a new conversation, or shorten the message.",
    "error": "The server that runs this model did not answer as it should. An owner of this page can see why.",
}
"""By finish reason; the server's own words may quote its address, or the variable that holds its key."""


def shown_response(response: Response, hides: bool) -> Response:
    """A response as it may be drawn and downloaded; ``hides`` as ``visitors.hides()``, which a download cannot ask."""
    if not hides:
        return response
    if not is_served(response.model):
        return replace(response, error=response.error and without_paths(response.error))
    host = replace(response.host, key="", cpu="Another server")
    return replace(response, host=host, error=response.error and SERVER_FAULTS.get(response.finish_reason))


def shown_answers() -> "Answers | PublicAnswers":
    """The stored answers, as far as the visitor may see them."""
    return PublicAnswers(services.answers()) if visitors.hides() else services.answers()


class PublicAnswers:
    """Has the methods of ``Answers``. A prompt is shown when a benchmark or a publication has it, too."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def refresh(self) -> int:
        """A number like that of ``Answers.refresh``, and never the same: what is remembered by it differs."""
        return -1 - self._answers.refresh()

    def problems(self) -> tuple[Problem, ...]:
        return self._answers.problems()

    def bad_lines(self) -> tuple[int, int]:
        return self._answers.bad_lines()

    def measured(self, run: str, adapters: Sequence[str] = (), merged: Sequence[str] = ()) -> tuple[Measured, ...]:
        return self._answers.measured(run, adapters, merged)

    def models(self, selection: Selection) -> "pd.DataFrame":
        return self._answers.models(selection)

    def hosts(self) -> list[HostFacts]:
        """Endpoints are numbered instead of named by their address."""
        numbers = count(1)
        hosts = self._answers.hosts()
        return [replace(host, cpu=str(next(numbers))) if host.cores is None else host for host in hosts]

    def choices(self, host: str) -> "pd.DataFrame":
        return self._public(self._answers.choices(host), host)

    def cells(self, selection: Selection) -> "pd.DataFrame":
        return self._public(self._answers.cells(selection), selection.host)

    def points(self, selection: Selection, limit: int = 5_000) -> "pd.DataFrame":
        """Of answers outside of benchmarks the id is left out."""
        found = self._public(self._answers.points(selection, limit), selection.host)
        return found.assign(id=found["id"].where(found["repeat"].notna(), ""))

    def texts(self, selection: Selection, prompt_key: str, model_keys: tuple[str, ...]) -> dict[str, list[AnswerText]]:
        """Those of benchmarks and imports."""
        origins = tuple(each for each in selection.origins or ("benchmark", "imported") if each != "arena")
        return self._answers.texts(replace(selection, origins=origins), prompt_key, model_keys) if origins else {}

    def _public(self, frame: "pd.DataFrame", host: str) -> "pd.DataFrame":
        return without_private_prompts(frame, self._answers.choices(host))
