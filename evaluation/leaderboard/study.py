"""The published study's own questions, answered from stored data.

Does rank 32 differ from rank 16, do 120 steps differ from 60, what does a fine-tune change of its base, is Qwen slow?
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, Literal

from evaluation.leaderboard.answers import Answers, Selection
from evaluation.leaderboard.board import Board, Row, make_board
from evaluation.leaderboard.compare import compare_two, per_prompt
from evaluation.leaderboard.figures import BY_KEY, shown
from evaluation.leaderboard.recipes import Settings, settings_of
from evaluation.leaderboard.wording import amount, counted, listed, median_of, names, times
from evaluation.statistics import FEWEST, PairedDifference
from training.runlog import Run

if TYPE_CHECKING:
    import pandas as pd

Change = Literal["rank", "steps"]

REPORTED = ("words", "latency_s", "latency_150_s", "bits_per_byte")
QWEN, LLAMA = (re.compile(name, re.IGNORECASE) for name in (r"qwen\W*2\.5\W*1\.5b", r"llama\W*3\.2\W*1b"))
ONE_RUN_EACH = "One training run each: how far another seed would move an adapter is in none of these intervals."
MOSTLY = 0.5
UNRECORDED = "Nothing says that the rest of the two recipes was the same."
EXPECTED = (
    "Each token of an answer takes reading every weight once, so by their parameters (1.54 against 1.24 billion) Qwen "
    "is expected to need 1.2 to 1.3 times as long per token."
)


@dataclass(frozen=True)
class Finding:
    """One question and what the data say."""

    question: str
    answer: str
    """Markdown; says so when the data do not allow an answer, and why."""


def findings(answers: Answers, host: str, runs: Sequence[Run], disturbed: bool = False) -> list[Finding]:
    """From the answers of one host and the records of the runs that its models name; ``disturbed`` ones count if told.

    From benchmarks alone, where the host has any. Two models are compared on the prompts that both have answered.
    """
    selection = _selection(answers, host, disturbed)
    cells = answers.cells(selection)
    study = _Study(make_board(cells, answers.models(selection)), cells, {run.id: run for run in runs})
    return [
        Finding("Does rank 32 differ from rank 16?", study.changed("rank", 16, 32)),
        Finding("Do 120 steps differ from 60?", study.changed("steps", 60, 120)),
        Finding("What does a fine-tune change of its base?", study.fine_tuned()),
        Finding("Is Qwen slow?", study.qwen()),
    ]


def basis(answers: Answers, host: str, disturbed: bool = False) -> str:
    """Which answers of the host the findings rest on, for a sentence."""
    chosen = _selection(answers, host, disturbed)
    which = "all benchmark answers" if chosen.origins else "all answers"
    return f"{which}, disturbed ones included" if disturbed and chosen.origins else which


def _selection(answers: Answers, host: str, disturbed: bool) -> Selection:
    benchmarks = Selection(host=host, origins=("benchmark",), common=False, disturbed=disturbed)
    return benchmarks if not answers.cells(benchmarks).empty else replace(benchmarks, origins=())


class _Study:
    """The data of one host."""

    def __init__(self, board: Board, cells: "pd.DataFrame", runs: dict[str, Run]) -> None:
        self.rows = board.answered
        self.cells = cells
        self.names = names(board)
        self.trained: list[tuple[Row, Settings]] = []
        for row in self.rows:
            settings = settings_of(runs.get(row.adapter_run), row.name) if row.adapter_run else None
            if settings:
                self.trained.append((row, settings))

    def changed(self, what: Change, low: int, high: int) -> str:
        """Two fine-tunes that differ in this alone, else in rank and steps; else why nothing can be said."""
        pairs = [
            (first, second)
            for first, second in permutations(self.trained, 2)
            if _base_of(first[0]) == _base_of(second[0])
            and (getattr(first[1], what), getattr(second[1], what)) == (low, high)
        ]
        alike = [(a, b) for a, b in pairs if not a[1].other_differences(b[1])]
        other: Change = "steps" if what == "rank" else "rank"
        alone = [(a, b) for a, b in alike if getattr(a[1], other) == getattr(b[1], other)]
        if alone:
            return _paragraphs(*(self._trained_pair(a, b) for a, b in alone), ONE_RUN_EACH)
        if alike:
            return _paragraphs(*(self._together(a, b, what) for a, b in alike), ONE_RUN_EACH)
        if pairs:
            (row, settings), (other_row, other_settings) = pairs[0]
            keys = listed([f"`{key}`" for key in settings.other_differences(other_settings)])
            return f"Can't be said: {self._name(row)} and {self._name(other_row)} differ in {keys}, too."
        return f"No answers here of two fine-tunes of one base with {what} {low} and {high}."

    def fine_tuned(self) -> str:
        """Each fine-tune against its base."""
        by_base = {row.name if _is_by_name(row) else row.model_key: row for row in self.rows if not _is_tuned(row)}
        tuned = [(row, by_base.get(_base_of(row))) for row in self.rows if _is_tuned(row)]
        missing = [self._name(row) for row, base in tuned if base is None]
        parts = [self._against(row, base) for row, base in tuned if base]
        if missing:
            parts.append(f"Without answers of the base here: {listed(missing)}.")
        return _paragraphs(*parts) or "No answers here of a fine-tune."

    def qwen(self) -> str:
        """Speed per token where it was measured; per word where it was not."""
        pair = self._qwen_and_llama()
        if pair is None:
            return f"No answers here of both Qwen 2.5 1.5B and Llama 3.2 1B. {EXPECTED}"
        qwen, llama = pair
        speed = self._pair("decode_tok_s", llama, qwen)
        both = f"{self._name(qwen)} and {self._name(llama)}"
        if speed is None:
            return _paragraphs(
                f"{both}: {self._per_word(qwen, llama)}", f"{EXPECTED} The rest is length, the machine, or chance."
            )
        length = f"it writes {times(self._pair('words', qwen, llama), 'the words')}"
        if any(row.figures["ended"].median < MOSTLY for row in pair):
            length = "most of the answers were cut, so their length says nothing"
        lead = (
            f"Over {counted(speed.difference.n, 'prompt')} {self._name(qwen)} needs "
            f"{times(speed, f'as long per token as {self._name(llama)}')}; {length}."
        )
        few = f"With fewer than {FEWEST} prompts that is no verdict." if speed.told_apart is None else ""
        return _paragraphs(f"{lead} {few}".strip(), EXPECTED)

    def _trained_pair(self, first: tuple[Row, Settings], second: tuple[Row, Settings]) -> str:
        known = first[1].complete and second[1].complete
        return _paragraphs(self._against(second[0], first[0]), "" if known else UNRECORDED)

    def _together(self, first: tuple[Row, Settings], second: tuple[Row, Settings], what: Change) -> str:
        a, b, steps = self._name(first[0]), self._name(second[0]), second[1].steps
        lead = (
            f"Not to be said of {what} alone: from {a} to {b} rank and steps changed together. A run with the recipe "
            f"of the former and `--set training.steps={steps}` would part them: beside the former it shows what the "
            "steps do, beside the latter what the rank does."
        )
        return _paragraphs(lead, self._trained_pair(first, second))

    def _against(self, row: Row, baseline: Row) -> str:
        lines = [line for figure in REPORTED if (line := self._line(figure, row, baseline))]
        if not lines:
            return f"{self._name(row)} and {self._name(baseline)} have no prompt in common."
        differing = "" if row.settings == baseline.settings else " Their answers were written with different settings."
        return f"{self._name(row)} against {self._name(baseline)}:{differing}\n\n" + "\n".join(lines)

    def _line(self, key: str, row: Row, baseline: Row) -> str | None:
        figure, pair = BY_KEY[key], self._pair(key, row, baseline)
        if pair is None:
            return None
        if pair.told_apart is None:
            pairs = self._values(key, row, baseline)
            value, other = (shown(figure, float(pairs[column].median())) for column in ("value", "baseline_value"))
            return f"- {figure.label}: {value} against {other} ({counted(len(pairs), 'prompt')}: no verdict)"
        if not pair.told_apart:
            return f"- {figure.label}: no difference can be told, {median_of(figure, pair.difference)}"
        way = "higher" if pair.difference.median > 0 else "lower"
        return f"- {figure.label}: {way} by {amount(figure, pair.difference)}"

    def _qwen_and_llama(self) -> tuple[Row, Row] | None:
        """Two that were quantized and fine-tuned alike, if there are any."""
        sides = [[row for row in self.rows if model.match(row.name)] for model in (QWEN, LLAMA)]
        pairs = [(qwen, llama) for qwen in sides[0] for llama in sides[1]]

        def unlike(pair: tuple[Row, Row]) -> int:
            qwen, llama = ((row.quantization, row.name.partition(" + ")[2]) for row in pair)
            return sum(ours != theirs for ours, theirs in zip(qwen, llama, strict=True))

        return min(pairs, key=unlike, default=None)

    def _per_word(self, qwen: Row, llama: Row) -> str:
        latency, per_word = (self._values(key, qwen, llama) for key in ("latency_s", "seconds_per_word"))
        if latency.empty:
            return "no prompt in common."
        ratios = latency["value"] / latency["baseline_value"]
        text = (
            f"over {counted(len(ratios), 'prompt')} latency is {ratios.min():.1f} to {ratios.max():.1f} times Llama's, "
            "and no speed per token was recorded."
        )
        if not per_word.empty:
            value, other = (float(per_word[column].median()) for column in ("value", "baseline_value"))
            figure = BY_KEY["seconds_per_word"]
            text += (
                f" Per word, known for {counted(len(per_word), 'prompt')}, it is {shown(figure, value)} against "
                f"{shown(figure, other)}, {value / other:.1f} times."
            )
        return text + (" So few answers can't tell whether Qwen is slow." if len(latency) < FEWEST else "")

    def _values(self, figure: str, row: Row, baseline: Row) -> "pd.DataFrame":
        pairs = per_prompt(self.cells, baseline.model_key, figure)
        return pairs[pairs["model_key"] == row.model_key]

    def _pair(self, figure: str, row: Row, baseline: Row) -> PairedDifference | None:
        return compare_two(self.cells, row.model_key, baseline.model_key, figure)

    def _name(self, row: Row) -> str:
        return self.names[row.model_key]


def _is_by_name(row: Row) -> bool:
    return row.model_key.startswith("published-")


def _is_tuned(row: Row) -> bool:
    return "+" in row.model_key or row.adapter_run is not None


def _base_of(row: Row) -> str:
    """Key of the base, which is the start of the model's own key; of published models its name."""
    return row.name.partition(" + ")[0] if _is_by_name(row) else row.model_key.partition("+")[0]


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
