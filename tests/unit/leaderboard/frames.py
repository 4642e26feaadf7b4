"""Frames such as ``Answers`` gives, made by hand: what a test does not name is unknown or ordinary."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

FIGURES = (
    "latency_s", "latency_s_q1", "latency_s_q3", "latency_150_s", "latency_150_s_q1", "latency_150_s_q3",
    "time_to_first_token_s", "decode_tok_s", "prompt_tok_s", "words", "words_q1", "words_q3", "sentences",
    "seconds_per_word", "ended", "repeated_4grams", "markdown", "bits_per_byte", "answer_loss_nats",
)  # fmt: skip


def cells(figures: Mapping[str, Mapping[str, Sequence[float]]], repeats: int = 5) -> pd.DataFrame:
    """Model key -> figure -> values, the i-th of the i-th prompt; a model may have fewer prompts than another."""
    rows = []
    for key, columns in figures.items():
        for number in range(len(next(iter(columns.values())))):
            known = {figure: values[number] for figure, values in columns.items()}
            prompt = {"prompt_key": f"p{number}", "prompt": f"Prompt {number}", "prompt_set": "ours", "kind": "advice"}
            rows.append(
                {"model_key": key, **prompt, "answers": repeats, **dict.fromkeys(FIGURES, float("nan")), **known}
            )
    return pd.DataFrame(rows, columns=["model_key", "prompt_key", "prompt", "prompt_set", "kind", "answers", *FIGURES])


def models(names: Mapping[str, str], **of_all: Any) -> pd.DataFrame:
    """Model key -> name; further columns by keyword, one value for all or a tuple with one per model."""
    usual: dict[str, Any] = {
        "quantization": "Q4_1",
        "adapter_run": None,
        "size_bytes": 100e6,
        "answers": 50,
        "failed": 0,
        "left_out": {},
        "load_s": [],
        "peak_memory_bytes": [],
        "settings": {(0.0, 256)},
    }
    rows = []
    for number, (key, name) in enumerate(names.items()):
        own = {column: value[number] if isinstance(value, tuple) else value for column, value in of_all.items()}
        rows.append({"model_key": key, "model_name": name, **usual, **own})
    return pd.DataFrame(rows, columns=["model_key", "model_name", *usual])


def around(center: float, spread: float = 0.02, n: int = 20) -> list[float]:
    """Values evenly around a median, in an order that is not sorted."""
    return [center * (1 + spread * ((7 * i % n) / (n - 1) - 0.5)) for i in range(n)]
