"""Conversations as Markdown and JSON."""

import json
from dataclasses import replace

import pytest

from evaluation.records import Message, Place, Response, Sampling
from evaluation.store import from_json_line
from evaluation.transcript import to_json, to_markdown
from tests.responses import ADAPTED, FIXTURE, PLAIN

CONVERSATION = [from_json_line(line) for line in FIXTURE.read_bytes().splitlines(keepends=True)]


def placed(response: Response, round: int = 0, pane: int = 0, attempt: int = 0) -> Response:
    return replace(response, place=Place("C", round, pane, attempt))


def asking(prompt: str, answer: str = "Because.") -> Response:
    return replace(PLAIN, messages=(Message("user", prompt),), text=answer)


def test_whole_conversation() -> None:
    """Title, date, host, system prompt, settings; per round the message once and each model's answer and figures."""
    assert (
        to_markdown(CONVERSATION) == r"""# Why is the sky blue?

- Date: 2026-11-21 10:40 UTC
- Host: AMD EPYC 7763 64-Core Processor, 2 cores, 16.0 GiB memory, Linux 6.1 x86\_64, llama-cpp-python 0.3.36

**System prompt**

> Answer briefly.

Settings: temperature 0.7 · top-k 40 · top-p 0.95 · min-p 0.05 · repetition penalty 1 · seed 7 · at most 256 tokens

## Round 1

**User**

> Why is the sky blue?

### SmolLM2 135M Instruct

> The sky looks blue because air scatters short, blue waves of sunlight more than long, red ones.

"""
        "time to first token 1.00 s · decode speed 40.0 tokens/s · 21 tokens · 17 words · latency 0.75 s · "
        "0.044 s per word · prompt 37 tokens · 0 of them reused · finished"
        """

### SmolLM2 135M Instruct + finetome-60

> Sunlight is scattered by air.
>
> Blue light scatters most, so we see it from everywhere. ☀️

"""
        "time to first token 1.75 s · decode speed 40.0 tokens/s · 26 tokens · 16 words · latency 1.00 s · "
        "0.062 s per word · prompt 37 tokens · 0 of them reused · finished"
        """

## Round 2

**User**

> Write a long poem about it.

### SmolLM2 135M Instruct

> Above the hills, a scattered

"""
        "time to first token 0.12 s · decode speed 20.0 tokens/s · 6 tokens · 5 words · latency 0.38 s · "
        "0.075 s per word · prompt 80 tokens · 60 of them reused · stopped"
        """

### SmolLM2 135M Instruct + finetome-60

> *(no text)*

"""
        "0 tokens · 0 words · failed: The model's process was stopped by the system, probably because memory ran out; "
        "ask again to restart it.\n"
    )


def test_json_is_the_stored_records() -> None:
    """Nothing is left out: each entry is the line of the store, with the fields that came later as unknown."""
    stored = [json.loads(line) for line in FIXTURE.read_bytes().splitlines()]
    for record in stored:
        record |= {"stated_words": None, "cell": None, "text_figures": None, "server": None}
        record["model"] |= {"size_bytes": None}
    assert json.loads(to_json(CONVERSATION)) == {"format": 1, "responses": stored}


def test_newest_attempt_is_shown_and_every_attempt_is_kept() -> None:
    """Regenerated once: the Markdown has the second answer, the JSON has both."""
    answers = [placed(asking("Why?", "second"), attempt=1), placed(asking("Why?", "first"), attempt=0)]
    text = to_markdown(answers)
    assert "second" in text
    assert "first\n" not in text
    assert [record["text"] for record in json.loads(to_json(answers))["responses"]] == ["second", "first"]


def test_pane_that_was_asked_something_else_shows_its_own_message() -> None:
    """The message was edited for one pane only."""
    text = to_markdown([placed(asking("Edited?"), attempt=1), placed(asking("Original?"), pane=1)])
    assert text.index("> Edited?") < text.index("> Original?")
    assert text.count("**User**") == 2


def test_settings_that_differ_are_listed_per_model() -> None:
    """Unlinked panes: each model's own settings, stop strings included."""
    cool = replace(asking("Why?"), sampling=Sampling(temperature=0.0, stop=("\n",)))
    warm = replace(asking("Why?"), sampling=Sampling(temperature=1.5), model=ADAPTED)
    text = to_markdown([placed(cool), placed(warm, pane=1)])
    assert "- Settings of Tiny 1M: temperature 0 ·" in text
    assert r"stops at '\\n'" in text
    assert "- Settings of Tiny 1M + run: temperature 1.5 ·" in text


@pytest.mark.parametrize(
    "text",
    [
        "# Heading\n\n## Round 7\n\n### Another model",
        "```python\nnever closed",
        "one\r## Round 7\r\n> quoted\n\n\n- list",
        "<!-- never closed",
        "</div><script>alert(1)</script>\n````\n## Round 7",
        "---\n===\n| a | b |",
    ],
)
def test_no_text_breaks_out_of_its_quotation(text: str) -> None:
    """Every line of a message and of an answer is inside a quotation, and no HTML in it is live."""
    lines = to_markdown([placed(asking(text, text))]).splitlines()
    inside = [line for line in lines if line.startswith(">")]
    assert [line for line in lines if line.startswith("## ")] == ["## Round 1"]
    assert [line for line in lines if line.startswith("### ")] == ["### Tiny 1M"]
    if "<" in text:
        fences = [line for line in inside if line.startswith("> ```")]
        longest_inside = max((len(run) for run in text.split("\n") if set(run) == {"`"}), default=0)
        assert inside[0] == inside[-1] == fences[0]
        assert len(fences[0]) - len("> ") > longest_inside
    shown = [line.removeprefix(">").removeprefix(" ") for line in inside]
    for line in text.splitlines():
        assert shown.count(line) >= 2


def test_names_are_taken_literally() -> None:
    """A model's name or a prompt in a heading cannot add markup or lines."""
    model = replace(PLAIN.model, name="a *b*\n# [c](d) <e>")
    text = to_markdown([placed(replace(asking("*bold*\n# second"), model=model))])
    assert text.startswith("# \\*bold\\* \\# second\n\n")
    assert "\n### a \\*b\\* \\# \\[c\\](d) \\<e\\>\n" in text


def test_half_surrogates_can_be_downloaded() -> None:
    """Both forms can be encoded, whatever a program put into the text."""
    answers = [placed(asking("a\ud800", "\udfffb"))]
    assert "a\ufffd" in to_markdown(answers).encode().decode()
    assert "\ufffdb" in to_json(answers).encode().decode()


def test_empty_conversation() -> None:
    """Nothing was answered yet."""
    assert to_markdown([]) == "# Empty conversation\n"
    assert json.loads(to_json([]))["responses"] == []


def test_answer_outside_a_conversation_is_refused() -> None:
    """A benchmark's answer has no round to be shown in; the message names it."""
    with pytest.raises(ValueError, match=PLAIN.id):
        to_markdown([replace(PLAIN, place=None)])
