"""Fine-tune a model from a recipe; everything about it is kept in a folder under results/runs/.

    python -m training.finetune training/recipes/demo.toml
    python -m training.finetune training/recipes/smollm2-r16.toml --set lora.rank=32 --set training.steps=120
    python -m training.finetune --resume r16-20261123-101500
    accelerate launch --multi_gpu --num_processes 2 -m training.finetune training/recipes/demo.toml

Ctrl-C stops after the step in progress; --resume goes on from there. When training is done, the adapter is also written
in the form that the arena uses, and offered there at once.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training import backends, checkpoints, data, quiet_waiting
from training.base import BaseError, FoundBase, find_base
from training.chat import ChatError
from training.recipe import EMBEDDED, Recipe, RecipeError, as_settings, from_settings, read_recipe
from training.runlog import Ended, Run, RunError, RunWriter, read_run, run_id, trouble, write_whole
from training.settings import PROJECT_ROOT, results_dir

EXIT_STATUS: dict[Ended, int] = {"finished": 0, "failed": 1, "interrupted": 130}


class FinetuneError(Exception):
    """Training cannot start or go on; the message tells the user why and what to do."""


@dataclass(frozen=True)
class Resumed:
    """A stopped run and where it goes on."""

    folder: Path
    recipe: Recipe
    base: FoundBase
    checkpoint: Path | None
    """``None``: it stopped before its first checkpoint, and starts again."""

    @property
    def step(self) -> int:
        """Optimizer steps done by then; -1 before the first evaluation."""
        return checkpoints.step_of(self.checkpoint) if self.checkpoint else -1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.finetune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", type=Path, nargs="?", help="a TOML file such as training/recipes/demo.toml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="replace a setting"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with a stopped run: its id or folder")
    parser.add_argument("--tell", type=Path, metavar="FILE", help="write the run's id to this file once it has one")
    options = parser.parse_args(arguments)
    quiet_waiting()
    if (options.recipe is None) == (options.resume is None):
        parser.error("name either a recipe or, with --resume, a run")
    if options.resume and options.overrides:
        parser.error("--set does not go with --resume: a run keeps the settings it began with")
    try:
        if options.resume:
            resumed = find_resumed(options.resume)
            return finetune(resumed.recipe, resumed, options.tell)
        return finetune(read_recipe(options.recipe, options.overrides), tell=options.tell)
    except (RecipeError, BaseError, backends.BackendError, data.DataError, ChatError, RunError, FinetuneError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return EXIT_STATUS["interrupted"]


def finetune(recipe: Recipe, resumed: Resumed | None = None, tell: Path | None = None) -> int:
    """Train, keep everything in the run's folder, export. Returns the exit status.

    ``tell``: a file to write the run's id to as soon as it is known.
    """
    base = resumed.base if resumed else find_base(recipe.base)  # nothing heavy is loaded for what is not there
    data.check_source(recipe.data)
    backend = backends.choose_backend(recipe)
    from accelerate import PartialState

    from training.fit import Fit, FitError

    processes = PartialState(cpu=not backends.has_gpu())
    writer = None
    if processes.is_main_process:
        writer = RunWriter.reopen(resumed.folder, resumed.step) if resumed else _new_run(recipe, base, backend)
        writer.update(processes=processes.num_processes)
        if tell is not None:
            _write_id(tell, writer)
    folder = _shared(writer.folder if writer else None)
    try:
        status = Fit(recipe, base, backend, folder, writer, resumed.checkpoint if resumed else None).run()
    except FitError as error:
        raise FinetuneError(str(error)) from error
    if writer is not None:
        _tell(recipe, folder, status)
    return EXIT_STATUS[status]


def find_resumed(name: str) -> Resumed:
    """The stopped run of this id or folder, with the base and the data it began with. Raises what ``main`` tells."""
    from training.export import ExportError, base_of, find_run

    folder = find_run(name)
    run = read_run(folder)
    if reason := checkpoints.why_not_resumed(run):
        raise FinetuneError(reason)
    recipe = from_settings(run.recipe)
    if run.data is not None and run.data.revision is not None:
        recipe = replace(recipe, data=replace(recipe.data, revision=run.data.revision))
    try:
        return Resumed(folder, recipe, base_of(run), checkpoints.latest(folder))
    except ExportError as error:
        raise FinetuneError(str(error)) from None


def _new_run(recipe: Recipe, base: FoundBase, backend: str) -> RunWriter:
    from training import provenance

    now = time.time()
    commit, dirty = provenance.commit()
    run = Run(
        id=run_id(recipe.name, now),
        name=recipe.name,
        status="running",
        started_at=now,
        steps=recipe.training.steps,
        backend=backend,  # type: ignore[arg-type]
        base=base.record,
        recipe=as_settings(recipe),
        commit=commit,
        dirty=dirty,
        packages=provenance.packages(),
        host=provenance.training_host(),
    )
    return RunWriter.create(results_dir(), run)


def _write_id(file: Path, writer: RunWriter) -> None:
    try:
        write_whole(file, writer.folder.name.encode())
    except OSError as error:
        reason = f"The run's id cannot be written to {file}: {trouble(error)}, and try again."
        writer.close("failed", reason)
        raise FinetuneError(reason) from error


def _shared(folder: Path | None) -> Path:
    """The main process's folder, in every process."""
    from accelerate.utils import broadcast_object_list

    found: list[Path | None] = [folder]
    broadcast_object_list(found)
    assert found[0] is not None
    return found[0]


def _tell(recipe: Recipe, folder: Path, status: Ended) -> None:
    """Export what is finished, and say how to go on."""
    if status == "finished":
        # In a process of its own: it loads the base again, beside which the trained model need not stay in memory.
        export = subprocess.run([sys.executable, "-m", "training.export", str(folder)], cwd=PROJECT_ROOT)
        if export.returncode == 0:
            once = "" if recipe.base.model == EMBEDDED else " once its base is in models/ as a GGUF file"
            print(f"The arena offers it as {recipe.name}{once}.")
        else:
            command = f"python -m training.export {folder.name}"
            print(f"The adapter itself is in {folder / 'adapter'}. Export it later with: {command}", file=sys.stderr)
    else:
        print(read_run(folder).reason, file=sys.stderr)
    if status == "interrupted":
        print(f"Go on with: python -m training.finetune --resume {folder.name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
