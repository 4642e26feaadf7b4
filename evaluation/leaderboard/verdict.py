"""What may be said about a leaderboard, in words: computed from it, and hedged by its intervals.

Each "is" rests on an interval of paired differences that leaves out zero; what rests on medians alone says so.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from evaluation.leaderboard.board import Board, Row, pareto_front
from evaluation.leaderboard.compare import compare_two
from evaluation.leaderboard.figures import BY_KEY
from evaluation.leaderboard.repeats import would_repeats_tell
from evaluation.leaderboard.wording import (
    amount,
    counted,
    direction,
    escaped,
    in_words,
    listed,
    median_of,
    names,
    prompts_needed,
    times,
)
from evaluation.statistics import FEWEST, PairedDifference

if TYPE_CHECKING:
    import pandas as pd

QUALITY = "bits_per_byte"
NEIGHBOURS = 4
"""Of a long table only the first few neighbours are looked at: the others matter to nobody's choice."""


def verdict(board: Board, cells: "pd.DataFrame") -> list[str]:
    """Sentences (Markdown): how long a user waits for 150 words; which models nothing beats; what the fastest costs in
    quality; whether a latency comes from length or speed; what can't be told apart yet and how many more prompts (or
    repeats) would tell. With too few pairs they say so."""
    said = _Said(board, cells)
    return [*said.sentences(), *said.caveats()]


class _Said:
    """The sentences about one board."""

    def __init__(self, board: Board, cells: "pd.DataFrame") -> None:
        self.board = board
        self.cells = cells
        self.names = names(board)
        known = {key for row in board.answered for key in row.figures}
        self.wait = "latency_150_s" if "latency_150_s" in known else "latency_s"

    def sentences(self) -> Iterator[str]:
        rows = self.board.answered
        if not rows:
            yield "No answer here counts yet: run a benchmark, or choose more origins, prompts or models."
        elif len(rows) == 1:
            yield from self._one_model(rows[0])
        elif (most := max(row.prompts for row in rows)) < FEWEST:
            once = ", once each" if (self.cells["answers"] == 1).all() else ""
            yield (
                f"The models have answered {counted(most, 'prompt')} at most{once}: no verdict, only the points. With "
                f"{FEWEST} prompts that every model has answered there are intervals."
            )
        elif not self.board.same_prompts:
            yield (
                "The models have not all answered the same prompts, so their medians can't be ranked. What follows is "
                "paired: it compares two models on the prompts that both have answered."
            )
            yield from self._long_or_slow()
            yield from self._not_told_apart()
        else:
            yield from self._waiting()
            yield from self._nothing_beats()
            yield from self._long_or_slow()
            yield from self._not_told_apart()

    def caveats(self) -> Iterator[str]:
        """What a reader must know of the answers behind the figures."""
        rows = self.board.answered
        if len(set().union(*(row.settings for row in rows))) > 1:
            by_model = [f"{self.names[row.model_key]} with {listed(in_words(row.settings))}" for row in rows]
            yield f"Settings differ: {'; '.join(by_model)}. They change the length of an answer, and so its latency."
        for row in self.board.rows:
            if row.failed:
                yield f"{self.names[row.model_key]} failed {counted(row.failed, 'time')}; no figure shows that."
            if not row.prompts:
                reasons = "".join(f"; {escaped(reason)}: {number}" for reason, number in row.left_out.items())
                yield f"{self.names[row.model_key]} has no answer that counts{reasons}."

    def _one_model(self, row: Row) -> Iterator[str]:
        name = self.names[row.model_key]
        if self.wait in row.figures:
            yield f"With {name} {self._takes(row)}."
        if row.prompts < FEWEST:
            yield f"Fewer than {FEWEST} prompts: there is no interval, only the points."
        yield f"{name} is the only model here: with a second one on the same prompts there is something to compare."

    def _waiting(self) -> Iterator[str]:
        rows = self._by(self.wait)
        if not rows:
            return
        first, others = rows[0], rows[1:]
        told = {row.model_key: direction(self._pair(self.wait, row, first)) for row in others}
        unclear = [self.names[key] for key, sign in told.items() if sign != 1]
        so_far = f" so far, though not told apart from {listed(unclear)}" if unclear else ""
        fairly = " when all write as much" if self.wait == "latency_150_s" else ""
        yield f"With {self.names[first.model_key]} a user waits least{fairly}{so_far}: {self._takes(first)}."
        rest = [f"{self.names[row.model_key]} {median_of(BY_KEY[self.wait], row.figures[self.wait])}" for row in others]
        if rest:
            yield f"The same of the others: {listed(rest)}."

    def _nothing_beats(self) -> Iterator[str]:
        by_key = {row.model_key: row for row in self.board.answered}
        front = [by_key[key] for key in pareto_front(self.board, self.wait, QUALITY) if key in by_key]
        judged = [row for row in self._by(self.wait) if QUALITY in row.figures]
        if not judged:
            yield "What the speed costs in quality is unknown: bits per byte are not known here."
        if len(judged) < 2:
            return
        label = escaped(BY_KEY[self.wait].label.lower())
        best = listed([self.names[row.model_key] for row in front])
        sentence = f"By their medians nothing beats {best} in both {label} and bits per byte"
        beaten = [(row, self._beaten_by(row, front)) for row in judged if row not in front]
        sure = [f"{self.names[row.model_key]} (by {self.names[by.model_key]})" for row, by in beaten if by]
        unsure = [self.names[row.model_key] for row, by in beaten if not by]
        if sure:
            sentence += f"; beaten in both, by the intervals too: {listed(sure)}"
        if unsure:
            sentence += f"; beaten by the medians only, which may be chance: {listed(unsure)}"
        yield f"{sentence}."
        if len(front) > 1:
            yield from self._price(front[0], front[-1])

    def _beaten_by(self, row: Row, front: Sequence[Row]) -> Row | None:
        """A model that is told apart from it, and better, in both."""
        for better in front:
            if all(direction(self._pair(figure, row, better)) == 1 for figure in (self.wait, QUALITY)):
                return better
        return None

    def _price(self, fastest: Row, best: Row) -> Iterator[str]:
        pair = self._pair(QUALITY, fastest, best)
        if pair is None or pair.told_apart is None:
            return
        fast, good = self.names[fastest.model_key], self.names[best.model_key]
        if pair.told_apart and pair.difference.median > 0:
            cost = amount(BY_KEY[QUALITY], pair.difference)
            yield f"The fastest of them, {fast}, costs {cost} against the best, {good}."
        else:
            yield f"That the fastest of them, {fast}, costs quality against {good} can't be told."

    def _long_or_slow(self) -> Iterator[str]:
        """Whether a latency comes from the length of the answers or from the speed of the model."""
        rows = {row.model_key: row for row in self.board.answered}
        for row in list(rows.values())[: NEIGHBOURS + 1]:
            own_base = rows.get(row.model_key.partition("+")[0], row)
            base = own_base if own_base is not row else self.board.answered[0]
            latency = self._pair("latency_s", row, base)
            sign = direction(latency)
            if latency and sign:
                name, whose = self.names[row.model_key], "its base" if base is own_base else self.names[base.model_key]
                prompts = counted(latency.difference.n, "prompt")
                took = f"Over {prompts} an answer of {name} takes {times(latency, f'as long as one of {whose}')}"
                yield f"{took}: {self._why(row, base, sign)}."

    def _why(self, row: Row, base: Row, sign: int) -> str:
        length, speed = self._pair("words", row, base), self._pair("latency_150_s", row, base)
        words, pace = f"it writes {times(length, 'the words')}", f"150 words take it {times(speed, 'as long')}"
        match direction(length) * sign, direction(speed) * sign:
            case 1, 1:
                return f"{words}, and {pace}"
            case 1, 0:
                return f"{words}; at one length no difference can be told"
            case 1, -1:
                return f"{words}, although {pace}"
            case 0, 1:
                return f"{pace}; in words no difference can be told"
            case -1, 1:
                return f"{pace}, although {words}"
        return "whether from length or from speed can't be told"

    def _not_told_apart(self) -> Iterator[str]:
        for figure in (self.wait, QUALITY):
            for first, second in list(pairwise(self._by(figure)))[:NEIGHBOURS]:
                pair = self._pair(figure, second, first)
                both = f"{self.names[first.model_key]} and {self.names[second.model_key]}"
                label = BY_KEY[figure].label.lower()
                if pair is None or pair.told_apart is None:
                    shared = counted(pair.difference.n if pair else 0, "prompt")
                    yield f"{both} share {shared} with a known {label}: too few to compare them in it."
                elif not pair.told_apart:
                    observed = f"the difference (second − first) is {median_of(BY_KEY[figure], pair.difference)}"
                    more = prompts_needed(pair)
                    repeats = would_repeats_tell(self.cells, figure, second.model_key, first.model_key)
                    yield f"{both} can't be told apart in {label} yet: {observed}. {more}{repeats}"

    def _by(self, figure: str) -> list[Row]:
        """Rows with the figure, least first."""
        known = [row for row in self.board.answered if figure in row.figures]
        return sorted(known, key=lambda row: row.figures[figure].median)

    def _pair(self, figure: str, row: Row, baseline: Row) -> PairedDifference | None:
        return compare_two(self.cells, row.model_key, baseline.model_key, figure)

    def _takes(self, row: Row) -> str:
        what = "150 words take" if self.wait == "latency_150_s" else "an answer takes"
        return f"{what} {median_of(BY_KEY[self.wait], row.figures[self.wait])}"
