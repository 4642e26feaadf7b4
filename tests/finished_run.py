"""A finished training run's folder, with everything in it that must stay at home."""

import json
from pathlib import Path
from typing import Any

from training.recipe import as_settings, read_recipe
from training.runlog import Base, DataCard, Export, FilterStep, LogEntry, Run, RunWriter, TrainingHost

ROW = "Why is the sky blue, asked nobody but this row"


def make_run(tmp_path: Path, **changes: Any) -> Path:
    """As training leaves it, with paths, a row of the data and PEFT's own card. ``changes`` are fields of ``Run``."""
    recipe_file = tmp_path / "demo.toml"
    recipe_file.write_text(
        'name = "Demo <b>*run*</b>"\ndescription = "short | answers"\n'
        f'[base]\nmodel = "{tmp_path}/tiny.gguf"\n[data]\nsource = "{tmp_path}/my rows.jsonl"\n'
    )
    (tmp_path / "tiny.gguf").touch()
    (tmp_path / "my rows.jsonl").touch()
    run = Run(
        id="demo-20260101-120000",
        name="Demo <b>*run*</b>",
        status="running",
        started_at=1767268800.0,
        steps=3,
        backend="trl",
        base=Base("maker/Tiny-1B", "hub", revision="c0ffee", license="llama3.2"),
        recipe=as_settings(read_recipe(recipe_file)),
        data=DataCard(
            name="maker/talk",
            rows=1400,
            unusable={"no answer": 7},
            filters=(FilterStep("score at least 4", 1300),),
            train_rows=1240,
            held_out_rows=60,
            sha256="ab" * 32,
            sources={"own": 1240},
            examples=(({"role": "user", "content": ROW},),),
        ),
        trainable_parameters=123456,
        commit="abc123",
        dirty=True,
        packages={"torch": "2.13.0"},
        host=TrainingHost("Some CPU", 2.0, 2**33, "Linux 6.1 x86_64"),
        exports=(Export("adapter.gguf", "adapter", "F16", "cd" * 32, 9_800_000, 3, 0.0004),),
        notes=f"Read from {tmp_path}/tiny.gguf.",
    )
    writer = RunWriter.create(tmp_path / "results", run)
    for step, loss in enumerate((2.5, 2.25, 2.0), start=1):
        writer.log(LogEntry(step=step, kind="train", loss=loss, tokens=step * 1000, elapsed_s=step * 60.0))
    writer.log(LogEntry(step=0, kind="eval", loss=2.6))
    writer.log(LogEntry(step=3, kind="eval", loss=2.1, elapsed_s=180.0))
    writer.update(**changes)
    writer.close("finished")
    adapter = writer.folder / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights" * 1000)
    config = {"peft_type": "LORA", "r": 16, "base_model_name_or_path": f"{tmp_path}/tiny"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / "tokenizer.json").write_text("{}")
    (adapter / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    (adapter / "chat_template.jinja").write_text("{{ messages }}")
    (adapter / "README.md").write_text(f"base_model: {tmp_path}/tiny")  # PEFT writes one by itself
    (writer.folder / "adapter.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    (writer.folder / "checkpoints").mkdir()
    (writer.folder / "checkpoints" / "optimizer.pt").write_bytes(b"\0")
    return writer.folder
