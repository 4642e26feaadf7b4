"""Fine-tuning from the command line: a real trainer on a tiny base, and what it leaves in the run's folder."""

import contextlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.tiny_gguf import write_tiny
from training import finetune
from training.runlog import LogEntry, Run, read_log, read_run
from training.settings import PROJECT_ROOT

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ANSWERS = ("Yes.", "No, not at all.", "It is 42.", "Perhaps tomorrow.", "Three: red, green, blue.")


@pytest.fixture(autouse=True)
def nothing_to_export_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without llama.cpp's converters, and offline, a run still finishes; one test has them."""
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run that nothing disturbed, exported with the converters of this installation, and what was printed."""
    folder = tmp_path_factory.mktemp("finished")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("RESULTS_DIR", str(folder / "results"))
        patch.setenv("CACHE_DIR", str(PROJECT_ROOT / ".cache"))
        assert finetune.main([str(write_recipe(folder))]) == 0
        (run,) = runs()
    return run, printed.getvalue()


def runs() -> list[Path]:
    return sorted((Path(os.environ["RESULTS_DIR"]) / "runs").glob("*"))


def only_run() -> tuple[Path, Run, tuple[LogEntry, ...]]:
    (folder,) = runs()
    return folder, read_run(folder), read_log(folder).entries


def start(*arguments: str | Path, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [sys.executable, *launcher, "-m", "training.finetune", *map(str, arguments)]
    return subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_step(step: int) -> Path:
    """Until a checkpoint of this step is complete."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for folder in runs():
            if (folder / "checkpoints" / f"checkpoint-{step}" / "complete").exists():
                return folder
        time.sleep(0.002)
    raise AssertionError(f"Step {step} was not reached.")


def test_a_run_leaves_its_log_its_adapter_and_the_form_for_the_arena(finished: tuple[Path, str]) -> None:
    """Everything that the dashboard reads, and no path of the machine."""
    folder, printed = finished
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
    assert {path.name for path in (folder / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not (folder / "checkpoints").exists()
    texts = [path.read_text() for path in (folder / "run.json", folder / "adapter/adapter_config.json")]
    assert str(PROJECT_ROOT) not in "".join(texts)
    assert "The arena offers it as tiny." in printed and "Step 8: held-out loss" in printed


def test_after_a_kill_the_run_resumes_as_if_nothing_had_happened(recipe: Path, finished: tuple[Path, str]) -> None:
    """The log has each step once, tokens go on counting, and the losses are those of a run that was never killed."""
    undisturbed = read_log(finished[0]).entries
    process = start(recipe)
    killed = wait_for_step(4)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert read_run(killed).status == "interrupted"
    assert finetune.main(["--resume", killed.name]) == 0
    run, entries = read_run(killed), read_log(killed).entries
    assert (run.status, len(run.resumed_at)) == ("finished", 1)
    assert [(e.step, e.kind) for e in entries] == [(e.step, e.kind) for e in undisturbed]
    assert [e.loss for e in entries] == pytest.approx([e.loss for e in undisturbed], abs=1e-6)
    assert [e.tokens for e in entries] == [e.tokens for e in undisturbed]
    elapsed = [e.elapsed_s for e in entries]
    assert elapsed == sorted(elapsed)  # type: ignore[type-var]


def test_a_stop_request_ends_the_run_with_a_checkpoint(recipe: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As Ctrl-C and a shutting-down machine send it: the step is finished, saved, and the way on is named."""

    def stop() -> None:
        wait_for_step(2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    assert finetune.main([str(recipe), "--set", "training.steps=2000"]) == 130
    folder, run, entries = only_run()
    last = entries[-1].step
    assert run.status == "interrupted" and run.reason == f"Stopped by SIGTERM at step {last}."
    assert f"python -m training.finetune --resume {run.id}" in capfd.readouterr().err
    assert (folder / "checkpoints" / f"checkpoint-{last}" / "complete").exists()
    assert finetune.find_resumed(run.id).step == last


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


def test_a_finished_run_is_not_resumed(finished: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Its folder may be named instead of its id."""
    assert finetune.main(["--resume", str(finished[0])]) == 1
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
    """Under ``accelerate launch`` each process has its share of the batch; the log has each step once."""
    launcher = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")
    process = start(recipe, "--set", "training.steps=2", "--set", "optimizer.warmup_steps=1", launcher=launcher)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    _, run, entries = only_run()
    assert (run.status, run.processes) == ("finished", 2)
    assert [(entry.step, entry.kind) for entry in entries] == [(0, "eval"), (1, "train"), (2, "train"), (2, "eval")]
    assert f"Export it later with: python -m training.export {run.id}" in output


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
