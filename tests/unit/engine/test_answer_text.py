"""From the bytes of tokens to text."""

import pytest

from evaluation.engine.generation import AnswerText


def test_a_character_split_over_tokens_comes_out_whole() -> None:
    text, data = AnswerText(()), "é🎈".encode()
    shown = []
    for byte in data:
        text.add(bytes([byte]))
        shown.append(text.take())
    assert "".join(shown) == "é🎈"
    assert all("\ufffd" not in piece for piece in shown)


def test_bytes_of_an_unfinished_character_are_dropped() -> None:
    text = AnswerText(())
    text.add("ab🎈".encode()[:-1])
    assert text.take() + text.finish() == "ab"


@pytest.mark.parametrize("pieces", [["one STOP two"], ["one S", "TO", "P two"], ["one ", "STOP", " two"]])
def test_the_answer_ends_before_a_stop_string(pieces: list[str]) -> None:
    """Also when the stop string comes in several tokens; nothing of it is ever shown."""
    text, ended = AnswerText(("STOP", "never")), False
    for piece in pieces:
        ended = text.add(piece.encode())
        if ended:
            break
    assert ended
    assert text.take() + text.finish() == "one "


def test_the_beginning_of_a_stop_string_is_shown_once_it_is_none() -> None:
    text = AnswerText(("STOP",))
    assert not text.add(b"ST")
    assert text.take() == ""
    assert not text.add(b"EP")
    assert text.take() == "STEP"
    assert not text.add(b" S")
    assert text.take() == " "
    assert text.finish() == "S"
