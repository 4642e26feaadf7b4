"""What is counted in an answer."""

import time

import pytest

from evaluation.records import TextFigures
from evaluation.text_figures import text_figures


def test_worked_example() -> None:
    """Seven lines, five of them with Markdown; a repeated run of four words among 18."""
    text = (
        "# Why the sky is blue\n"  # 1 sentence
        "\n"
        "Air scatters blue light. It is **that** simple!\n"  # 2
        "1. First: look up.\n"  # 1
        "2. Then ask, e.g. a friend\n"  # 1
        "plain\n"  # 1
        "```python\n"
        "x = 1. + 2.  # no sentence\n"
        "```\n"
    )
    figures = text_figures(text)
    assert (figures.words, figures.sentences) == (len(text.split()), 6)
    assert figures.markdown == 7 / 8
    assert figures.repeated_4grams == 0


def test_no_text() -> None:
    """Nothing is zero words, and no share of nothing."""
    assert text_figures("") == text_figures(" \n\t\n") == TextFigures(0, 0, None, None)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("No end", 1),
        ("One. Two! Three? Four… Five", 5),
        ("Really?! Yes... indeed. Wait... What?", 4),
        ("It costs 3.5 euros at example.org. Or 2.0.", 2),
        ("Fruits, e.g. apples, i.e. Malus. See Dr. J. R. Smith vs. Mr. Jones.", 2),
        ("Use U.S. Army rules etc. and so on. So do I. Then stop.", 3),
        ('"Why?" she asked. "Because." He left.', 3),
        ("It ends **here.** And (there.) And ‘there.’", 3),
        ("Title\n\n- first item\n- second item. Two.\n1. third", 5),
        ("空は青い。なぜですか？光です！「はい。」", 4),
        ("---\n***\n?!", 1),
    ],
)
def test_sentences(text: str, sentences: int) -> None:
    """Abbreviations, decimals and initials end none; lines and list items do; so do the signs of other scripts."""
    assert text_figures(text).sentences == sentences


def test_repeated_runs_of_four_words() -> None:
    """Ten words make seven runs: the sixth and the seventh are the first and the second again."""
    assert text_figures("The sky is blue, so: the SKY is blue so!").repeated_4grams == 2 / 7
    assert text_figures("one two three").repeated_4grams is None
    assert text_figures("one two three - !").repeated_4grams is None
    assert text_figures("one two three four").repeated_4grams == 0
    assert text_figures("again " * 100).repeated_4grams == 96 / 97


@pytest.mark.parametrize(
    "line",
    [
        "## Title",
        "- item",
        "  * item",
        "3) item",
        "> quote",
        "| a | b |",
        "---",
        "a **bold** word",
        "an *italic one* here",
        "an _italic one_ here",
        "some `code`",
        "a [link](https://example.org)",
        "![image](a.png)",
    ],
)
def test_lines_with_markdown(line: str) -> None:
    assert text_figures(f"plain\n\n{line}\nplain").markdown == 1 / 3


@pytest.mark.parametrize(
    "line",
    ["2 * 3 * 4 = 24", "2*3*4", "snake_case_name_x", "#1 of all", "-5 degrees", "a | b", "$5 [sic] (so)", "1.5 m"],
)
def test_lines_without_markdown(line: str) -> None:
    """Signs that only look like it."""
    assert text_figures(line).markdown == 0


@pytest.mark.parametrize("piece", ["[", ".", "*a", "_a", "a!", "`", "|", "* ", ". a", '."', "1. "])
def test_hostile_text_takes_no_time(piece: str) -> None:
    """A model that repeats one sign forever."""
    began = time.process_time()
    text_figures(piece * 10_000 + "x")
    assert time.process_time() - began < 0.5
