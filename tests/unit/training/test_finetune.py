"""Fine-tuning from the command line: a real trainer on a tiny base, and what it leaves in the run's folder."""

import contextlib
import io
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.tiny_gguf import write_tiny
from training import finetune
from training.checkpoints import step_of
from training.converter import converter
from training.runlog import LogEntry, Run, read_log, read_run
from training.settings import PROJECT_ROOT

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TWO_PROCESSES = """
import os, sys
import peft
from training import finetune, fit  # which takes seconds: once for both
children = []
for rank in ("0", "1"):
    if not (child := os.fork()):
        os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
        sys.exit(finetune.main(sys.argv[1:]))
    children.append(child)
sys.exit(max([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], key=abs))
"""
ANSWERS = ("Yes.", "No, not at all.", "It is 42.", "Perhaps tomorrow.", "Three: red, green, blue.")


@pytest.fixture(autouse=True)
def nothing_to_export_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without llama.cpp's converters, and offline, a run still finishes; one test has them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # these are the ways of the CPU
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def write_recipe(folder: Path) -> Path:
    """Eight steps on twenty short conversations, with a checkpoint every two."""
    rows = [
        {"conversations": [{"from": "human", "value": f"Question {n}?"}, {"from": "gpt", "value": ANSWERS[n % 5]}]}
        for n in range(24)
    ]
    write_tiny(folder / "Tiny.Q8_0.gguf", TEMPLATE)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "recipe.toml"
    path.write_text(
        'name = "tiny"\n'
        '[base]\nmodel = "Tiny.Q8_0.gguf"\nmax_length = 128\n'
        '[data]\nsource = "rows.jsonl"\nheld_out_rows = 4\n'
        "[lora]\nrank = 2\nalpha = 2\n"
        "[optimizer]\nlearning_rate = 0.01\nwarmup_steps = 2\n"
        "[training]\nsteps = 8\nbatch_size = 1\ngradient_accumulation = 2\nsave_every = 2\n"
        "[evaluation]\nevery = 4\n"
    )
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path)


@dataclass(frozen=True)
class Finished:
    """A run that nothing disturbed, exported with the converters of this installation."""

    folder: Path
    printed: str
    at_step_4: Path
    """Its folder as it was with the checkpoint of step 4: what is left when the process is killed then."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    at_step_4 = folder / "at-step-4"
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("RESULTS_DIR", str(folder / "results"))
        patch.setenv("CACHE_DIR", str(folder))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        fetched = converter(PROJECT_ROOT / ".cache")
        (folder / fetched.name).symlink_to(fetched)
        when_marked(patch, 4, lambda: shutil.copytree(runs()[0], at_step_4 / runs()[0].name))
        assert finetune.main([str(write_recipe(folder))]) == 0
        (run,) = runs()
    return Finished(run, printed.getvalue(), at_step_4 / run.name)


def runs() -> list[Path]:
    return sorted((Path(os.environ["RESULTS_DIR"]) / "runs").glob("*"))


def only_run() -> tuple[Path, Run, tuple[LogEntry, ...]]:
    (folder,) = runs()
    return folder, read_run(folder), read_log(folder).entries


def when_marked(monkeypatch: pytest.MonkeyPatch, step: int, do: Callable[[], object]) -> None:
    """Do something the moment that the checkpoint of this step is complete."""
    from training import progress

    mark = progress.mark_complete

    def mark_and_do(checkpoint: Path) -> None:
        mark(checkpoint)
        if step_of(checkpoint) == step:
            do()

    monkeypatch.setattr(progress, "mark_complete", mark_and_do)


def killed_at_step_4(finished: Finished) -> Path:
    """The same run, killed."""
    folder = Path(os.environ["RESULTS_DIR"]) / "runs" / finished.folder.name
    shutil.copytree(finished.at_step_4, folder)
    return folder


def assert_same_log(folder: Path, undisturbed: Path) -> None:
    entries, others = read_log(folder).entries, read_log(undisturbed).entries
    assert [(e.step, e.kind, e.tokens) for e in entries] == [(e.step, e.kind, e.tokens) for e in others]
    assert [e.loss for e in entries] == pytest.approx([e.loss for e in others], abs=1e-6)


def test_a_run_leaves_its_log_its_adapter_and_the_form_for_the_arena(finished: Finished) -> None:
    """Everything that the dashboard reads, and in what is passed on no path of the machine."""
    folder, printed = finished.folder, finished.printed
    run, entries = read_run(folder), read_log(folder).entries
    assert (run.status, run.name, run.steps, run.backend, run.processes) == ("finished", "tiny", 8, "trl", 1)
    assert run.base is not None and run.base.model == "Tiny.Q8_0.gguf" and run.trainable_parameters
    assert run.data is not None and (run.data.train_rows, run.data.held_out_rows, run.data.truncated) == (20, 4, 0)
    steps = [entry for entry in entries if entry.kind == "train"]
    assert [entry.step for entry in steps] == list(range(1, 9))
    assert [entry.step for entry in entries if entry.kind == "eval"] == [0, 4, 8]
    for entry in steps:
        assert None not in (entry.loss, entry.grad_norm, entry.learning_rate, entry.tok_s, entry.epoch, entry.entropy)
    first, *_, last = [entry.loss for entry in entries if entry.kind == "eval"]
    assert first is not None and last is not None and last < first
    assert [export.kind for export in run.exports] == ["adapter"]
    assert (folder / "adapter.gguf").stat().st_size == run.exports[0].size_bytes
    saved = {path.name for path in (folder / "adapter").iterdir()}
    assert saved >= {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"}
    assert "README.md" not in saved and "training_args.bin" not in saved
    place = str(folder.parents[2])
    assert all(place not in path.read_text() for path in (folder / "adapter").glob("*.json"))
    assert not (folder / "checkpoints").exists()
    assert "The arena offers it as tiny once its base is in models/" in printed and "Step 8: held-out loss" in printed


def test_after_a_kill_the_run_resumes_as_if_nothing_had_happened(finished: Finished) -> None:
    """The log has each step once, tokens go on counting, and the losses are those of a run that was never killed."""
    killed = killed_at_step_4(finished)
    _, run, entries = only_run()
    assert (run.status, entries[-1].step) == ("interrupted", 4)
    assert finetune.main(["--resume", killed.name]) == 0
    assert_same_log(killed, finished.folder)
    _, run, entries = only_run()
    assert (run.status, len(run.resumed_at)) == ("finished", 1)
    elapsed = [entry.elapsed_s or 0 for entry in entries]
    assert elapsed == sorted(elapsed)


def test_a_run_stopped_after_its_last_step_is_only_finished(
    recipe: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step is trained beyond those that the recipe asks for."""

    def stop_at_once() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        when_marked(patch, 8, stop_at_once)
        assert finetune.main([str(recipe)]) == 130
    folder, run, _ = only_run()
    assert run.status == "interrupted"
    assert finetune.main(["--resume", folder.name]) == 0
    assert_same_log(folder, finished.folder)


def test_a_stop_request_ends_the_run_with_a_checkpoint(
    recipe: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-C and a shutting-down machine send it: the step is finished, saved, and the way on is named."""
    when_marked(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert finetune.main([str(recipe)]) == 130
    _, run, entries = only_run()
    assert (run.status, run.reason, entries[-1].step) == ("interrupted", "Stopped by SIGTERM at step 3.", 3)
    assert f"python -m training.finetune --resume {run.id}" in capfd.readouterr().err
    assert finetune.find_resumed(run.id).step == 3


def test_other_data_than_before_are_not_gone_on_with(finished: Finished, capfd: pytest.CaptureFixture[str]) -> None:
    """A run would claim to have learned what it has seen in part only."""
    killed = killed_at_step_4(finished)
    rows = finished.folder.parents[2] / "rows.jsonl"
    before = rows.read_text()
    rows.write_text(before.replace("Perhaps", "Maybe"))
    try:
        assert finetune.main(["--resume", killed.name]) == 1
    finally:
        rows.write_text(before)
    assert "rows.jsonl is not any more what tiny-" in capfd.readouterr().err


def test_a_backend_that_is_not_installed_is_refused_with_the_remedy(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``auto`` takes TRL then, as the other tests show."""
    if find_spec("unsloth"):
        pytest.skip("unsloth is installed here")
    assert finetune.main([str(recipe), "--set", "training.backend=unsloth"]) == 1
    assert "pip install -r training/requirements-unsloth.txt, or set training.backend=trl" in capsys.readouterr().err
    assert runs() == []


def test_a_diverged_loss_is_logged_and_stops_the_run_with_the_reason(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base with a broken weight diverges at once."""
    import torch

    from training import backends

    load = backends.load

    def broken(*arguments: object) -> object:
        model, tokenizer = load(*arguments)  # type: ignore[arg-type]
        with torch.no_grad():
            next(model.parameters()).fill_(math.nan)
        return model, tokenizer

    monkeypatch.setattr(backends, "load", broken)
    assert finetune.main([str(recipe)]) == 1
    _, run, entries = only_run()
    assert run.status == "failed" and run.reason is not None and run.reason.startswith("The loss was nan at step 1")
    assert entries[-1].step == 1 and math.isnan(entries[-1].loss or 0)
    assert "optimizer.learning_rate" in capsys.readouterr().err


def test_a_finished_run_is_not_resumed(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    """Its folder may be named instead of its id."""
    assert finetune.main(["--resume", str(finished.folder)]) == 1
    assert "there is nothing to resume" in capsys.readouterr().err


def test_what_is_not_there_is_said_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    """A wrong name costs a second and leaves no run behind."""
    path = tmp_path / "recipe.toml"
    path.write_text('name = "x"\n[base]\nmodel = "embedded"\n[data]\nsource = "./nowhere.jsonl"\n')
    program = (
        "import sys; from training import finetune; status = finetune.main(sys.argv[1:])\n"
        "assert not {'torch', 'transformers', 'datasets'} & sys.modules.keys(); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], cwd=PROJECT_ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "nowhere.jsonl" in done.stderr and "Traceback" not in done.stderr
    assert runs() == []


def test_two_processes_train_together_and_one_writes(recipe: Path) -> None:
    """Started as ``accelerate launch`` starts them, each has its share of the batch; the log has each step once."""
    settings = "--set training.steps=2 --set optimizer.warmup_steps=1"
    command = [sys.executable, "-c", TWO_PROCESSES, str(recipe), *settings.split()]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    together = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment = os.environ | together | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=PROJECT_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    _, run, entries = only_run()
    assert (run.status, run.processes) == ("finished", 2)
    assert [(entry.step, entry.kind) for entry in entries] == [(0, "eval"), (1, "train"), (2, "train"), (2, "eval")]
    assert f"Export it later with: python -m training.export {run.id}" in done.stdout


def test_laid_end_to_end_conversations_give_the_loss_of_each_alone() -> None:
    """Against transformers' own loss, computed one conversation at a time: none sees another, answers count alone."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from training import trainer as ours

    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2))
    rows = []
    for length, asked in ((9, 4), (14, 8), (5, 1)):
        tokens = torch.randint(3, 50, (length,)).tolist()
        rows.append({"input_ids": tokens, "labels": [-100] * asked + tokens[asked:]})
    alone = 0.0
    for row in rows:
        labels = torch.tensor([row["labels"]])
        alone += (
            model(torch.tensor([row["input_ids"]]), labels=labels).loss.item() * (labels[:, 1:] != -100).sum().item()
        )
    answers = sum(label != -100 for row in rows for label in row["labels"])
    batch = DataCollatorForLanguageModeling(0, padding_free=True)(rows)
    model.set_attn_implementation(ours.ATTENTION)
    loss, _, _ = ours.answer_loss(model, batch)
    assert loss.item() / answers == pytest.approx(alone / answers, abs=1e-5)
