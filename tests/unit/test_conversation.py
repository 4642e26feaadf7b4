"""The arena's conversation: who is asked what, and what each pane remembers."""

from dataclasses import replace
from itertools import pairwise

import pytest
from ulid import ULID

from dashboard.arena.answer_text import as_markdown, as_plain
from dashboard.arena.conversation import Conversation, Pane, from_responses, spread_seeds
from evaluation.charts.colors import model_colors
from evaluation.records import Message, Sampling
from tests.fake_engine import TEXT, FakeEngine, Script, chat_model

LEFT, RIGHT = Pane(chat_model("Left"), Sampling()), Pane(chat_model("Right"), Sampling(seed=7))
BOTH = {0: LEFT, 1: RIGHT}


def test_each_pane_remembers_its_own_answers() -> None:
    """The second round of a pane holds that pane's first answer and not its neighbour's."""
    engine = FakeEngine(left=Script(text="L"), right=Script(text="R"))
    conversation = Conversation(system_prompt="Be brief.")
    conversation.ask("One", BOTH, engine.submit)
    conversation.ask("Two", BOTH, engine.submit)
    system, one, two = Message("system", "Be brief."), Message("user", "One"), Message("user", "Two")
    assert conversation.messages(0, 1) == (system, one, Message("assistant", "L"), two)
    assert conversation.messages(1, 1) == (system, one, Message("assistant", "R"), two)


@pytest.mark.parametrize("script", [Script(error="Failed."), Script(text=" "), Script(tokens_per_s=0)])
def test_round_without_usable_text_is_left_out(script: Script) -> None:
    """A failed, an empty and a still running answer would leave a question without an answer; both are left out."""
    engine = FakeEngine(left=script)
    conversation = Conversation()
    conversation.ask("One", {0: LEFT}, engine.submit)
    conversation.ask("Two", {0: LEFT}, engine.submit)
    assert conversation.messages(0, 1) == (Message("user", "Two"),)


def test_stopped_answer_is_remembered() -> None:
    """What the user saw before stopping is part of the conversation."""
    engine = FakeEngine(left=Script(tokens_per_s=1, text="Said so-far and more"))
    conversation = Conversation()
    conversation.ask("One", {0: LEFT}, engine.submit)
    engine.generations[0].submitted_at -= 2.5
    assert conversation.running
    conversation.stop()
    assert not conversation.running
    conversation.ask("Two", {0: LEFT}, engine.submit)
    assert conversation.messages(0, 1)[1] == Message("assistant", "Said so-far")
    assert conversation.responses()[0].finish_reason == "cancelled"


def test_regenerating_replaces_what_is_remembered() -> None:
    """The newest attempt counts, and the older ones stay on record with their own number and seed."""
    engine = FakeEngine(right=Script(text="first"))
    conversation = Conversation()
    conversation.ask("One", BOTH, engine.submit)
    engine.scripts["right"] = Script(text="second")
    conversation.answer_again(1, RIGHT, engine.submit)
    conversation.ask("Two", BOTH, engine.submit)
    assert conversation.messages(1, 1)[1] == Message("assistant", "second")
    attempts = [r for r in conversation.responses() if r.place is not None and (r.place.round, r.place.pane) == (0, 1)]
    assert [(r.text, r.sampling.seed, r.place.attempt) for r in attempts if r.place] == [
        ("first", 7, 0),
        ("second", 8, 1),
    ]


def test_editing_stops_and_asks_anew() -> None:
    """An edit while answers are written stops them, and their attempts go on being counted."""
    engine = FakeEngine(default=Script(tokens_per_s=0))
    conversation = Conversation()
    conversation.ask("Worng", BOTH, engine.submit)
    conversation.edit_last("Right", BOTH, engine.submit)
    assert [g.response is not None for g in engine.generations] == [True, True, False, False]
    assert [r.place.attempt for r in engine.requests if r.place] == [0, 0, 1, 1]
    assert [each.message for each in conversation.rounds] == ["Right"]


@pytest.mark.parametrize("message", ["", " \n\t"])
def test_blank_messages_are_refused(message: str) -> None:
    """A message of blanks opens no round."""
    conversation = Conversation()
    with pytest.raises(ValueError, match="empty"):
        conversation.ask(message, BOTH, FakeEngine().submit)
    assert conversation.rounds == []


def test_stored_conversation_equals_the_live_one() -> None:
    """Rebuilt from its responses, in any order, a conversation has the same messages, answers and pinned date."""
    engine = FakeEngine()
    live = Conversation(system_prompt="Be brief.")
    live.ask("One", BOTH, engine.submit)
    live.ask("Two", {1: RIGHT}, engine.submit)
    live.answer_again(1, RIGHT, engine.submit)
    stored = from_responses(reversed(live.responses()))
    assert (stored.id, stored.template_date, stored.system_prompt) == (live.id, live.template_date, live.system_prompt)
    assert [each.message for each in stored.rounds] == ["One", "Two"]
    assert [each.panes for each in stored.rounds] == [[0, 1], [1]]
    assert stored.responses() == live.responses()


def test_stored_edit_keeps_the_last_wording() -> None:
    """Of an edited message only the last wording and its answers are shown again."""
    engine = FakeEngine()
    live = Conversation()
    live.ask("Worng", BOTH, engine.submit)
    before = live.responses()
    live.edit_last("Right", BOTH, engine.submit)
    stored = from_responses(before + live.responses())
    assert [each.message for each in stored.rounds] == ["Right"]
    assert len(stored.responses()) == 2


def test_nothing_stored_is_refused() -> None:
    """No response, no conversation."""
    with pytest.raises(ValueError, match="No response"):
        from_responses([])


def test_only_equal_panes_get_other_seeds() -> None:
    """Panes that would repeat each other word for word get the next seeds; all others keep theirs."""
    twin = replace(LEFT)
    other = replace(LEFT, sampling=Sampling(temperature=0.1))
    assert [pane.sampling.seed for pane in spread_seeds([LEFT, RIGHT, twin, other, twin])] == [0, 7, 1, 0, 2]


def test_images_are_spelled_out_but_code_is_left_alone() -> None:
    """Markdown images never reach the page, also not behind what hides a code fence; Rust in a fence stays."""
    image = "![x](http://example.com/x.png)"
    rust = "```rust\nlet v = vec![1];\n```"
    assert as_markdown(TEXT) == TEXT
    assert as_markdown(f"Code:\n\n{rust}") == f"Code:\n\n{rust}"
    for text in (
        image,
        f"{rust}\n{image}",
        f"<pre>\n\n{rust}\n\n</pre>{image}",
        f"```\n{image}",
        f"    ```\n{image}\n```",
    ):
        assert image not in as_markdown(text)


def test_plain_text_has_no_markdown() -> None:
    """Names of files and models cannot format, link or break the page."""
    assert as_plain("a*b*\n[c](d)") == r"a\*b\* \[c\]\(d\)"
    for address in ("http://a.b", "HTTPS://a.b", "www.a.b", "a@b.c"):
        shown = as_plain(address).replace("\\", "")
        assert shown != address == shown.replace("\u200b", "")  # Markdown makes no link of it


def test_models_keep_apart_in_color() -> None:
    """Up to eight models have eight colors, the same in any order."""
    keys = [f"model-{number}" for number in range(8)]
    assert len(set(model_colors(keys).values())) == 8
    assert model_colors(keys) == model_colors(reversed(keys))


def test_nobody_can_guess_the_next_id() -> None:
    """Conversations that begin in the same millisecond are no neighbours: an id opens its conversation to strangers."""
    ids = sorted(int.from_bytes(ULID.from_str(Conversation().id).bytes) for _ in range(100))
    assert min(after - before for before, after in pairwise(ids)) > 1_000_000
