"""The study's questions, answered from hand-made answers and from the runs and times that come with the project."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pandas as pd
import pytest

from evaluation.leaderboard.answers import Answers, Selection
from evaluation.leaderboard.study import findings
from evaluation.published import published_responses
from evaluation.settings import PUBLISHED_DIR
from tests.unit.leaderboard.frames import around, cells, models
from training.runlog import Run, read_run, run_folders

RUNS = {run.name: run for run in map(read_run, run_folders(PUBLISHED_DIR.parent))}
R16, R32, CONCISE = (RUNS[name] for name in ("r16", "r32", "concise"))


class Stored:
    """As much of ``Answers`` as is asked for here: the frames of one host, all of one origin."""

    def __init__(self, cells: pd.DataFrame, models: pd.DataFrame, origin: str = "benchmark") -> None:
        self._cells, self._models, self._origin = cells, models, origin

    def cells(self, selection: Selection) -> pd.DataFrame:
        assert selection.host == "here"
        return self._cells if self._origin in (selection.origins or (self._origin,)) else self._cells.iloc[:0]

    def models(self, selection: Selection) -> pd.DataFrame:
        return self._models


def asked(stored: Stored, runs: Sequence[Run] = ()) -> tuple[str, ...]:
    """Answers on rank, steps, fine-tuning, Qwen."""
    found = findings(cast(Answers, stored), "here", runs)
    assert [each.question for each in found] == [
        "Does rank 32 differ from rank 16?",
        "Do 120 steps differ from 60?",
        "What does a fine-tune change of its base?",
        "Is Qwen slow?",
    ]
    return tuple(each.answer for each in found)


def fine_tunes(*runs: Run) -> Stored:
    """A base of 90 words and its fine-tunes: the first of 50 words, each further one of 10 more, equally good."""
    figures = {"base": {"words": around(90), "bits_per_byte": around(0.9)}}
    names, adapters = {"base": "Smol"}, [None]
    for number, run in enumerate(runs):
        figures[f"base+{number}"] = {"words": around(50 + 10 * number), "bits_per_byte": around(0.8)}
        names[f"base+{number}"] = f"Smol + {run.name}"
        adapters.append(run.id)
    return Stored(cells(figures), models(names, adapter_run=tuple(adapters)))


def with_recipe(run: Run, name: str, **changes: Any) -> Run:
    """The run under another name, with keys such as ``lora__rank`` changed."""
    recipe = {key: dict(value) if isinstance(value, dict) else value for key, value in run.recipe.items()}
    for key, value in changes.items():
        section, _, setting = key.partition("__")
        recipe[section][setting] = value
    return replace(run, id=name, name=name, recipe=recipe, steps=recipe["training"]["steps"])


def test_rank_and_steps_that_changed_together() -> None:
    """The two demonstration runs: neither question has an answer of its own, the difference of both together is given,
    and the run that would part them is named."""
    rank, steps, _, _ = asked(fine_tunes(R16, R32), [R16, R32])
    for answer, what in ((rank, "rank"), (steps, "steps")):
        assert answer.startswith(f"Not to be said of {what} alone: from **Smol + r16** to **Smol + r32**")
        assert "`--set training.steps=120`" in answer
        assert "- Words: higher by 10 words (10–10; 20 prompts)" in answer
        assert "- Bits per byte: no difference can be told, 0.000 bits/byte (0.000–0.000; 20 prompts)" in answer
        assert "One training run each" in answer


@pytest.mark.parametrize("alpha", [16.0, 32.0])
def test_rank_alone(alpha: float) -> None:
    """All else alike, alpha kept or grown with the rank: the difference is the rank's, and names and the rhythm of
    saving don't matter. Of steps nothing can be said."""
    other = with_recipe(R16, "wide", lora__rank=32, lora__alpha=alpha, training__save_every=5)
    rank, steps, _, _ = asked(fine_tunes(R16, other), [R16, other])
    assert rank.startswith("**Smol + wide** against **Smol + r16**:\n\n- Words: higher by 10 words")
    assert steps == "No answers here of two fine-tunes of one base with steps 60 and 120."


def test_steps_alone_between_three_runs() -> None:
    """With the missing run both questions are answered, each by its own pair."""
    missing = with_recipe(R16, "r16-long", training__steps=120)
    rank, steps, _, _ = asked(fine_tunes(R16, missing, R32), [R16, missing, R32])
    assert rank.startswith("**Smol + r32** against **Smol + r16-long**") and "alone" not in rank
    assert steps.startswith("**Smol + r16-long** against **Smol + r16**") and "alone" not in steps


def test_other_settings_forbid_an_answer() -> None:
    """Other data, another learning rate, an alpha that changed the adapter's weight: it could be any of them."""
    other = with_recipe(CONCISE, "mixed", lora__rank=32, lora__alpha=8.0, optimizer__learning_rate=1e-3)
    rank, *_ = asked(fine_tunes(R16, other), [R16, other])
    assert rank == (
        "Can't be said: **Smol + r16** and **Smol + mixed** differ in `data`, `optimizer.learning_rate` and "
        "`lora.alpha`, too."
    )


def test_each_fine_tune_against_its_base() -> None:
    """By the key, which begins with the base's; another base's answers are no baseline."""
    stored = fine_tunes(R16, CONCISE)
    *_, tuned, _ = asked(stored, [R16, CONCISE])
    assert "**Smol + r16** against **Smol**:\n\n- Words: lower by 40 words" in tuned
    assert "**Smol + concise** against **Smol**:\n\n- Words: lower by 30 words" in tuned
    assert "- Bits per byte: lower by 0.100 bits/byte" in tuned
    alone = Stored(cells({"x+1": {"words": around(9)}}), models({"x+1": "X + r16"}, adapter_run=R16.id))
    assert asked(alone)[2] == "Without answers of the base here: **X + r16**."


def test_qwen_by_speed_per_token() -> None:
    """20 against 25 tokens/s: 1.25 times as long per token, although its answers take far longer, being longer."""
    figures = {
        "q": {"decode_tok_s": around(20), "words": around(300), "latency_s": around(30), "ended": [1.0] * 20},
        "l": {"decode_tok_s": around(25), "words": around(100), "latency_s": around(8), "ended": [1.0] * 20},
    }
    stored = Stored(cells(figures), models({"q": "Qwen2.5 1.5B Instruct", "l": "Llama 3.2 1B Instruct"}))
    *_, qwen = asked(stored)
    assert qwen.startswith(
        "Over 20 prompts **Qwen2.5 1.5B Instruct** needs 1.25 times as long per token as **Llama 3.2 1B Instruct** "
        "(1.25–1.25); it writes 3.0 times the words"
    )
    figures["l"]["ended"] = [0.0] * 20
    *_, cut = asked(Stored(cells(figures), models({"q": "Qwen2.5 1.5B Instruct", "l": "Llama 3.2 1B Instruct"})))
    assert "(1.25–1.25); most of the answers were cut, so their length says nothing." in cut
    assert "1.2 to 1.3 times as long per token" in qwen


def published() -> Stored:
    """The study's 13 times as ``Answers`` gives them: one prompt of all five models, three of four."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    names, adapters = {}, {}
    for response in published_responses():
        prompt = figures.setdefault(response.model.key, {}).setdefault(response.messages[-1].content, {})
        known = {
            "latency_s": response.latency_s,
            "words": response.words,
            "seconds_per_word": response.seconds_per_word,
        }
        prompt |= {key: float("nan") if value is None else value for key, value in known.items()}
        names[response.model.key], adapters[response.model.key] = response.model.name, response.model.adapter_run
    frames = [
        cells({key: {figure: [values[figure]] for figure in values}}, repeats=1).assign(
            prompt_key=prompt, prompt=prompt
        )
        for key, prompts in figures.items()
        for prompt, values in prompts.items()
    ]
    described = models(names, adapter_run=tuple(adapters.values()), settings={(0.7, 512)})
    return Stored(pd.concat(frames), described, "published")


def test_published_study_allows_no_conclusion() -> None:
    """Single runs: the figures of its tables, paired by prompt, each without a verdict; what is unrecorded is said."""
    rank, steps, tuned, qwen = asked(published(), list(RUNS.values()))
    assert "rank and steps changed together" in rank and "rank and steps changed together" in steps
    assert "- Words: 241 words against 136 words (1 prompt: no verdict)" in rank
    assert "- Latency: 44.00 s against 38.00 s (1 prompt: no verdict)" in rank
    assert "Nothing says that the rest of the two recipes was the same." in rank
    assert "- Latency: 37.00 s against 52.00 s (3 prompts: no verdict)" in tuned, "medians of 32, 37, 38 and 49, 52, 99"
    assert "Without answers of the base here: **Qwen 2.5 1.5B Instruct" in tuned
    assert "over 3 prompts latency is 2.6 to 7.6 times Llama's" in qwen, "99 / 38 and 283 / 37"
    assert "known for 1 prompt, it is 0.643 s against 0.279 s, 2.3 times" in qwen, "99 / 154 and 38 / 136"
    assert "So few answers can't tell whether Qwen is slow." in qwen
    assert not any(word in f"{rank}{steps}{tuned}" for word in ("higher", "lower", "can be told"))


def test_nothing_stored() -> None:
    rank, steps, tuned, qwen = asked(Stored(cells({}), models({})))
    assert rank.startswith("No answers here") and steps.startswith("No answers here")
    assert tuned == "No answers here of a fine-tune." and qwen.startswith("No answers here of both Qwen")
