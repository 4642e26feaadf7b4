"""The leaderboard on a million stored answers: time and memory, in a process of its own.

python -m benchmarks.store FOLDER       # reads results in FOLDER and prints what that took, for each line of input
"""

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.report import Row
from evaluation.leaderboard.answers import Answers, Selection
from evaluation.leaderboard.board import make_board
from evaluation.models import ChatModel
from evaluation.record_json import to_json_line
from evaluation.records import Cell, Host, Message, ModelRef, Response, Sampling, TextFigures
from evaluation.settings import PROJECT_ROOT

FILES = 200
ROWS_PER_FILE = 5_000
NEW_ROWS = 1_000
TIMES = 5
MODELS = 20
PROMPTS = 43
LINES = 20_000
"""Different answers; each is written fifty times, under its own id."""

HOST = Host("0123456789ab", "a CPU", 2.0, 2**34, "Linux 6.1 x86_64", "llama-cpp-python 0.3.36")


def store_million_answers(_: list[ChatModel]) -> Iterator[Row]:
    """The leaderboard's data from 200 files of 5,000 answers, 2 kB each."""
    count = FILES * ROWS_PER_FILE
    with million_answers() as folder, _reader(folder) as ask:
        size = sum(path.stat().st_size for path in (folder / "responses").iterdir())
        first, again, grown = [ask()], [ask() for _ in range(TIMES)], []
        for number in range(TIMES):
            _write(folder / "responses" / f"{number}.jsonl", _lines(), count + number * NEW_ROWS, NEW_ROWS)
            grown.append(ask())
    assert (first[0]["answers"], again[-1]["answers"], grown[-1]["answers"]) == (count, count, count + TIMES * NEW_ROWS)
    for what, target, found in (
        ("first time", "≤ 6", first),
        ("again", "≤ 0.3", again),
        (f"after {NEW_ROWS:,} new answers", "≤ 0.5", grown),
    ):
        seconds = sorted(each["seconds"] for each in found)
        detail = f"s, median; {seconds[0]:.2f} to {seconds[-1]:.2f}"
        what = f"leaderboard data of {count:,} stored answers, {what}"
        yield Row(what, target, statistics.median(seconds), len(found), detail)
    detail = f"MB, {first[0]['peak_mb_before']:.0f} before the first; {FILES} files, {size / 1e9:.1f} GB"
    yield Row(f"peak memory with {count:,} stored answers", "≤ 800", grown[-1]["peak_mb"], 1, detail)


@contextmanager
def million_answers() -> Iterator[Path]:
    """A results folder with them."""
    with tempfile.TemporaryDirectory() as folder:
        responses = Path(folder) / "responses"
        responses.mkdir()
        lines = _lines()
        for number in range(FILES):
            _write(responses / f"{number}.jsonl", lines, number * ROWS_PER_FILE, ROWS_PER_FILE)
        yield Path(folder)


@cache
def _lines() -> list[bytes]:
    """Records with ``%026d`` for their id."""
    chance = random.Random(3407)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(3_000)]
    prompts = [f"Prompt {number}: {' '.join(chance.choices(words, k=12))}" for number in range(PROMPTS)]
    models = [
        ModelRef(f"{each:024d}", f"Model {each}", "b" * 64, "Q4_K_M", "c" * 64, f"run-{each}", "d" * 64, 1.0, 10**8)
        for each in range(MODELS)
    ]
    lines = []
    for number in range(LINES):
        model, prompt, turn = number % MODELS, number // MODELS % PROMPTS, number // MODELS // PROMPTS
        text = chance.choices(words, k=chance.randint(20, 110))
        decode_busy_s = len(text) * (1 + model / 10) * chance.uniform(0.015, 0.02)
        lines.append(
            Response(
                id="%026d",
                origin="benchmark",
                host=HOST,
                model=models[model],
                messages=(Message("user", prompts[prompt]),),
                sampling=Sampling(seed=turn),
                template_date="2026-11-23",
                text=" ".join(text),
                finish_reason="stop",
                submitted_at=1.7e9 + number,
                ended_at=1.7e9 + number + 0.2 + decode_busy_s,
                started_at=1.7e9 + number,
                first_token_at=1.7e9 + number + 0.2,
                prompt_busy_s=chance.uniform(0.19, 0.21),
                decode_busy_s=decode_busy_s,
                prompt_tokens=60,
                cached_tokens=0,
                completion_tokens=round(len(text) * 1.4),
                shared=False,
                threads=2,
                context_length=8192,
                peak_memory_bytes=2**28,
                cell=Cell("20261123-000000", "everyday", f"p{prompt}", turn, "open", False, 0.01, 0.0),
                text_figures=TextFigures(len(text), 1, 0.0, 0.0),
            )
        )
    return [to_json_line(line) for line in lines]


def _write(path: Path, lines: Sequence[bytes], start: int, count: int) -> None:
    with path.open("ab") as file:
        for number in range(start, start + count):
            file.write(lines[number % LINES].replace(b"%026d", b"%026d" % number))


@contextmanager
def _reader(results_dir: Path) -> Iterator[Callable[[], dict[str, float]]]:
    """Ask for the leaderboard's data in a process of its own, again and again."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.store", str(results_dir)],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout

        def ask() -> dict[str, float]:
            process.stdin.write("\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())  # type: ignore[no-any-return]

        yield ask
        process.stdin.close()


def main() -> None:
    answers = Answers(Path(sys.argv[1]))
    for _ in sys.stdin:
        peak_mb_before = _peak_mb()
        start = time.perf_counter()
        answers.refresh()
        hosts = answers.hosts()
        answers.choices(hosts[0].key)
        selection = Selection(hosts[0].key)
        cells, models = answers.cells(selection), answers.models(selection)
        make_board(cells, models)
        figures = {
            "answers": hosts[0].answers,
            "seconds": time.perf_counter() - start,
            "peak_mb": _peak_mb(),
            "peak_mb_before": peak_mb_before,
        }
        print(json.dumps(figures), flush=True)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


MEASURES = [store_million_answers]

if __name__ == "__main__":
    main()
