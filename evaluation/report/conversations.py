"""A conversation of the arena to be read: each message, and the panes' answers side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from markupsafe import Markup

from evaluation.charts.colors import model_colors
from evaluation.models.names import printable
from evaluation.records import Response
from evaluation.report.texts import answer
from evaluation.transcript import circumstances, figures_line, newest_attempts, prompt_of

TITLE_CHARACTERS = 80


@dataclass(frozen=True)
class Said:
    """One answer."""

    model: str
    quantization: str
    color: str
    text: Markup
    figures: Markup


@dataclass(frozen=True)
class Round:
    """A message and its answers, from the left."""

    message: str
    answers: tuple[Said, ...]


@dataclass(frozen=True)
class Talk:
    """A conversation."""

    id: str
    title: str
    about: Markup
    """When, where, with which system prompt and settings."""
    rounds: tuple[Round, ...]


def talk(id: str, responses: Sequence[Response], colors: Mapping[str, str]) -> Talk:
    """From the stored responses of one conversation, at least one: of an edited message the last wording, of each pane
    the newest answer to it. ``colors`` by model key; models not among them get their own."""
    shown = [_public(each) for each in _last_wordings(newest_attempts(responses))]
    own = {**model_colors(response.model.key for response in shown), **colors}
    rounds = []
    for _, answers in groupby(shown, key=_round):
        asked = list(answers)
        rounds.append(Round(prompt_of(asked[0]), tuple(_said(each, own[each.model.key]) for each in asked)))
    title = " ".join(prompt_of(shown[0]).split())
    short = title if len(title) <= TITLE_CHARACTERS else f"{title[: TITLE_CHARACTERS - 1]}…"
    return Talk(id, short or "Conversation", answer("\n\n".join(circumstances(shown))), tuple(rounds))


def _public(response: Response) -> Response:
    """Without what only its owner can use: the address of an endpoint, and why an answer failed, which may name paths,
    addresses and variables."""
    model = replace(response.model, name=printable(response.model.name))
    host = response.host if response.host.cores is not None else replace(response.host, cpu=model.name)
    return replace(response, model=model, host=host, error=None)


def _last_wordings(responses: Sequence[Response]) -> list[Response]:
    wording = {_round(each): prompt_of(each) for each in sorted(responses, key=lambda each: each.submitted_at)}
    return [each for each in responses if prompt_of(each) == wording[_round(each)]]


def _round(response: Response) -> int:
    return response.place.round if response.place else 0


def _said(response: Response, color: str) -> Said:
    model = response.model
    return Said(model.name, model.quantization, color, answer(response.text), answer(figures_line(response)))
