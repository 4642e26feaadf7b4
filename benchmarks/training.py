"""Training on the CPU against TRL's defaults: the time of the same steps with the same losses."""

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.report import Row, medians, ratio
from benchmarks.training_steps import STEPS
from evaluation.models import ChatModel
from training.settings import PROJECT_ROOT

ROUNDS = 3


def training_time(models: list[ChatModel]) -> Iterator[Row]:
    """Four steps of ``smollm2-r16.toml``, three times each in turn."""
    ours, trl = [], []
    for _ in range(ROUNDS):
        trl.append(_steps("trl"))
        ours.append(_steps("ours"))
    apart = max(
        abs(a - b)
        for one, other in zip(ours, trl, strict=True)
        for a, b in zip(one["losses"], other["losses"], strict=True)
    )
    seconds = [[each["seconds"] / STEPS for each in side] for side in (ours, trl)]
    same = f"losses at most {apart:.0e} apart"
    if apart >= 5e-5:
        raise SystemExit(f"Training gives other losses than TRL's defaults ({same}); its time means nothing.")
    yield Row(
        "time of a training step, 135M ÷ TRL's defaults",
        "≤ 0.75",
        ratio(*seconds),
        ROUNDS,
        f"{medians(*seconds, 's', 2)}; {same}",
    )


def _steps(who: str) -> dict[str, list[float]]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training_steps", who],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


MEASURES = [training_time]
