"""LoRA adapters as PEFT wrote them, turned into GGUF by the converter that came with the packages for training.

That needs PyTorch, which the app does not load, so it is done by a program of ``training``, in a process of its own.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from evaluation.hub import HubError
from evaluation.hub.progress import Progress
from evaluation.settings import PROJECT_ROOT

PROGRAM = "training.convert_adapter"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def check_converter() -> None:
    """Raises ``HubError`` when nothing can be converted here."""
    if not all(find_spec(package) for package in ("torch", "transformers")):
        raise HubError(
            "This adapter is in PEFT's form, and what turns it into GGUF is not installed here: run `make train` once "
            "in a terminal, which installs it, or take an adapter that is a GGUF file."
        )


def convert(folder: Path, made: Path, name: str, base_model: str | None, progress: Progress) -> None:
    """Write ``made`` from the adapter in ``folder``. Raises ``HubError`` and ``Cancelled``."""
    command = [sys.executable, "-m", PROGRAM, str(folder), str(made), "--name", name]
    process = subprocess.Popen(
        [*command, *(["--base", base_model] if base_model else [])],
        cwd=PROJECT_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        while process.poll() is None:
            progress.sleep(0.1)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with the converter that it started
        process.wait()
        raise
    said, _ = process.communicate()
    if process.returncode != 0:
        lines = said.strip().splitlines() or ["The converter broke off: take an adapter that is a GGUF file."]
        raise HubError(f"The adapter could not be converted. {lines[-1]}")
