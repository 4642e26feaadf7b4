"""The answer losses on disk, as responses are: append-only JSON lines, in ``results/losses/``."""

from pathlib import Path

from evaluation.record_folder import Appender, Problem, find_records, read_records
from evaluation.records import AnswerLoss


class LossStore:
    """The answer losses in one folder; ``published`` is another one, never written to. Thread-safe."""

    def __init__(self, folder: Path, published: Path | None = None) -> None:
        self._folders = [folder, *([published] if published else [])]
        self._appender = Appender(folder, "The answer loss")

    def append(self, loss: AnswerLoss) -> None:
        """Save; on disk when this returns. Raises ``StoreError``."""
        self._appender.append(loss)

    def read(self) -> tuple[tuple[AnswerLoss, ...], tuple[Problem, ...]]:
        """Every loss, oldest first, and every line that is none."""
        losses, problems = read_records(AnswerLoss, self._folders)
        return _oldest_first(losses), tuple(problems)

    def of_benchmark(self, benchmark: str) -> tuple[AnswerLoss, ...]:
        """Those of one benchmark, oldest first."""
        return _oldest_first(find_records(AnswerLoss, self._folders, "benchmark", benchmark))


def _oldest_first(losses: list[AnswerLoss]) -> tuple[AnswerLoss, ...]:
    return tuple(sorted(losses, key=lambda loss: (loss.measured_at, loss.id)))
