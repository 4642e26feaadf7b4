"""Import a training run that another program logged.

    python -m training.import_run outputs/checkpoint-60            # Hugging Face: the newest state in a folder
    python -m training.import_run saves/llama3/trainer_log.jsonl   # LLaMA-Factory
    python -m training.import_run outputs/runs/Nov22_10-15-42      # TensorBoard event files
    python -m training.import_run lab.ipynb --name "lab 2"         # a notebook with the table of losses in its output
    python -m training.import_run loss.csv

The run goes into results/runs/ with what is known of its settings. A file that holds several runs becomes several;
a run that was resumed stays one. Nothing of the source is changed.
"""

import argparse
import hashlib
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from training import settings
from training.importers.found import Facts, Found, FoundRun, ImporterError
from training.importers.locate import Source, locate
from training.runlog import Run, RunError, RunWriter, read_run, run_folders, run_id

LINES_AT_ONCE = 10_000

__all__ = ["Imported", "ImporterError", "import_run", "main"]


@dataclass(frozen=True)
class Imported:
    """What became of a file."""

    folders: tuple[Path, ...]
    """One per run, in the order of the file."""
    already: bool
    """Whether the file was imported before; then ``folders`` are what became of it, and nothing was written."""
    kind: str
    file: str
    """Name of the file that was read."""
    train_rows: int = 0
    evaluations: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Rows of the file that were left out, by reason."""
    notes: tuple[str, ...] = ()
    """What a reader must know, as sentences."""


def import_run(path: Path, results_dir: Path, name: str | None = None, again: bool = False) -> Imported:
    """Store the run that a file or folder tells of under ``results_dir/runs/``.

    A file whose content was imported before is not imported once more, unless ``again``. Raises ``ImporterError`` when
    nothing can be read from it, and ``RunError`` when the run cannot be stored.
    """
    path = path.expanduser().absolute()
    try:
        source = locate(path)
        sha256 = _sha256(source)
        earlier = () if again else _imported_earlier(results_dir, sha256)
        if earlier:
            return Imported(earlier, already=True, kind=source.kind, file=_file_name(source))
        found = Found()
        facts = source.read(found)
    except OSError as error:
        raise ImporterError(f"{error.filename or path} cannot be read: {error.strerror}.") from error
    runs = found.runs()
    if not runs:
        raise ImporterError(_nothing_usable(source, found))
    if len(runs) > 1:  # what the file says as a whole need not be true of each of them
        facts = Facts(notes=facts.notes)
    title = name or _name_of(source)
    titles = [title] if len(runs) == 1 else [f"{title} ({number} of {len(runs)})" for number in range(1, len(runs) + 1)]
    origin = f"{_file_name(source)} ({source.kind})"
    folders = tuple(
        _store(run, _described(run, each, facts, origin), facts, sha256, results_dir)
        for run, each in zip(runs, titles, strict=True)
    )
    kinds = Counter(entry.kind for run in runs for entry in run.entries)
    return Imported(
        folders=folders,
        already=False,
        kind=source.kind,
        file=_file_name(source),
        train_rows=kinds["train"],
        evaluations=kinds["eval"],
        skipped=dict(found.skipped),
        notes=facts.notes,
    )


def _described(run: FoundRun, name: str, facts: Facts, origin: str) -> Run:
    """A run as it reads while its log is being stored."""
    return Run(
        id=run_id(name, facts.started_at or time.time()),
        name=name,
        status="running",
        origin="imported",
        started_at=facts.started_at,
        steps=run.steps,
        method=facts.method,
        base=facts.base,
        recipe=facts.recipe,
        imported_from=origin,
        notes=" ".join(facts.notes) or None,
    )


def _store(run: FoundRun, described: Run, facts: Facts, sha256: str, results_dir: Path) -> Path:
    """Write a run's folder; when that fails nothing of it stays."""
    writer = RunWriter.create(results_dir, described)
    try:
        for start in range(0, len(run.entries), LINES_AT_ONCE):
            writer.log(*run.entries[start : start + LINES_AT_ONCE])
        reached = max(run.reached, run.entries[-1].step)
        finished = run.ended or run.steps is None or reached >= run.steps
        writer.update(
            status="finished" if finished else "interrupted",
            reason=None if finished else f"The log ends at step {reached} of {run.steps}.",
            ended_at=facts.ended_at,
            imported_sha256=sha256,  # last: what was stored in part only does not count as imported
        )
    except BaseException:
        shutil.rmtree(writer.folder, ignore_errors=True)
        raise
    finally:
        writer.release()
    return writer.folder


def _nothing_usable(source: Source, found: Found) -> str:
    seen = ", ".join(f"{count} {reason}" for reason, count in found.skipped.most_common())
    rows = f"; of its rows there are {seen}" if seen else ""
    return f"{source.files[0]} holds nothing that can be imported. Looked for {source.looked_for}{rows}."


def _imported_earlier(results_dir: Path, sha256: str) -> tuple[Path, ...]:
    """The runs made from this content, the latest import last."""
    folders: list[Path] = []
    for folder in run_folders(results_dir):
        with suppress(RunError):
            if read_run(folder).imported_sha256 == sha256:
                folders.append(folder)
    return tuple(folders)


def _sha256(source: Source) -> str:
    digest = hashlib.sha256()
    for path in source.files:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def _file_name(source: Source) -> str:
    """Without what TensorBoard appends to the time in a file's name: the host's name and the process."""
    return re.sub(r"(tfevents\.\d+)\..*", r"\1", source.files[0].name)


_TELLS_NOTHING = re.compile(r"checkpoint-\d+|runs|logs?|[A-Z][a-z]{2}\d\d_\d\d-\d\d-\d\d_.*|version_\d+|\d+(\.\d+)?")


def _name_of(source: Source) -> str:
    """The file's name; where every run's file is named alike, that of the nearest folder that says something."""
    path = source.files[0]
    if path.name in ("trainer_state.json", "trainer_log.jsonl") or "tfevents" in path.name:
        home = Path("~").expanduser().resolve()  # its name is that of a person
        folders = takewhile(lambda folder: folder.resolve() != home, path.parents)
        telling = (folder.name for folder in folders if folder.name and not _TELLS_NOTHING.fullmatch(folder.name))
        return next(telling, path.stem.partition(".")[0])
    return path.stem


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the status that the shell gets."""
    parser = argparse.ArgumentParser(
        prog="python -m training.import_run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="a file, or a folder with a log in it")
    parser.add_argument("--name", help="what to call the run (default: from the file or its folder)")
    parser.add_argument("--again", action="store_true", help="import a file that was imported before once more")
    args = parser.parse_args(arguments)
    try:
        imported = import_run(args.path, settings.results_dir(), args.name, args.again)
    except (ImporterError, RunError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(_report(imported)))
    return 0


def _report(imported: Imported) -> list[str]:
    where = [f"  {folder}" for folder in imported.folders]
    if imported.already:
        return [f"{imported.file} was imported before, as", *where, "Import it once more with --again."]
    lines = [
        f"{imported.file} ({imported.kind}): {_counted(imported.train_rows, 'training row')}, "
        f"{_counted(imported.evaluations, 'evaluation')}."
    ]
    lines += [f"Left out: {_counted(count, 'row')} {reason}." for reason, count in imported.skipped.items()]
    lines += imported.notes
    return [*lines, "It is now in" if len(where) == 1 else f"It held {len(where)} runs, which are now in", *where]


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(main())
