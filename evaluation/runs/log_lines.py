"""The lines of training logs as columns of numbers, parsed by DuckDB: a hundred thousand in a tenth of a second.

DuckDB is more lenient than ``training.runlog.read_log``: of a line whose step and kind are right, a metric that is no
number is unknown, a number in quotes counts as one, and so does a fraction of a token; a line with a comma too many, or
with a key twice, is an entry.
"""

import glob
import os
import secrets
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from evaluation.host import available_cores

METRICS = (
    "loss",
    "epoch",
    "learning_rate",
    "grad_norm",
    "tokens",
    "tok_s",
    "elapsed_s",
    "mean_token_accuracy",
    "entropy",
)
"""Fields of ``training.runlog.LogEntry``, whose docstrings define them, beside ``step`` and ``kind``."""

LARGEST_STEP = 2**53
"""Beyond it a number of 64 bits is no longer exact."""


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines whose step and kind are what they must be, in the order of the file. Shape (entries,) but ``metrics``.

    Lines are counted from 0, without blank ones.
    """

    count: int
    """Of all lines."""
    line: NDArray[np.int64]
    """Which of them."""
    step: NDArray[np.int64]
    metrics: NDArray[np.float64]
    """Shape (len(METRICS), entries); NaN where unknown."""
    is_eval: NDArray[np.bool_]
    has_loss: NDArray[np.bool_]
    """The loss is a number, NaN and infinity among them."""


class ScratchError(OSError):
    """No temporary file can be written; the message tells where, why and what to do."""


class LineReader:
    """Parses logs. Not thread-safe."""

    def __init__(self) -> None:
        threads = max(1, min(4, round(available_cores())))
        self._connection = duckdb.connect(config={"threads": threads})
        weakref.finalize(self, self._connection.close)

    def of_contents(self, contents: Sequence[bytes]) -> list[Lines]:
        """The lines of each of these logs. DuckDB takes a millisecond to open a file, so they are parsed as one.

        Raises ``ScratchError`` and ``duckdb.Error``.
        """
        mark = secrets.token_hex(16)
        with _written(content + _end(mark) for content in contents) as joined:
            return self._parse([joined], mark)

    def of_file(self, path: Path) -> Lines:
        """The lines of a log that may be large.

        Raises ``ScratchError``, ``duckdb.Error``, and ``UnicodeError`` because of its name.
        """
        mark = secrets.token_hex(16)
        with _written([_end(mark)]) as end:
            (lines,) = self._parse([str(path), end], mark)
            return lines

    def _parse(self, paths: Sequence[str], mark: str) -> list[Lines]:
        """Of each log; after its last line comes one whose kind is ``mark``."""
        files = [glob.escape(os.path.abspath(path)) for path in paths]
        found: dict[str, Any] = self._connection.execute(_QUERY, {"files": files, "mark": mark}).fetchnumpy()
        metrics = np.vstack([found.pop(name) for name in METRICS])
        logs, first, first_line = [], 0, 0
        for end in np.flatnonzero(found["is_mark"]).tolist():
            part = slice(first, end)
            last_line = int(found["line"][end])
            logs.append(
                Lines(  # copies: one log must not keep all of them in memory
                    last_line - first_line,
                    found["line"][part] - first_line,
                    found["step"][part].astype(np.int64),
                    metrics[:, part].copy(),
                    found["is_eval"][part].copy(),
                    found["has_loss"][part].copy(),
                )
            )
            first, first_line = end + 1, last_line + 1
        return logs


@contextmanager
def _written(parts: Iterable[bytes]) -> Iterator[str]:
    """A temporary file's name. Raises ``ScratchError``."""
    with ExitStack() as stack:
        try:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "lines")
            with path.open("wb") as file:
                file.writelines(parts)
        except OSError as error:
            raise ScratchError(_why_not_written(error)) from error
        yield str(path)


def _why_not_written(error: OSError) -> str:
    folder = tempfile.tempdir or "any folder for them"
    return (
        f"no temporary file can be written in {folder} ({error.strerror}). Free some space there, or start this "
        "program with another folder in TMPDIR."
    )


def _end(mark: str) -> bytes:
    return b'\n{"kind":"%s"}\n' % mark.encode()


_COLUMNS = ", ".join(f"{name}: 'DOUBLE'" for name in METRICS)
# hive_partitioning: the name of a folder must not become a column.
_QUERY = f"""
    SELECT
        line, coalesce(step, 0) AS step, {", ".join(f"coalesce({name}, 'NaN') AS {name}" for name in METRICS)},
        kind = 'eval' AS is_eval, loss IS NOT NULL AS has_loss, kind = $mark AS is_mark
    FROM (
        SELECT row_number() OVER () - 1 AS line, * FROM read_json(
            $files, columns = {{step: 'DOUBLE', kind: 'VARCHAR', {_COLUMNS}}}, format = 'newline_delimited',
            ignore_errors = true, hive_partitioning = false, compression = 'uncompressed'
        )
    )
    WHERE kind = $mark OR (step = trunc(step) AND abs(step) <= {LARGEST_STEP} AND kind IN ('train', 'eval'))
"""
