"""The limits of a public deployment: who is refused, with which sentence, and until when."""

import threading
import time
from dataclasses import dataclass

import pytest

from dashboard.public.guard import Guard, Refused
from dashboard.public.limits import LimitError, Limits
from evaluation.engine.api import Snapshot, State


@dataclass
class Answer:
    """A generation of which only the state matters."""

    state: State = "done"

    def snapshot(self) -> Snapshot:
        return Snapshot(self.state)


@dataclass
class Clock:
    now_s: float = 50.0

    def __call__(self) -> float:
        return self.now_s


def ask(guard: Guard, visitor: str, *answers: Answer, characters: int = 1) -> None:
    with guard.asking(visitor, len(answers), characters) as note:
        for answer in answers:
            note(answer)


def refusal(guard: Guard, visitor: str, *answers: Answer, characters: int = 1) -> str:
    with pytest.raises(Refused) as refused:
        ask(guard, visitor, *answers, characters=characters)
    return str(refused.value)


def test_answers_per_hour_are_counted_by_visitor() -> None:
    """Each answer counts for an hour; who is refused is told what is left and when to come again, and others are not
    refused for it. What was refused does not count."""
    clock = Clock()
    guard = Guard(Limits(answers_per_hour=3), clock)
    ask(guard, "ada", Answer(), Answer())
    clock.now_s += 600
    assert refusal(guard, "ada", Answer(), Answer()) == (
        "One visitor may ask for 3 answers an hour, and 1 is left. Ask fewer panes, or ask again in 50 minutes."
    )
    ask(guard, "ada", Answer())
    assert "an hour, and they are used up. Ask again in 50 minutes." in refusal(guard, "ada", Answer())
    assert "Choose fewer panes." in refusal(guard, "ada", *[Answer()] * 4)
    ask(guard, "eve", Answer(), Answer(), Answer())
    clock.now_s += 3000
    assert (guard.left("ada"), guard.left("eve")) == (2, 0)
    ask(guard, "ada", Answer(), Answer())


def test_answers_per_hour_are_counted_in_all() -> None:
    """Whoever invents a new visitor for each message gets no further than all together may."""
    clock = Clock()
    guard = Guard(Limits(answers_per_hour_in_all=3), clock)
    for visitor in ("ada", "eve", "bob"):
        ask(guard, visitor, Answer())
    clock.now_s += 600
    assert refusal(guard, "somebody else", Answer()) == (
        "All visitors together may ask for 3 answers an hour, and they are used up. Ask again in 50 minutes."
    )
    clock.now_s += 3000
    ask(guard, "somebody else", Answer())


def test_a_wrong_clock_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting the machine's time forwards ends no hour, and setting it back makes none longer."""
    guard = Guard(Limits(answers_per_hour=1))
    ask(guard, "ada", Answer())
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert "again in 60 minutes" in refusal(guard, "ada", Answer())
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert "again in 60 minutes" in refusal(guard, "ada", Answer())


def test_answers_under_way_at_once() -> None:
    """What is done makes room."""
    guard = Guard(Limits(answers_at_once=2))
    writing, queued = Answer("writing"), Answer("queued")
    ask(guard, "ada", writing, queued)
    assert "2 answers under way and ask for 1 more; one visitor may have 2 at once" in refusal(guard, "ada", Answer())
    ask(guard, "eve", Answer())
    queued.state = "done"
    ask(guard, "ada", Answer())


def test_a_full_queue_refuses_everybody_with_its_length() -> None:
    """The answers under way of all visitors count together, also those of endpoints, which never stand in our queue; an
    empty one takes a message to several panes in any case."""
    guard = Guard(Limits(queue=2, answers_at_once=9))
    first = [Answer("queued"), Answer("writing"), Answer("waiting")]
    ask(guard, "ada", *first)
    assert refusal(guard, "eve", Answer()) == "The queue is full: 3 answers are under way. Ask again in a minute."
    for answer in first:
        answer.state = "done"
    ask(guard, "eve", Answer("queued"))
    assert "1 answer is under way" in refusal(guard, "bob", Answer(), Answer())
    ask(guard, "bob", Answer())


def test_long_prompts_are_refused_with_both_lengths() -> None:
    """Whoever asks: it costs nobody anything of the hour."""
    guard = Guard(Limits(prompt_characters=4_000))
    assert "4,001 characters, and a prompt may have 4,000" in refusal(guard, "ada", Answer(), characters=4_001)
    assert guard.left("ada") == 60


def test_limits_hold_when_all_ask_at_once() -> None:
    """Of 24 messages at the same moment exactly as many pass as may."""
    guard = Guard(Limits(answers_per_hour=5, answers_at_once=24))
    start, passed = threading.Barrier(24), []

    def visit() -> None:
        start.wait()
        try:
            ask(guard, "ada", Answer("writing"))
        except Refused:
            return
        passed.append(True)

    visits = [threading.Thread(target=visit) for _ in range(24)]
    for each in visits:
        each.start()
    for each in visits:
        each.join()
    assert len(passed) == 5


def test_a_visitor_is_no_address() -> None:
    """The same address is one visitor here, and another to any other process."""
    here, elsewhere = Guard(Limits()), Guard(Limits())
    assert here.visitor("203.0.113.7") == here.visitor("203.0.113.7") != here.visitor("203.0.113.8")
    assert here.visitor("203.0.113.7") != elsewhere.visitor("203.0.113.7")
    assert "203" not in here.visitor("203.0.113.7")


def test_limits_come_from_the_environment() -> None:
    """Each by its own variable; an empty one is none; endpoints are closed to strangers unless somebody opens them."""
    limits = Limits.from_environment({"PUBLIC_QUEUE": "7", "PUBLIC_PANES": "", "PUBLIC_ENDPOINTS": "1", "PUBLIC": "1"})
    assert limits == Limits(queue=7, endpoints=True)
    assert not Limits.from_environment({"PUBLIC_ENDPOINTS": "0"}).endpoints
    assert Limits.from_environment({"PUBLIC_PROXIES": "0"}).proxies == 0


@pytest.mark.parametrize("text", ["two", "0", "-1", "1.5", "٣"])
def test_a_limit_that_is_no_number_is_named(text: str) -> None:
    """Nobody is let in by a slip."""
    with pytest.raises(LimitError, match=f"PUBLIC_PANES is '{text}'.*whole number from 1 on"):
        Limits.from_environment({"PUBLIC_PANES": text})
