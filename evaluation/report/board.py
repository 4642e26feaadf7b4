"""The leaderboard's table as a page shows it: median above, interval below."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.leaderboard.figures import BY_KEY, Figure
from evaluation.leaderboard.table import heading, known_figures, legend, median, median_text, sureness
from evaluation.leaderboard.view import View


@dataclass(frozen=True)
class Cell:
    """A figure of a model."""

    value: float | None
    """What rows are sorted by."""
    text: str
    sureness: tuple[str, ...]
    """Its interval and n, as far as there are any."""
    best: bool


@dataclass(frozen=True)
class BoardRow:
    """A model."""

    name: str
    color: str
    prompts: int
    answers: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """All of it."""

    figures: tuple[Figure, ...]
    headings: tuple[str, ...]
    rows: tuple[BoardRow, ...]
    legend: str


def table(view: View) -> Table:
    """The figures that people look at first, of the models that have answers."""
    board = view.measured.board
    figures = tuple(figure for figure in known_figures(board) if figure.shown)
    rows = tuple(
        BoardRow(
            view.labels[row.model_key],
            view.colors[row.model_key],
            row.prompts,
            row.answers,
            tuple(
                Cell(
                    median(row, figure),
                    median_text(row, figure),
                    sureness(row, figure),
                    board.best.get(figure.key) == row.model_key,
                )
                for figure in figures
            ),
        )
        for row in board.rows
    )
    said = legend(board, [figure.key for figure in figures], where="below them")
    return Table(figures, tuple(map(heading, figures)), rows, said)


def definitions(figures: Sequence[Figure]) -> list[tuple[str, str]]:
    """Heading and meaning of each."""
    return [(heading(BY_KEY[figure.key]), figure.definition) for figure in figures]
