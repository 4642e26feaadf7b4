"""Importing what other programs logged: each form, its figures, and what is said about the rest."""

import csv
import json
import math
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from training.import_run import Imported, ImporterError, import_run, main
from training.runlog import LogEntry, Run, read_log, read_run

PROJECT = Path(__file__).parents[3]
PUBLISHED_LOSS = PROJECT / "results" / "published" / "loss_llama-3.2-1b_r32_120steps.csv"
TORCH_EVENTS = PROJECT / "tests" / "fixtures" / "torch-events.tfevents"
"""Written by ``torch.utils.tensorboard`` (tensorboard 2.21.0): scalars of both forms, a histogram, two texts."""
EVENTS_NAME = "events.out.tfevents.1795394033.laptop-of-someone.4711.0"

STATE: dict[str, Any] = {
    "best_global_step": None,
    "best_model_checkpoint": "/home/someone/out/checkpoint-3",
    "epoch": 0.6,
    "eval_steps": 500,
    "global_step": 3,
    "log_history": [
        {"epoch": 0.2, "grad_norm": 1.5, "learning_rate": 0.0001, "loss": 1.9012, "num_tokens": 500, "step": 1},
        {"epoch": 0.4, "grad_norm": 1.25, "learning_rate": 0.0002, "loss": 1.7, "num_tokens": 900, "step": 2},
        {"epoch": 0.4, "eval_loss": 1.8, "eval_runtime": 2.5, "eval_mean_token_accuracy": 0.5, "step": 2},
        {"epoch": 0.6, "grad_norm": 1.0, "learning_rate": 0.0001, "loss": 1.5, "num_tokens": 300, "step": 3},
    ],
    "logging_steps": 1,
    "max_steps": 3,
    "num_train_epochs": 1,
    "save_steps": 3,
    "stateful_callbacks": {"TrainerControl": {"args": {"should_log": False}, "attributes": {}}},
    "total_flos": 1.2e15,
    "train_batch_size": 2,
}
SUMMARY = {"epoch": 0.6, "step": 3, "total_flos": 1e15, "train_loss": 1.7004, "train_runtime": 90.5}
ADAPTER = {
    "base_model_name_or_path": "unsloth/Llama-3.2-1B-Instruct",
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "peft_type": "LORA",
    "r": 32,
    "target_modules": ["v_proj", "q_proj"],
}

TABLE_STYLE = '<table border="1" class="dataframe"><thead><tr style="text-align: left;">'


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def imported(path: Path, results: Path, **options: Any) -> tuple[Run, tuple[LogEntry, ...], Imported]:
    """The one run that a path becomes."""
    done = import_run(path, results, **options)
    (folder,) = done.folders
    log = read_log(folder)
    assert log.problems == ()
    return read_run(folder), log.entries, done


def losses(entries: Sequence[LogEntry], kind: str = "train") -> dict[int, float | None]:
    return {entry.step: entry.loss for entry in entries if entry.kind == kind}


def notebook(path: Path, *cells: list[dict[str, Any]]) -> Path:
    """A notebook of format 4 whose code cells have these outputs."""
    return written(
        path, {"cells": [{"cell_type": "code", "outputs": outputs} for outputs in cells], "nbformat": 4, "metadata": {}}
    )


def shown(html: str) -> dict[str, Any]:
    picture = {"image/png": "iVBORw0KGgo="}
    data = {"text/html": html.splitlines(keepends=True), "text/plain": ["<IPython.core.display.HTML object>"]}
    return {"output_type": "display_data", "data": data | picture, "metadata": {}}


def printed(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text.splitlines(keepends=True)}


def table(header: Sequence[str], *rows: Sequence[object], bar: str = "") -> str:
    """The table that a Trainer shows in a notebook, below its progress bar."""
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"\n      <td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<progress value='1'></progress>{bar}\n{TABLE_STYLE}{head}</tr></thead><tbody>{body}</tbody></table><p>"


class TestTrainerState:
    def test_rows_evaluations_and_summary(self, tmp_path: Path) -> None:
        """Training rows and evaluations with all their figures; the closing summary's mean loss is not a step's."""
        state = STATE | {"log_history": [*STATE["log_history"], SUMMARY]}
        path = written(tmp_path / "my-lora" / "trainer_state.json", state)
        run, entries, done = imported(path, tmp_path / "results")
        assert losses(entries) == {1: 1.9012, 2: 1.7, 3: 1.5}
        assert losses(entries, "eval") == {2: 1.8}
        assert [entry.learning_rate for entry in entries if entry.kind == "train"] == [1e-4, 2e-4, 1e-4]
        assert [entry.grad_norm for entry in entries if entry.kind == "train"] == [1.5, 1.25, 1.0]
        assert [entry.epoch for entry in entries] == [0.2, 0.4, 0.4, 0.6]
        assert entries[2].mean_token_accuracy == 0.5
        assert (done.train_rows, done.evaluations, done.skipped) == (3, 1, {"with the summary of the training": 1})
        assert (run.origin, run.status, run.steps, run.name) == ("imported", "finished", 3, "my-lora")
        assert run.started_at is None and run.ended_at is None

    def test_tokens_are_counted_through_a_resume(self, tmp_path: Path) -> None:
        """The Trainer's count starts again at a resume: 900 tokens before it and 300 after it are 1,200."""
        _, entries, _ = imported(written(tmp_path / "trainer_state.json", STATE), tmp_path)
        assert [entry.tokens for entry in entries if entry.kind == "train"] == [500, 900, 1200]

    def test_settings_of_the_state_and_of_the_adapter_beside_it(self, tmp_path: Path) -> None:
        """What is known of the recipe, in a recipe's words, and nothing else of the machine."""
        written(tmp_path / "checkpoint-3" / "adapter_config.json", ADAPTER)
        path = written(tmp_path / "checkpoint-3" / "trainer_state.json", STATE)
        run, _, _ = imported(path, tmp_path)
        assert run.recipe == {
            "lora": {"rank": 32, "alpha": 32, "dropout": 0.05, "target_modules": ["q_proj", "v_proj"]},
            "training": {"steps": 3, "epochs": 1, "batch_size": 2, "log_every": 1, "save_every": 3},
        }
        assert run.base is not None
        assert (run.base.model, run.base.kind, run.method) == ("unsloth/Llama-3.2-1B-Instruct", "hub", "lora")
        assert run.imported_from == "trainer_state.json (Hugging Face trainer state)"

    @pytest.mark.parametrize("name", ["/home/someone/models/Llama-3.2-1B", "C:\\Users\\someone\\Llama-3.2-1B\\"])
    def test_no_paths_of_the_machine(self, tmp_path: Path, name: str) -> None:
        """A base model in a folder goes by the folder's name alone."""
        written(tmp_path / "out" / "adapter_config.json", ADAPTER | {"base_model_name_or_path": name})
        done = import_run(written(tmp_path / "out" / "trainer_state.json", STATE), tmp_path)
        assert "someone" not in (done.folders[0] / "run.json").read_text()
        base = read_run(done.folders[0]).base
        assert base is not None and (base.model, base.kind) == ("Llama-3.2-1B", "folder")

    def test_the_home_folder_names_no_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is called like the person. What a log's own name says of the machine is no name either."""
        home = tmp_path / "home" / "ada"
        monkeypatch.setenv("HOME", str(home))
        state = written(home / "checkpoint-3" / "trainer_state.json", STATE)
        run, _, _ = imported(state, tmp_path / "results")
        assert (run.name, run.id.rpartition("-")[0].rpartition("-")[0]) == ("trainer_state", "trainer-state")
        (home / EVENTS_NAME).write_bytes(TORCH_EVENTS.read_bytes())
        run, _, _ = imported(home / EVENTS_NAME, tmp_path / "results")
        assert run.name == "events"

    def test_newest_checkpoint_of_an_output_folder(self, tmp_path: Path) -> None:
        """By its step, not by its name: 100 comes after 20. One cut off while it was written is passed over."""
        for step in (20, 100):
            rows = [{"step": step, "loss": step / 10}]
            written(tmp_path / f"out/checkpoint-{step}/trainer_state.json", {"global_step": step, "log_history": rows})
        written(tmp_path / "out/checkpoint-120/trainer_state.json", '{"global_step": 120, "log_hi')
        run, entries, _ = imported(tmp_path / "out", tmp_path)
        assert losses(entries) == {100: 10.0}
        assert run.name == "out"

    def test_state_beside_the_checkpoints_has_the_summary(self, tmp_path: Path) -> None:
        """Equally far, the folder's own state is read, which is written last."""
        written(tmp_path / "out/checkpoint-3/trainer_state.json", STATE)
        written(tmp_path / "out/trainer_state.json", STATE | {"log_history": [*STATE["log_history"], SUMMARY]})
        _, _, done = imported(tmp_path / "out", tmp_path)
        assert done.skipped == {"with the summary of the training": 1}

    def test_log_that_ends_early_was_interrupted(self, tmp_path: Path) -> None:
        """With the reason; and a training that ended by itself before its last step, as by early stopping, finished."""
        path = written(tmp_path / "trainer_state.json", STATE | {"max_steps": 60})
        run, _, _ = imported(path, tmp_path)
        assert (run.status, run.reason) == ("interrupted", "The log ends at step 3 of 60.")
        ended = STATE | {"max_steps": 60, "log_history": [*STATE["log_history"], SUMMARY]}
        assert imported(written(path, ended), tmp_path)[0].status == "finished"

    def test_diverged_and_missing_losses(self, tmp_path: Path) -> None:
        """NaN and infinity stay what they are, text is read as a number, and a row without a loss is no step."""
        rows = (
            '{"step": 1, "loss": NaN}, {"step": 2, "loss": Infinity}, {"step": 3, "loss": "1.25"}, '
            '{"step": 4, "loss": null}, {"step": 5, "loss": "nan"}, {"step": 6, "loss": "broken"}, {"loss": 1.0}, '
            '{"step": 8, "reward": 1}'
        )
        _, entries, done = imported(written(tmp_path / "state.json", f'{{"log_history": [{rows}]}}'), tmp_path)
        read = losses(entries)
        assert list(read) == [1, 2, 3, 5]
        assert math.isnan(read[1] or 0) and math.isnan(read[5] or 0)
        assert (read[2], read[3]) == (math.inf, 1.25)
        assert done.skipped == {"without a loss": 2, "with a loss that is not a number": 1, "without a step": 1}


class TestLlamaFactory:
    ROWS = (
        {"current_steps": 10, "total_steps": 25, "loss": 1.4213, "lr": 5e-5, "epoch": 0.4, "elapsed_time": "0:01:05"},
        {"current_steps": 20, "total_steps": 25, "loss": 1.2001, "lr": 2e-5, "epoch": 0.8, "elapsed_time": "0:02:10"},
        {"current_steps": 20, "total_steps": 25, "eval_loss": 1.31, "epoch": 0.8, "elapsed_time": "0:02:20"},
        {"current_steps": 25, "total_steps": 25, "epoch": 1.0, "percentage": 100.0, "elapsed_time": "0:02:45"},
    )

    def test_trainer_log(self, tmp_path: Path) -> None:
        """Steps, losses, rates and times; the closing line has no loss, and shows that the training came to its end."""
        lines = "".join(f"{json.dumps(row)}\n" for row in self.ROWS)
        path = written(tmp_path / "llama3-lora" / "trainer_log.jsonl", lines + '{"current_st')
        run, entries, done = imported(path, tmp_path)
        assert losses(entries) == {10: 1.4213, 20: 1.2001}
        assert losses(entries, "eval") == {20: 1.31}
        assert [(entry.learning_rate, entry.elapsed_s) for entry in entries[:2]] == [(5e-5, 65.0), (2e-5, 130.0)]
        assert (run.status, run.steps, run.name) == ("finished", 25, "llama3-lora")
        assert done.skipped == {"without a loss": 1, "that could not be read as a JSON object": 1}

    def test_resumed_log_has_each_step_once(self, tmp_path: Path) -> None:
        """A resume goes back to a checkpoint; what was logged again is what counts."""
        rows = [{"current_steps": step, "loss": 2.0} for step in (1, 2, 3, 4)]
        rows += [{"current_steps": step, "loss": 1.0} for step in (3, 4, 5)]
        path = written(tmp_path / "trainer_log.jsonl", "\n".join(map(json.dumps, rows)))
        _, entries, done = imported(path, tmp_path)
        assert losses(entries) == {1: 2.0, 2: 2.0, 3: 1.0, 4: 1.0, 5: 1.0}
        assert done.skipped == {"logged again later, as after a resume": 2}


class TestTensorBoard:
    @pytest.fixture
    def events(self, tmp_path: Path) -> Path:
        path = tmp_path / "my-lora" / "runs" / "Nov23_00-33-53_laptop-of-someone" / EVENTS_NAME
        path.parent.mkdir(parents=True)
        shutil.copy(TORCH_EVENTS, path)
        return path

    def test_scalars_of_both_forms(self, events: Path, tmp_path: Path) -> None:
        """Losses 2 - step / 4 as plain values, rates and evaluations 3 - step / 4 as tensors, NaN at step 6."""
        run, entries, done = imported(events, tmp_path)
        read = losses(entries)
        assert math.isnan(read.pop(6) or 0)
        assert read == {step: 2 - step / 4 for step in range(1, 6)}
        assert losses(entries, "eval") == {2: 2.5, 4: 2.0}
        assert [entry.grad_norm for entry in entries if entry.grad_norm] == [0.5, 1.0, 1.5, 2.0, 2.5]
        assert {entry.learning_rate for entry in entries if entry.kind == "train"} == {1e-4, None}
        assert (run.status, done.skipped) == ("finished", {})
        assert (run.started_at, run.ended_at) == (1795394033.7419312, 1795394033.7477279)

    def test_arguments_and_model(self, events: Path, tmp_path: Path) -> None:
        """What the Trainer wrote as text; its paths and the name of the host stay where they are."""
        done = import_run(tmp_path / "my-lora", tmp_path)
        assert "someone" not in (done.folders[0] / "run.json").read_text()
        run = read_run(done.folders[0])
        assert run.recipe == {
            "optimizer": {"learning_rate": 2e-4, "schedule": "linear"},
            "training": {"epochs": 3, "batch_size": 2, "gradient_accumulation": 4, "seed": 3407},
        }
        assert run.base is not None and (run.base.model, run.base.architecture) == ("tiny-llama", "llama")
        assert run.name == "my-lora"
        assert run.imported_from == "events.out.tfevents.1795394033 (TensorBoard events)"

    @pytest.mark.parametrize("lost_bytes", [1, 20, 300])
    def test_torn_file(self, events: Path, tmp_path: Path, lost_bytes: int) -> None:
        """A file whose end is missing gives what is before it, and says so."""
        events.write_bytes(events.read_bytes()[:-lost_bytes])
        _, entries, done = imported(events, tmp_path)
        assert losses(entries)[5] == 0.75
        assert done.skipped == {"cut off or damaged, with all that follows in its file": 1}

    def test_garbage(self, tmp_path: Path) -> None:
        """No scalars, one sentence."""
        path = written(tmp_path / EVENTS_NAME, "x" * 1000)
        with pytest.raises(ImporterError, match="Looked for scalars named train/loss"):
            import_run(path, tmp_path)


class TestCsv:
    def test_the_published_run(self, tmp_path: Path) -> None:
        """All 120 losses as the table has them; their mean is the published 0.9358."""
        _, entries, _ = imported(PUBLISHED_LOSS, tmp_path)
        with PUBLISHED_LOSS.open(newline="") as file:
            assert losses(entries) == {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}
        assert len(entries) == 120
        assert statistics.mean(entry.loss or 0 for entry in entries) == pytest.approx(0.9358, abs=5e-5)

    @pytest.mark.parametrize(
        "content",
        [
            "step,loss,eval_loss\n1,0.5,\n2,0.25,0.75\n",
            "Step;Training Loss;Validation Loss\n1;0,5;\n2;0,25;0,75\n",
            "global_step\ttrain/loss\teval/loss\n1\t0.5\t\n2\t0.25\t0.75\n",
            '\ufeff"Step","run - train/loss","run - eval/loss"\r\n"1","0.5",""\r\n"2","0.25","0.75"\r\n',
            ",epoch,train_loss,val_loss,steps\n0,1,0.5,NaN,1\n1,2,0.25,0.75,2\n",
            "# exported from a spreadsheet\n\nsteps,loss,eval_loss\n1,0.5,\n,,\n2,0.25,0.75\n",
        ],
    )
    def test_spellings(self, tmp_path: Path, content: str) -> None:
        """Columns by their usual names, in any order, whatever separates them and marks decimals."""
        _, entries, _ = imported(written(tmp_path / "loss.csv", content), tmp_path)
        assert losses(entries) == {1: 0.5, 2: 0.25}
        assert losses(entries, "eval") == {2: 0.75}

    def test_without_steps_rows_are_numbered(self, tmp_path: Path) -> None:
        """And the run says so."""
        run, entries, _ = imported(written(tmp_path / "loss.csv", "loss\n0.5\n0.25\n"), tmp_path)
        assert losses(entries) == {1: 0.5, 2: 0.25}
        assert run.notes == "The file names no steps: its rows are numbered from 1."

    def test_table_that_starts_again_is_another_run(self, tmp_path: Path) -> None:
        """Two runs appended to one file become two; a table that goes on belongs to the one before."""
        content = "step,loss\n1,0.5\n2,0.4\nstep,loss\n3,0.3\nstep,loss\n1,0.9\n2,0.8\n"
        done = import_run(written(tmp_path / "loss.csv", content), tmp_path)
        assert [losses(read_log(folder).entries) for folder in done.folders] == [
            {1: 0.5, 2: 0.4, 3: 0.3},
            {1: 0.9, 2: 0.8},
        ]
        assert [read_run(folder).name for folder in done.folders] == ["loss (1 of 2)", "loss (2 of 2)"]

    def test_two_columns_for_one_loss(self, tmp_path: Path) -> None:
        """Of two runs side by side none is chosen silently."""
        path = written(tmp_path / "loss.csv", "Step,a - train/loss,b - train/loss\n1,0.5,0.6\n")
        with pytest.raises(ImporterError, match=r"several columns for the same loss \(a - train/loss, b - train/loss"):
            import_run(path, tmp_path)

    def test_no_losses(self, tmp_path: Path) -> None:
        """What was looked for, and what is there instead."""
        path = written(tmp_path / "prices.csv", "day,price\n1,2\n")
        with pytest.raises(ImporterError, match=r"Looked for a column of losses .* its first line is: day,price"):
            import_run(path, tmp_path)


class TestNotebook:
    def test_table_of_losses(self, tmp_path: Path) -> None:
        """The Trainer's table beside pictures and other tables, with the steps that its progress bar promises."""
        other = shown(table(["Model", "Score"], ["a", 1]))
        losses_html = table(["Step", "Training Loss"], [1, "0.880300"], [2, "0.945600"], bar="[3/3 01:23, Epoch 1/1]")
        path = notebook(tmp_path / "lab.ipynb", [printed("hello {'a': 1}\n"), other], [shown(losses_html)])
        run, entries, _ = imported(path, tmp_path)
        assert losses(entries) == {1: 0.8803, 2: 0.9456}
        assert (run.name, run.status, run.steps, run.notes) == ("lab", "finished", 3, None)

    def test_evaluations_and_no_log(self, tmp_path: Path) -> None:
        """``No log`` is an unknown training loss, and the evaluation beside it counts."""
        html = table(["Step", "Training Loss", "Validation Loss"], [5, "No log", 1.5], [10, 1.25, 1.4])
        run, entries, _ = imported(notebook(tmp_path / "lab.ipynb", [shown(html)]), tmp_path)
        assert losses(entries) == {10: 1.25}
        assert losses(entries, "eval") == {5: 1.5, 10: 1.4}
        assert run.notes is not None and "logged last" in run.notes

    def test_table_by_epochs(self, tmp_path: Path) -> None:
        """Evaluated once per epoch the table has no steps; 30 steps in 3 epochs make the second epoch end at 20."""
        header = ["Epoch", "Training Loss", "Validation Loss"]
        html = table(
            header, [1, 2.0, 1.9], [2, 1.5, 1.6], [3, 1.0, 1.4], ["nan", 1, 1], [], bar="[30/30 00:40, Epoch 3/3]"
        )
        _, entries, done = imported(notebook(tmp_path / "lab.ipynb", [shown(html)]), tmp_path)
        assert losses(entries, "eval") == {10: 1.9, 20: 1.6, 30: 1.4}
        assert done.skipped == {"without a step": 1, "without a loss": 1}

    def test_interrupted_resumed_and_trained_again(self, tmp_path: Path) -> None:
        """A table that goes on after a resume belongs to the run before it; one that starts at 1 is another run."""
        header = ["Step", "Training Loss"]
        cells = [
            [shown(table(header, [1, 2.0], [2, 1.5], [3, 1.4], bar="[ 3/4 00:10 < 00:10, 0.5 it/s, Epoch 0.50/1]"))],
            [shown(table(header, [3, 1.25], [4, 1.0], bar="[4/4 00:05, Epoch 1/1]"))],
            [shown(table(header, [1, 3.0], bar="[1/2 00:05 < 00:05, Epoch 0.50/1]"))],
        ]
        done = import_run(notebook(tmp_path / "lab.ipynb", *cells), tmp_path)
        assert [losses(read_log(folder).entries) for folder in done.folders] == [
            {1: 2.0, 2: 1.5, 3: 1.25, 4: 1.0},
            {1: 3.0},
        ]
        assert [read_run(folder).status for folder in done.folders] == ["finished", "interrupted"]

    def test_printed_rows(self, tmp_path: Path) -> None:
        """Printed rows name no steps: with 20 made and two rows printed, each stands for ten."""
        text = (
            "{'loss': '1.234', 'grad_norm': '0.5', 'learning_rate': '0.0001', 'epoch': '0.1'}\n"
            "{'eval_loss': 1.5, 'eval_runtime': 2.0, 'epoch': 0.1}\n"
            "{'loss': nan, 'grad_norm': 0.25, 'learning_rate': 5e-05, 'epoch': 0.2}\n"
            "{'train_runtime': 81.3, 'train_loss': 1.2, 'epoch': 0.2}\n"
        )
        bar = " 50%|█████     | 10/20 [00:12<00:12]\r 20%|█▌| 1/5 [00:00<00:01]\r100%|██████████| 20/20 [00:25<00:00]"
        path = notebook(tmp_path / "lab.ipynb", [printed(bar, "stderr"), printed(text)])
        run, entries, done = imported(path, tmp_path)
        read = losses(entries)
        assert (read[10], entries[0].grad_norm, entries[0].learning_rate) == (1.234, 0.5, 1e-4)
        assert math.isnan(read[20] or 0)
        assert losses(entries, "eval") == {10: 1.5}
        assert run.notes is not None and "were counted" in run.notes
        assert (run.steps, run.status, done.skipped) == (20, "finished", {"with the summary of the training": 1})

    def test_nothing_usable(self, tmp_path: Path) -> None:
        """One sentence says what was looked for."""
        path = notebook(tmp_path / "lab.ipynb", [printed("done\n")])
        with pytest.raises(ImporterError, match="Looked for outputs with a table Step / Training Loss"):
            import_run(path, tmp_path)


class TestWhatIsRead:
    @pytest.mark.parametrize(
        "content", ["", "{", "[[" * 50_000, '{"cells": 3}', "null", '{"log_history": []}', "\x00\xff"]
    )
    @pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.ipynb", EVENTS_NAME])
    def test_useless_files_give_a_sentence(self, tmp_path: Path, name: str, content: str) -> None:
        """Whatever a file holds instead of a log; and no run is left behind."""
        with pytest.raises(ImporterError, match=name):
            import_run(written(tmp_path / name, content), tmp_path)
        assert not (tmp_path / "runs").exists()

    def test_unknown_form_and_missing_path(self, tmp_path: Path) -> None:
        """Both name the path, the first one the forms that are known."""
        with pytest.raises(ImporterError, match=r"model.gguf is of no form .* trainer_log.jsonl"):
            import_run(written(tmp_path / "model.gguf", "GGUF"), tmp_path)
        with pytest.raises(ImporterError, match=r"There is no file or folder .*nowhere"):
            import_run(tmp_path / "nowhere", tmp_path)

    def test_folder_with_nothing(self, tmp_path: Path) -> None:
        """The forms that are known."""
        with pytest.raises(ImporterError, match=r"nothing to import .* a notebook"):
            import_run(tmp_path, tmp_path)

    def test_folder_with_several_runs(self, tmp_path: Path) -> None:
        """They are named; none is chosen silently."""
        for name in ("first", "second"):
            written(tmp_path / "out" / name / "checkpoint-3" / "trainer_state.json", STATE)
        with pytest.raises(ImporterError, match=r"several logs: first, second. Name the one"):
            import_run(tmp_path / "out", tmp_path)

    def test_folder_in_which_one_run_left_several_forms(self, tmp_path: Path) -> None:
        """LLaMA-Factory writes its own log, the Trainer's state and events: the state says the most."""
        written(tmp_path / "out" / "trainer_log.jsonl", '{"current_steps": 1, "loss": 9}')
        written(tmp_path / "out" / "checkpoint-3" / "trainer_state.json", STATE)
        _, entries, done = imported(tmp_path / "out", tmp_path)
        assert done.file == "trainer_state.json"
        assert losses(entries)[1] == 1.9012

    def test_folder_with_a_table_beside_other_files(self, tmp_path: Path) -> None:
        """Settings and pictures are no candidates."""
        written(tmp_path / "out" / "config.json", {"r": 1})
        written(tmp_path / "out" / "loss.png", "")
        written(tmp_path / "out" / "loss.csv", "step,loss\n1,0.5\n")
        assert imported(tmp_path / "out", tmp_path)[2].file == "loss.csv"

    def test_own_run_is_not_imported(self, tmp_path: Path) -> None:
        """A run of this program is copied, not read as someone else's log."""
        (folder,) = import_run(written(tmp_path / "trainer_state.json", STATE), tmp_path).folders
        for path in (folder, folder / "log.jsonl"):
            with pytest.raises(ImporterError, match="a run of this program already"):
                import_run(path, tmp_path)


class TestCommand:
    @pytest.fixture(autouse=True)
    def results(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
        return tmp_path / "results"

    def test_says_what_was_found_and_where_it_is(
        self, tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Rows, evaluations, what was left out and why, and the folder."""
        state = STATE | {"log_history": [*STATE["log_history"], SUMMARY]}
        assert main([str(written(tmp_path / "trainer_state.json", state)), "--name", "Lab 2"]) == 0
        (folder,) = (results / "runs").iterdir()
        assert capsys.readouterr().out.splitlines() == [
            "trainer_state.json (Hugging Face trainer state): 3 training rows, 1 evaluation.",
            "Left out: 1 row with the summary of the training.",
            "It is now in",
            f"  {folder}",
        ]
        assert read_run(folder).name == "Lab 2"

    def test_second_import_points_to_the_first(
        self, tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """By content, wherever the file lies now; ``--again`` makes another run."""
        assert main([str(written(tmp_path / "trainer_state.json", STATE))]) == 0
        (first,) = (results / "runs").iterdir()
        capsys.readouterr()
        moved = str(written(tmp_path / "elsewhere" / "state.json", STATE))
        assert main([moved]) == 0
        assert capsys.readouterr().out == (
            f"state.json was imported before, as\n  {first}\nImport it once more with --again.\n"
        )
        assert main([moved, "--again"]) == 0
        assert len(list((results / "runs").iterdir())) == 2

    def test_faults_are_sentences(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """On the error stream, with a status that tells a script."""
        assert main([str(tmp_path / "nowhere")]) == 1
        assert capsys.readouterr().err == f"There is no file or folder {tmp_path / 'nowhere'}.\n"

    def test_store_that_cannot_be_written(
        self, tmp_path: Path, results: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The run's own sentence."""
        written(results, "a file where the folder belongs")
        assert main([str(written(tmp_path / "trainer_state.json", STATE))]) == 1
        assert "cannot be stored" in capsys.readouterr().err
