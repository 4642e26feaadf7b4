"""Turn closed files of responses into Parquet, which takes a fraction of the space and is read many times faster.

    python -m evaluation.compact                          # results/responses
    python -m evaluation.compact --older-than 1440 /data/responses

A file counts as closed when nothing was added to it for an hour. Each becomes a Parquet file of the same name, is
compared with it record by record, and is only then removed. Files with anything that a Parquet file would not hold
(torn or foreign lines, records of a newer version, fields that this version does not know) stay as they are, and so do
those that came from a data set of the hub: their machine may go on with them. Whenever this is stopped, no record is
lost and none counts twice; started again, it goes on.
"""

import argparse
import fcntl
import glob
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from evaluation.record_folder import hold, is_fetched
from evaluation.record_json import read_json_line, to_json_line
from evaluation.record_parquet import json_rows
from evaluation.record_source import column_kinds, relation
from evaluation.records import Response
from evaluation.settings import Settings

PART = ".parquet.part"
"""Ending of a file that is being written; nothing reads it."""


class LeftAloneError(Exception):
    """The file stays as it is; the message is a sentence that says why."""


@dataclass(frozen=True)
class Compacted:
    """What became of the files of a folder."""

    files: int
    bytes_before: int
    bytes_after: int
    left_alone: tuple[str, ...]
    """A sentence for each file that could not be turned."""
    in_use: int
    """Files that something was added to recently."""
    fetched: int
    """Files that another machine may still add to."""


def compact(folder: Path, older_than_s: float = 3600) -> Compacted:
    """Turn the closed files of a folder of responses into Parquet."""
    files = before = after = in_use = fetched = 0
    left_alone = []
    for part in folder.glob(f"*{PART}"):
        if _age_s(part) > older_than_s:
            part.unlink(missing_ok=True)  # of a run that was stopped
    for path in sorted(folder.glob("*.jsonl")):
        try:
            size = path.stat().st_size
            if is_fetched(path):
                fetched += 1
            elif _age_s(path) <= older_than_s:
                in_use += 1
            elif size:
                after += compact_file(path)
                before += size
                files += 1
        except (LeftAloneError, OSError, duckdb.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            left_alone.append(f"{path.name} stays as it is: {reason}")
    return Compacted(files, before, after, tuple(left_alone), in_use, fetched)


def compact_file(path: Path) -> int:
    """Replace a file by a Parquet file of the same name; returns its size in bytes. Raises ``LeftAloneError``,
    ``OSError``, ``duckdb.Error``; the file is still there then."""
    target = path.with_suffix(".parquet")
    state = _state(path)
    if not target.exists():
        with _part(path.parent) as part:
            _write(path, part)
            _compare(path, part)
            if _state(path) != state:
                raise LeftAloneError("something was added to it meanwhile.")
            part.rename(target)
            _sync(path.parent)
    else:
        _compare(path, target)  # stopped between these two steps
    with path.open("rb") as file:
        hold(file.fileno(), fcntl.LOCK_EX)  # who is adding to it finishes first, who comes later sees the target
        if _state(path) != state:
            target.unlink()
            raise LeftAloneError("something was added to it meanwhile.")
        path.unlink()
    _sync(path.parent)
    return target.stat().st_size


@contextmanager
def _part(folder: Path) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(suffix=PART, dir=folder)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _write(path: Path, part: Path) -> None:
    rows = relation(column_kinds(Response), [glob.escape(str(path))])
    name = str(part).replace("'", "''")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM {rows}) TO '{name}' (FORMAT parquet, COMPRESSION zstd)")
    part.chmod(path.stat().st_mode & 0o777)
    _sync(part)


def _compare(path: Path, parquet: Path) -> None:
    """Raises ``LeftAloneError`` unless the Parquet file holds exactly the records of the file, in their order."""
    with path.open("rb") as file:
        lines = ((number, line) for number, line in enumerate(file, start=1) if line.strip())
        for numbered, row in itertools.zip_longest(lines, json_rows(Response, parquet)):
            if numbered is None or row is None:
                raise LeftAloneError(_differ(parquet))
            number, line = numbered
            try:
                record = read_json_line(Response, line)
            except ValueError as error:
                raise LeftAloneError(f"line {number} would be lost. {error}") from error
            if json.loads(row) != json.loads(line):  # as it is where the line lacks nothing that a record may have
                if not _holds(json.loads(to_json_line(record)), json.loads(line)):
                    raise LeftAloneError(f"line {number} has fields that this version does not know.")
                if read_json_line(Response, row) != record:
                    raise LeftAloneError(_differ(parquet))


def _differ(parquet: Path) -> str:
    return (
        f"{parquet.name} would not hold the same records."
        if parquet.name.endswith(PART)
        else f"{parquet.name} is there, too, and holds other records; give one of them another name and both are read."
    )


def _holds(whole: Any, part: Any) -> bool:
    """Whether everything in ``part`` is in ``whole``, nested values included."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and _holds(whole[name], part[name]) for name in part)
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(_holds, whole, part))
    return bool(whole == part)


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _age_s(path: Path) -> float:
    """Since it was last written to."""
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0


def _sync(path: Path) -> None:
    """Have the disk hold the file, or the names in the folder, before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="default: responses/ in the folder of results")
    parser.add_argument("--older-than", type=float, default=60, metavar="MINUTES", help="default: 60")
    args = parser.parse_args()
    folder = args.folder or Settings.from_environment().results_dir / "responses"
    if not folder.is_dir():
        raise SystemExit(f"There is no folder {folder}, so there is nothing to turn into Parquet.")
    done = compact(folder, args.older_than * 60)
    print(f"{done.files:,} files turned into Parquet in {folder}: {_megabytes(done.bytes_before)} became", end=" ")
    print(f"{_megabytes(done.bytes_after)}, {_megabytes(done.bytes_before - done.bytes_after)} saved.")
    if done.in_use:
        print(f"{done.in_use:,} were written to in the last {args.older_than:g} minutes and stay as they are for now.")
    if done.fetched:
        print(
            f"{done.fetched:,} came from a data set, and another machine may still add to them: they stay as they are."
        )
    for sentence in done.left_alone:
        print(sentence)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


if __name__ == "__main__":
    main()
