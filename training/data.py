"""Training data: from a file or the hub to conversations, and a card that says what became of every row.

    check_source(section)                    # can it be reached? before anything heavy is loaded
    prepared = prepare(section, seed=3407)   # prepared.train, prepared.held_out, prepared.card

Rows that cannot be used are counted by reason, each filter by the rows it leaves. The same data, section and seed give
the same conversations in the same order. Nothing of a file is cached, so a changed file is never taken for the old one.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import hub
from training.filters import answer_words, check_filters, draw, filters, fingerprint
from training.recipe import DataSection
from training.recipe_paths import is_local
from training.rows import READ, DataError, Row, Unusable, choose_form, read_row
from training.runlog import ANSWER_WORDS_BIN, DataCard, FilterStep

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["DataError", "Prepared", "check_source", "prepare"]

ENDINGS = (".jsonl", ".json", ".parquet")
ANSWER_WORDS_BINS = 50
EXAMPLES = 3


@dataclass(frozen=True)
class Prepared:
    """What a run learns from. Both data sets have one column, ``messages``: a list of ``role`` and ``content``."""

    train: "Dataset"
    held_out: "Dataset | None"
    card: DataCard


def check_source(section: DataSection) -> None:
    """Whether the data is there, without reading it. Raises ``DataError``."""
    _commit(section.source, section.revision)
    if section.held_out is not None:
        _commit(section.held_out, None, "data.held_out")


def prepare(section: DataSection, seed: int) -> Prepared:
    """Read, filter and split the data. Raises ``DataError``, also when a filter leaves nothing."""
    stored = _read(section.source, section.revision, section)
    rows, unusable = stored.rows, stored.unusable
    held_out = _read_held_out(section)
    check_filters(section, stored.columns, {row.source for row in rows if row.source}, stored.name)
    steps: list[FilterStep] = []

    def after(name: str, left: list[Row]) -> list[Row]:
        if not left:
            taken = steps[-1].rows_left if steps else len(rows)
            raise DataError(f"Nothing of {stored.name} is left to train on: '{name}' took the last {taken:,} rows.")
        steps.append(FilterStep(name, len(left)))
        return left

    train = rows
    for name, keep in filters(section, seed):
        train = after(name, keep(train))
    if section.held_out_rows and not section.held_out:
        held_out, train = draw(train, section.held_out_rows, f"held out {seed}")
        after(f"{len(held_out)} rows held out (seed {seed})", train)
    if held_out:
        kept_back = {fingerprint(row) for row in held_out}
        train = [row for row in train if fingerprint(row) not in kept_back]
        after("no row equal to a held-out one", train)
    card = DataCard(
        name=stored.name,
        revision=stored.revision,
        rows=len(rows) + sum(unusable.values()),
        unusable=unusable,
        filters=tuple(steps),
        train_rows=len(train),
        held_out_rows=len(held_out),
        sha256=_sha256(train),
        sources=dict(Counter(row.source for row in train if row.source is not None).most_common()),
        answer_words=_histogram(train),
        examples=tuple(row.messages for row in train[:EXAMPLES]),
        license=stored.license,
    )
    return Prepared(_dataset(train), _dataset(held_out) if held_out else None, card)


@dataclass(frozen=True)
class _Stored:
    """What a file or a repository holds."""

    name: str
    revision: str | None
    columns: Sequence[str]
    rows: list[Row]
    unusable: Mapping[str, int]
    license: str | None


def _read(source: str, revision: str | None, section: DataSection, setting: str = "data.source") -> _Stored:
    commit = _commit(source, revision, setting)
    path = Path(source) if is_local(source) else None
    name, columns, raw = _file(path) if path else _repository(source, section.split, commit)
    form = choose_form(section.form, columns, name)
    rows: list[Row] = []
    unusable: Counter[str] = Counter()
    for each in raw:
        try:
            rows.append(read_row(each, form))
        except Unusable as reason:
            unusable[str(reason)] += 1
    if not rows:
        reasons = ", ".join(f"{count:,} × {reason}" for reason, count in unusable.most_common(5))
        raise DataError(f"{name} has no usable row as {form} data ({reasons or 'it is empty'}). See data.form.")
    license = _license_beside(path) if path else hub.license_of("dataset", source, commit)
    return _Stored(name, commit, columns, rows, dict(unusable.most_common()), license)


def _commit(source: str, revision: str | None, setting: str = "data.source") -> str | None:
    """The commit to read, so that every part of the data comes from the same one; ``None`` for a file that is there."""
    if is_local(source):
        _check_file(Path(source))
        return None
    try:
        return hub.check_dataset(source, revision, setting)
    except hub.HubError as error:
        raise DataError(str(error)) from None


def _read_held_out(section: DataSection) -> list[Row]:
    """Rows of their own for evaluation; all of them must be usable, so that the loss is that of the whole file."""
    if section.held_out is None:
        return []
    stored = _read(section.held_out, None, section, "data.held_out")
    if stored.unusable:
        reasons = ", ".join(f"{count:,} × {reason}" for reason, count in stored.unusable.items())
        raise DataError(
            f"The held-out rows in {stored.name} cannot all be used ({reasons}): mend or remove these, or let "
            f"data.held_out_rows split rows off."
        )
    return stored.rows


def _check_file(path: Path) -> None:
    if not path.exists():
        raise DataError(f"There is no data file {path}: correct the path, or name a data set on the hub as user/name.")
    if path.suffix.casefold() not in ENDINGS or not path.is_file():
        raise DataError(f"{path} is not a data file: name one that ends in {', '.join(ENDINGS)}.")


_Raw = tuple[str, Sequence[str], Iterable[Mapping[str, Any]]]
"""Name, columns and rows as they are stored."""


def _file(path: Path) -> _Raw:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        if path.suffix.casefold() == ".parquet":
            from datasets import Dataset

            return _table(path.name, Dataset(parquet.read_table(path)))
        rows = list(_json_lines(path) if path.suffix.casefold() == ".jsonl" else _json_list(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a Parquet file that can be read: {' '.join(str(error).split())}") from None
    if not rows:
        raise DataError(f"{path} holds no rows.")
    return path.name, list(dict.fromkeys(key for row in rows for key in row)), rows


def _json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _object(_parse(line, f"Line {number} of {path}"), f"Line {number} of {path}")


def _json_list(path: Path) -> list[Mapping[str, Any]]:
    rows = _parse(path.read_bytes(), str(path))
    if not isinstance(rows, list):
        raise DataError(f"{path} is not a list of rows. If it has one object per line, let its name end in .jsonl.")
    return [_object(row, f"Row {number} of {path}") for number, row in enumerate(rows, start=1)]


def _parse(text: bytes, where: str) -> Any:
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"{where} is not UTF-8 text: save the file in that encoding.") from None
    except json.JSONDecodeError as error:
        line = f" at line {error.lineno}" if error.lineno > 1 else ""
        hint = " If it has one object per line, let its name end in .jsonl." if error.msg == "Extra data" else ""
        raise DataError(f"{where} is not valid JSON{line}: {error.msg}. Correct it.{hint}") from None


def _object(row: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{where} is not a JSON object with named columns, such as {{'messages': …}}.")
    return row


def _repository(repo_id: str, split: str, revision: str | None) -> _Raw:
    import datasets

    try:
        return _table(repo_id, datasets.load_dataset(repo_id, split=split, revision=revision))
    except (datasets.exceptions.DatasetsError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:500]
        raise DataError(f"The data set {repo_id} (split {split}) cannot be read: {reason}") from error


def _table(name: str, table: "Dataset") -> _Raw:
    needed = table.select_columns([column for column in table.column_names if column in READ]).with_format("arrow")
    return name, table.column_names, (row for batch in needed.iter(1000) for row in batch.to_pylist())


def _license_beside(path: Path) -> str | None:
    """What the data's card says: a ``README.md`` in the same folder with metadata as the hub's data sets have them."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        stated = (metadata_load(path.with_name("README.md")) or {}).get("license")
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return ", ".join(map(str, stated)) if isinstance(stated, list) else stated


def _sha256(rows: Iterable[Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        text = json.dumps(row.messages, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


def _histogram(rows: Iterable[Row]) -> tuple[int, ...]:
    last = ANSWER_WORDS_BINS - 1
    counts = Counter(min(words // ANSWER_WORDS_BIN, last) for row in rows for words in answer_words(row))
    return tuple(counts[index] for index in range(max(counts, default=-1) + 1))


def _dataset(rows: Sequence[Row]) -> "Dataset":
    from datasets import Dataset, Features, List, Value

    features = Features({"messages": List({"role": Value("string"), "content": Value("string")})})
    return Dataset.from_dict({"messages": [list(row.messages) for row in rows]}, features=features)
