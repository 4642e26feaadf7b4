"""One selection of the stored answers, from the store to all that a page shows and says of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.charts.colors import model_colors
from evaluation.leaderboard.answers import Answers, HostFacts, Selection
from evaluation.leaderboard.board import Board, make_board
from evaluation.leaderboard.verdict import verdict
from evaluation.models.names import distinct, printable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Models:
    """All models of a machine, by key."""

    names: dict[str, str]
    """Distinct ones."""
    runs: dict[str, str]
    """The training run of each fine-tune."""


@dataclass(frozen=True)
class Measured:
    """What follows from the selected answers."""

    cells: "pd.DataFrame"
    """As ``Answers.cells``."""
    board: Board
    sentences: Sequence[str]
    """The verdict, Markdown."""


@dataclass(frozen=True)
class View:
    """Everything that is drawn of a selection."""

    answers: Answers
    version: int
    """Of the answers."""
    host: HostFacts
    selection: Selection
    measured: Measured
    colors: dict[str, str]
    """By model key."""
    labels: dict[str, str]
    """Distinct names by model key, in the order of the board; the verdict has the same."""


def models_of(answers: Answers, host: str) -> Models:
    """The models that have answers on a machine, whatever is selected: a model has one name on a whole page."""
    found = answers.models(Selection(host=host, disturbed=True, common=False))
    tuned = found[found["adapter_run"].notna()]
    names = [printable(name) or key for name, key in zip(found["model_name"], found["model_key"], strict=True)]
    labels = distinct(names, list(found["quantization"]), list(found["model_key"]))
    return Models(
        dict(zip(found["model_key"], labels, strict=True)),
        dict(zip(tuned["model_key"], tuned["adapter_run"], strict=True)),
    )


def measure(answers: Answers, selection: Selection, names: Mapping[str, str]) -> Measured:
    """Rows and verdict of a selection; ``names`` by model key, as those of ``models_of``."""
    cells, found = answers.cells(selection), answers.models(selection)
    board = make_board(cells, found.assign(model_name=found["model_key"].map(names)))
    return Measured(cells, board, verdict(board, cells))


def make_view(
    answers: Answers,
    version: int,
    host: HostFacts,
    selection: Selection,
    measured: Measured,
    names: Mapping[str, str],
    known: Iterable[str] = (),
) -> View:
    """The view of a selection. Colors go by all models in ``names`` and ``known`` (keys of those that every page
    knows), so that no filter changes them."""
    labels = {row.model_key: row.name for row in measured.board.rows}
    return View(answers, version, host, selection, measured, model_colors(known, names), labels)


def only_disturbed(view: View) -> bool:
    """Whether nothing counts, and would if disturbed answers did."""
    board = view.measured.board
    return not board.answered and any(row.left_out.get("disturbed") for row in board.rows)
