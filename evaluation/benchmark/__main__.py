"""Ask several models the same prompts, each alone on the machine, several times, and keep every answer with its times.

    python -m evaluation.benchmark --models all --prompts study everyday --repeats 5
    python -m evaluation.benchmark --models base r16 --prompts my-prompts.jsonl --max-tokens 256
    python -m evaluation.benchmark --list
    python -m evaluation.benchmark --resume study-2-models-20261123-101500

A model is meant by its name, its key, or a part of its name that no other has; base is the one without an adapter.
Endpoints (models/endpoints.toml) are models like any other; their times hold the network and the server's queue.
Ctrl-C stops at once; --resume goes on from there, and what was finished is not done again. The answers go to
results/responses/, from where the leaderboard takes them. Nothing else should run on the machine meanwhile.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation.benchmark.choose import ChoiceError, choose_models, choose_prompt_sets
from evaluation.benchmark.estimate import estimate_from_records
from evaluation.benchmark.folder import (
    Benchmark,
    BenchmarkError,
    Progress,
    Status,
    benchmarks,
    create,
    read,
    refuse_second,
)
from evaluation.benchmark.plan import Plan, new_plan
from evaluation.benchmark.runner import Runner
from evaluation.models import Model, discover
from evaluation.prompt_sets import known_sets
from evaluation.records import Sampling
from evaluation.settings import Settings
from evaluation.sizes import duration

EXIT_STATUS: dict[Status, int] = {"finished": 0, "failed": 1, "interrupted": 1, "cancelled": 130}
DEFAULT_REPEATS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    settings = Settings.from_environment()
    try:
        if options.list:
            return _list(settings)
        if options.resume:
            _refuse_changes(options)
            refuse_second(settings.results_dir)
            benchmark = _find(settings.results_dir, options.resume)
        else:
            benchmark = _create(settings.results_dir, _plan(options, settings))
        return _run(benchmark, settings, options.again)
    except ChoiceError as error:
        print(error, file=sys.stderr)
        return 2
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped before anything was measured.", file=sys.stderr)
        return EXIT_STATUS["cancelled"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Sampling()
    parser.add_argument("--models", nargs="+", metavar="MODEL", default=[], help="names, keys, or all")
    parser.add_argument("--prompts", nargs="+", metavar="SET", default=[], help="names of sets, or JSONL or text files")
    parser.add_argument("--repeats", type=int, help=f"how often each prompt is asked (default: {DEFAULT_REPEATS})")
    parser.add_argument("--temperature", type=float, help=f"0 to 2 (default: {default.temperature})")
    parser.add_argument("--max-tokens", type=int, help=f"longest answer (default: {default.max_tokens})")
    parser.add_argument(
        "--seed", type=int, help=f"of the first repeat; each next one has one more (default: {default.seed})"
    )
    parser.add_argument("--name", help="for people (default: made of the prompts and models)")
    parser.add_argument("--resume", metavar="ID", help="go on with a benchmark that did not finish")
    parser.add_argument("--again", action="store_true", help="with --resume: also do anew what failed or was disturbed")
    parser.add_argument("--list", action="store_true", help="show models, prompt sets and benchmarks")
    return parser


def _plan(options: argparse.Namespace, settings: Settings) -> Plan:
    """Raises ``ChoiceError`` with every fault of the arguments."""
    sampling = Sampling()
    repeats = DEFAULT_REPEATS if options.repeats is None else options.repeats
    temperature = sampling.temperature if options.temperature is None else options.temperature
    max_tokens = sampling.max_tokens if options.max_tokens is None else options.max_tokens
    seed = sampling.seed if options.seed is None else options.seed
    faults = [
        sentence
        for fault, sentence in (
            (options.again, "--again goes with --resume."),
            (not options.models, "Name the models to ask with --models; --list shows which there are."),
            (not options.prompts, f"Name the prompts with --prompts: {', '.join(known_sets())}, or files of your own."),
            (repeats < 1, f"--repeats is {repeats}, but must be at least 1."),
            (not 0 <= temperature <= 2, f"--temperature is {temperature}, but must be from 0 to 2."),
            (max_tokens < 1, f"--max-tokens is {max_tokens}, but must be at least 1."),
            (not 0 <= seed <= 2**32 - 1 - max(repeats, 0), f"--seed is {seed}, but must be from 0 to about 4 billion."),
        )
        if fault
    ]
    models, prompt_sets = [], []
    try:
        models = choose_models(options.models, _found(settings) if options.models else ())
    except ChoiceError as error:
        faults.append(str(error))
    try:
        prompt_sets = choose_prompt_sets(options.prompts)
    except ChoiceError as error:
        faults.append(str(error))
    if faults:
        raise ChoiceError("\n".join(faults))
    chosen = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
    return new_plan([model.ref for model in models], prompt_sets, repeats, chosen, options.name)


def _found(settings: Settings) -> tuple[Model, ...]:
    folders = (settings.models_dir, settings.results_dir, settings.cache_dir, settings.published_dir)
    return discover(*folders).everyone


def _refuse_changes(options: argparse.Namespace) -> None:
    """Raises ``ChoiceError``: a benchmark keeps the plan it began with."""
    plan = ("models", "prompts", "repeats", "temperature", "max_tokens", "seed", "name")
    given = [f"--{name.replace('_', '-')}" for name in plan if getattr(options, name) not in (None, [])]
    if given:
        raise ChoiceError(f"{', '.join(given)}: not with --resume, because a benchmark keeps the plan it began with.")


def _create(results_dir: Path, plan: Plan) -> Benchmark:
    refuse_second(results_dir)
    for prompt_set in plan.prompt_sets:
        for warning in prompt_set.warnings:
            print(f"{prompt_set.name}: {warning}")
    return read(create(results_dir, plan))


def _find(results_dir: Path, name: str) -> Benchmark:
    """Of this installation, by its id or folder. Raises ``BenchmarkError``."""
    folder = results_dir / "benchmarks" / Path(name).name
    if not folder.is_dir():
        raise BenchmarkError(f"There is no benchmark {name} in {folder.parent}; --list shows which there are.")
    return read(folder)


def _run(benchmark: Benchmark, settings: Settings, again: bool) -> int:
    plan = benchmark.plan
    folders = [settings.results_dir / "responses", settings.published_dir / "responses"]
    expected = estimate_from_records(plan, folders)
    print(
        f"{plan.name}: {_counted(len(plan.models), 'model')} × {_counted(len(plan.prompts), 'prompt')} × "
        f"{_counted(plan.repeats, 'repeat')} = {_counted(plan.cells, 'answer')}."
    )
    print(f"About {duration(expected.seconds)} in all. {expected.basis}", flush=True)
    watch = _Line() if sys.stdout.isatty() else _Blocks()
    runner = Runner(
        plan, benchmark.folder, settings.results_dir, {m.key: m for m in _found(settings)}, watch.tell, again
    )
    end = runner.run()
    watch.close()
    _tell_end(benchmark.folder.name, end)
    return EXIT_STATUS[end.status]


def _tell_end(name: str, end: Progress) -> None:
    print(
        f"{end.status.capitalize()}: {end.done} of {_counted(end.total, 'answer')}, {end.failed} failed, "
        f"{end.disturbed} disturbed."
    )
    if end.reason:
        print(end.reason, file=sys.stderr)
    if end.status != "finished":
        print(f"Go on with: python -m evaluation.benchmark --resume {name}")
        return
    if end.failed or end.disturbed or end.reason:
        print(f"Do these anew with: python -m evaluation.benchmark --resume {name} --again")
    print("The page Leaderboard of the app (make app) shows what came out.")


class _Line:
    """One line of a terminal, written over and over."""

    def tell(self, progress: Progress) -> None:
        left = "" if progress.seconds_left is None else f", {duration(progress.seconds_left)} left"
        print(f"\r\033[K{progress.done}/{progress.total}{left}. {progress.now}", end="", flush=True)

    def close(self) -> None:
        print("\r\033[K", end="")


class _Blocks:
    """A line for each block, for logs."""

    def __init__(self) -> None:
        self._now: str | None = None

    def tell(self, progress: Progress) -> None:
        if progress.now != self._now:
            self._now = progress.now
            left = "" if progress.seconds_left is None else f", {duration(progress.seconds_left)} left"
            print(f"{progress.done}/{progress.total}{left}. {progress.now}", flush=True)

    def close(self) -> None:
        pass


def _list(settings: Settings) -> int:
    print("Models")
    for model in _found(settings):
        print(f"  {model.name}  ({model.key})")
    print(f"Prompt sets\n  {', '.join(known_sets())}, and any JSONL or text file")
    print("Benchmarks")
    found, problems = benchmarks(settings.results_dir, settings.published_dir)
    for each in found:
        print(f"  {each.folder.name}  {each.progress.status}, {each.progress.done} of {each.plan.cells} answers")
    for _, problem in problems:
        print(f"  {problem}")
    if not found and not problems:
        print("  none yet")
    return 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


if __name__ == "__main__":
    sys.exit(main())
