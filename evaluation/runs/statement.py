"""All that is said of how a run went: a headline, and the sentences it rests on."""

from dataclasses import dataclass

from evaluation.runs.held_out_words import diverged_sentence, fell_clearly, held_out_sentence
from evaluation.runs.logs import RunLog
from evaluation.runs.trend import Trend, starting_threshold, trend
from evaluation.runs.trend_words import headline, sentences
from training.runlog import Run


@dataclass(frozen=True)
class Statement:
    """Markdown."""

    headline: str
    sentences: tuple[str, ...]
    """Most important first."""
    diverged: bool
    """Its last losses are no finite numbers."""
    trend: Trend | None


def statement(run: Run, log: RunLog, threshold: float | None = None) -> Statement:
    """Of a run and its log; ``threshold``: the training loss above which steps are counted."""
    losses, diverged = log.train["loss"].to_numpy(), log.diverged_steps
    found = trend(log.train["step"].to_numpy(), losses, starting_threshold(losses) if threshold is None else threshold)
    at_end = bool(len(diverged)) and bool(diverged[-1] == log.train["step"].max())
    first, *others = sentences(found)
    rows = _held_out_rows(run)
    about = (diverged_sentence(diverged), first, held_out_sentence(log.held_out, rows), *others)
    return Statement(
        headline=headline(found, at_end, fell_clearly(log.held_out, rows)),
        sentences=tuple(sentence for sentence in about if sentence),
        diverged=at_end,
        trend=found,
    )


def _held_out_rows(run: Run) -> int | None:
    """How many rows each evaluation measured; only of training here it is known that they were always the same."""
    return (run.data.held_out_rows or None) if run.data and run.origin == "trained" else None
