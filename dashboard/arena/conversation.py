"""A conversation of the arena: one user, one to four panes, any number of rounds. Knows nothing about the screen.

A round is one message of the user. Every pane that was asked has attempts at answering it, the last one counts: it is
shown, and it is what that pane's model remembers. A pane remembers its own answers only, and only rounds that ended
with a usable text, so that user and assistant always alternate.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol

from ulid import PureRandomPolicy, ULIDGenerator

from evaluation.engine.api import GenerationRequest, Snapshot
from evaluation.models import Model
from evaluation.records import Message, ModelRef, Place, Response, Sampling

_ids = ULIDGenerator(policy=PureRandomPolicy())
"""An id is the key to a conversation. ``ULID()`` counts up within a millisecond, so that one id tells the next."""


@dataclass(frozen=True)
class Pane:
    """Who answers in one column, and how."""

    model: Model
    sampling: Sampling


class Attempt(Protocol):
    """One answer, running or done. A generation of the engine is one."""

    def snapshot(self) -> Snapshot: ...

    def cancel(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """An attempt and the model that makes it."""

    model: ModelRef
    attempt: Attempt

    @property
    def running(self) -> bool:
        return self.attempt.snapshot().state != "done"


@dataclass(frozen=True)
class Recorded:
    """An attempt read back from the store."""

    response: Response

    def snapshot(self) -> Snapshot:
        return Snapshot(
            "done",
            text=self.response.text,
            prompt_tokens=self.response.prompt_tokens,
            completion_tokens=self.response.completion_tokens,
            response=self.response,
        )

    def cancel(self) -> None:
        """Nothing is running."""


@dataclass
class Round:
    """One message and, per pane that was asked, its answers in order; the last one counts."""

    message: str
    answers: dict[int, list[Answer]] = field(default_factory=dict)
    attempts_made: dict[int, int] = field(default_factory=dict)
    """Per pane; also counts attempts at earlier wordings of the message."""

    def current(self, pane: int) -> Answer | None:
        return self.answers[pane][-1] if self.answers.get(pane) else None

    @property
    def panes(self) -> list[int]:
        """The panes that were asked, ascending."""
        return sorted(self.answers)

    def responses(self) -> dict[int, Response]:
        """Per pane the record of the answer that counts, where it is done."""
        snapshots = {pane: self.answers[pane][-1].attempt.snapshot() for pane in self.panes}
        return {pane: snapshot.response for pane, snapshot in snapshots.items() if snapshot.response is not None}


@dataclass
class Conversation:
    """Rounds with the panes' answers, and what stays the same for all of them."""

    id: str = field(default_factory=lambda: str(_ids.generate()))
    template_date: date = field(default_factory=date.today)
    """Templates see this date in every round, so that a conversation does not change overnight."""
    system_prompt: str = ""
    keep: bool = True
    """Whether its answers are stored. Once they are not, they never are: a later one would hold the earlier ones."""
    rounds: list[Round] = field(default_factory=list)

    def messages(self, pane: int, round_index: int) -> tuple[Message, ...]:
        """What ``pane`` is asked in round ``round_index``: system prompt, its own earlier turns, the message."""
        turns = [Message("system", self.system_prompt)] if self.system_prompt.strip() else []
        for earlier in self.rounds[:round_index]:
            text = usable_text(earlier.current(pane))
            if text is not None:
                turns += [Message("user", earlier.message), Message("assistant", text)]
        return (*turns, Message("user", self.rounds[round_index].message))

    def ask(self, message: str, panes: dict[int, Pane], submit: Callable[[GenerationRequest], Attempt]) -> None:
        """Open a round with ``message`` and put it to ``panes`` (index -> pane). Refuses a message of blanks."""
        if not message.strip():
            raise ValueError("An empty message cannot be asked.")
        self.rounds.append(Round(message))
        self._put(panes, submit)

    def edit_last(self, message: str, panes: dict[int, Pane], submit: Callable[[GenerationRequest], Attempt]) -> None:
        """Replace the last message and its answers; stops those still running. Attempts go on being counted."""
        if not message.strip():
            raise ValueError("An empty message cannot be asked.")
        self.stop()
        self.rounds[-1] = Round(message, attempts_made=self.rounds[-1].attempts_made)
        self._put(panes, submit)

    def answer_again(self, pane: int, asked: Pane, submit: Callable[[GenerationRequest], Attempt]) -> None:
        """Let ``pane`` answer the last message once more, with the next seed. Also for a pane not asked before."""
        current = self.rounds[-1].current(pane)
        if current is not None:
            current.attempt.cancel()
        self._put({pane: asked}, submit)

    def _put(self, panes: dict[int, Pane], submit: Callable[[GenerationRequest], Attempt]) -> None:
        last = self.rounds[-1]
        for index, pane in panes.items():
            attempt = last.attempts_made.get(index, 0)
            request = GenerationRequest(
                model=pane.model,
                messages=self.messages(index, len(self.rounds) - 1),
                sampling=replace(pane.sampling, seed=pane.sampling.seed + attempt),
                template_date=self.template_date,
                place=Place(self.id, len(self.rounds) - 1, index, attempt),
                keep=self.keep,
            )
            last.attempts_made[index] = attempt + 1
            last.answers.setdefault(index, []).append(Answer(pane.model.ref, submit(request)))

    def stop(self) -> None:
        """Cancel every answer that is still running."""
        for answer in self.answers():
            answer.attempt.cancel()

    def answers(self) -> list[Answer]:
        """All answers, those superseded by a later attempt included."""
        return [answer for each in self.rounds for pane in each.panes for answer in each.answers[pane]]

    @property
    def running(self) -> bool:
        return any(answer.running for answer in self.answers())

    def responses(self) -> list[Response]:
        """The records of all answers that are done, by round and pane."""
        snapshots = (answer.attempt.snapshot() for answer in self.answers())
        return [snapshot.response for snapshot in snapshots if snapshot.response is not None]


def usable_text(answer: Answer | None) -> str | None:
    """What the model of an answer may be reminded of; ``None`` for no answer, a failed, an empty or a running one."""
    response = answer.attempt.snapshot().response if answer is not None else None
    if response is None or response.finish_reason == "error" or not response.text.strip():
        return None
    return response.text


def spread_seeds(panes: Sequence[Pane]) -> list[Pane]:
    """Panes that would say the same word for word (same model, same settings) get the next seeds."""
    spread: list[Pane] = []
    for pane in panes:
        twins = sum(pane == other for other in panes[: len(spread)])
        spread.append(replace(pane, sampling=replace(pane.sampling, seed=pane.sampling.seed + twins)))
    return spread


def from_responses(responses: Iterable[Response]) -> Conversation:
    """Rebuild a conversation from its stored responses; raises ``ValueError`` when none of them has a place in one.

    Of a message that was edited only the last wording is kept. A round whose answers are not stored (the store was
    full) is left out.
    """
    placed = sorted(
        ((response.place, response) for response in responses if response.place is not None),
        key=lambda pair: (pair[0].round, pair[1].submitted_at, pair[0].attempt),
    )
    if not placed:
        raise ValueError("No response of this conversation is stored.")
    latest = placed[-1][1]
    system_prompt = latest.messages[0].content if latest.messages[0].role == "system" else ""
    rounds: dict[int, Round] = {}
    wording = {place.round: response.messages[-1].content for place, response in placed}
    for place, response in placed:
        turn = rounds.setdefault(place.round, Round(wording[place.round]))
        turn.attempts_made[place.pane] = place.attempt + 1
        if response.messages[-1].content == turn.message:
            turn.answers.setdefault(place.pane, []).append(Answer(response.model, Recorded(response)))
    return Conversation(
        id=placed[0][0].conversation,
        template_date=date.fromisoformat(latest.template_date),
        system_prompt=system_prompt,
        rounds=[rounds[index] for index in sorted(rounds)],
    )
