"""What of the usable rows is trained on: the levers of ``DataSection``, in the order of its fields.

Each filter is a readable name with its setting and a function from rows to the rows it leaves, in their order. The same
rows, settings and seed leave the same rows.
"""

import hashlib
import random
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence

from training.recipe import DataSection
from training.rows import DataError, Row

Filter = tuple[str, Callable[[Sequence[Row]], list[Row]]]

SHINGLE_WORDS = 3
NEAR = 0.7
"""Jaccard similarity of two conversations' word triples from which the later one counts as a near duplicate: one word
changed in twenty, or a sentence added to a longer text."""
BANDS, BAND_ROWS = 16, 4
"""Two conversations are compared when the MinHash values of a band agree: a pair at ``NEAR`` is missed in 1% of cases,
at 0.8 in 0.02%."""


def filters(section: DataSection, seed: int) -> Iterator[Filter]:
    """Those that the section asks for."""
    low, high = section.min_answer_words, section.max_answer_words
    if (score := section.min_score) is not None:
        yield f"score at least {score:g}", lambda rows: [r for r in rows if r.score is not None and r.score >= score]
    if section.sources:
        yield f"source {' or '.join(section.sources)}", lambda rows: [r for r in rows if r.source in section.sources]
    if low is not None:
        yield f"answers of at least {low} words", lambda rows: [r for r in rows if min(answer_words(r)) >= low]
    if high is not None:
        yield f"answers of at most {high} words", lambda rows: [r for r in rows if max(answer_words(r)) <= high]
    if section.duplicates != "keep":
        yield "no exact duplicates", without_exact_duplicates
    if section.duplicates == "drop near":
        yield "no near duplicates", without_near_duplicates
    if (size := section.sample) is not None:
        yield f"sample of {size} (seed {seed})", lambda rows: draw(rows, size, f"sample {seed}")[0]


def check_filters(section: DataSection, columns: Collection[str], sources: Collection[str], name: str) -> None:
    """Raises ``DataError`` when a filter asks for a column or a source that the data does not have."""
    needs = {"score": ("data.min_score", section.min_score is not None), "source": ("data.sources", section.sources)}
    for column, (setting, is_set) in needs.items():
        if is_set and column not in columns:
            raise DataError(
                f"{setting} needs a column {column}, but {name} has the columns {', '.join(columns)}. "
                f"Remove the setting."
            )
    if unknown := [source for source in section.sources if source not in sources]:
        some = ", ".join(sorted(sources)[:20]) + (", …" if len(sources) > 20 else "")
        raise DataError(f"data.sources names {' and '.join(unknown)}, but {name} has only rows from {some or 'none'}.")


def answer_words(row: Row) -> list[int]:
    """Words of each answer."""
    return [len(answer.split()) for answer in row.answers]


def fingerprint(row: Row) -> bytes:
    """The same for conversations that differ in white space and case only."""
    plain = "\0".join(f"{each['role']} {' '.join(each['content'].split()).casefold()}" for each in row.messages)
    return hashlib.sha256(plain.encode()).digest()


def draw(rows: Sequence[Row], size: int, seed: str) -> tuple[list[Row], list[Row]]:
    """``size`` random rows (or all there are) and the others, both in their order."""
    drawn = set(random.Random(seed).sample(range(len(rows)), min(size, len(rows))))
    return [r for i, r in enumerate(rows) if i in drawn], [r for i, r in enumerate(rows) if i not in drawn]


def without_exact_duplicates(rows: Sequence[Row]) -> list[Row]:
    """The first of rows that differ in white space and case only."""
    first: dict[bytes, Row] = {}
    for row in rows:
        first.setdefault(fingerprint(row), row)
    return list(first.values())


def without_near_duplicates(rows: Sequence[Row]) -> list[Row]:
    """The rows that are not near one before them: MinHash finds candidates, their true similarity decides."""
    from datasketch import MinHash, MinHashLSH  # pulls in scipy

    index = MinHashLSH(num_perm=BANDS * BAND_ROWS, params=(BANDS, BAND_ROWS))
    empty = MinHash(num_perm=BANDS * BAND_ROWS, seed=1, hashfunc=zlib.crc32)
    kept: list[Row] = []
    for row in rows:
        shingles = _shingles(row)
        sketch = empty.copy()
        sketch.update_batch(shingles)
        if not any(_similarity(shingles, _shingles(kept[other])) >= NEAR for other in index.query(sketch)):
            index.insert(len(kept), sketch, check_duplication=False)
            kept.append(row)
    return kept


def _shingles(row: Row) -> set[bytes]:
    """Every three words in a row of the conversation, without case and punctuation."""
    words = re.findall(r"\w+", " ".join(each["content"] for each in row.messages).casefold())
    return {" ".join(words[i : i + SHINGLE_WORDS]).encode() for i in range(max(1, len(words) - SHINGLE_WORDS + 1))}


def _similarity(a: set[bytes], b: set[bytes]) -> float:
    return len(a & b) / len(a | b)
