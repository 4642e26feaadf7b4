"""What a training run's folder says, format version 1: the record ``run.json`` and the lines of ``log.jsonl``.

Unknown is ``None``. ``training.runlog`` writes and reads these; ``results/README.md`` describes the stored form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

FORMAT_VERSION = 1

Status = Literal["running", "finished", "failed", "interrupted"]
Origin = Literal["trained", "imported", "published"]
"""``published``: imported, and part of the study that this project grew out of."""


class RunError(Exception):
    """A run cannot be written or read; the message tells the user which, why and what to do."""


@dataclass(frozen=True)
class Base:
    """The model that was fine-tuned. No paths of the machine it was trained on."""

    model: str
    """As people know it: hub id, or the name of the folder or file."""
    kind: Literal["hub", "folder", "gguf"] | None = None
    architecture: str | None = None
    """As GGUF files call it, for example ``llama``."""
    parameters: int | None = None
    revision: str | None = None
    """Commit of the hub's repository."""
    sha256: str | None = None
    """Of the GGUF file: the same hash as in ``Response.model.base_sha256``."""
    license: str | None = None


@dataclass(frozen=True)
class FilterStep:
    """How many rows a filter left."""

    name: str
    """With its setting, for example ``score at least 4``."""
    rows_left: int


@dataclass(frozen=True)
class DataCard:
    """What a run was trained on."""

    name: str
    """Hub id, or the name of the file."""
    rows: int
    """Rows read, usable or not."""
    unusable: Mapping[str, int] = field(default_factory=dict)
    """Rows that could not be used, by reason."""
    filters: tuple[FilterStep, ...] = ()
    """In the order in which they were applied."""
    train_rows: int = 0
    held_out_rows: int = 0
    sha256: str | None = None
    """Of the conversations trained on, in their order before shuffling, those without room for an answer included."""
    sources: Mapping[str, int] = field(default_factory=dict)
    """Rows trained on by their ``source`` column."""
    answer_words: tuple[int, ...] = ()
    """Histogram of the words per answer trained on, in bins of ``ANSWER_WORDS_BIN`` words from 0; the last is open."""
    examples: tuple[tuple[Mapping[str, str], ...], ...] = ()
    """The first conversations trained on, as ``role`` and ``content``; they stay in the run's folder."""
    truncated: int | None = None
    """Conversations trained on that were cut at the longest length."""
    license: str | None = None
    revision: str | None = None
    """Commit of the hub's repository."""


ANSWER_WORDS_BIN = 10


@dataclass(frozen=True)
class Export:
    """A GGUF file made from the run."""

    file: str
    """Name within the run's folder."""
    kind: Literal["adapter", "merged"]
    quantization: str
    sha256: str
    size_bytes: int
    checked_prompts: int
    """Prompts on which llama.cpp's next-token distribution was compared with PEFT's."""
    largest_difference: float
    """Largest absolute difference of a token's probability over those prompts, 0 to 1."""


@dataclass(frozen=True)
class TrainingHost:
    """The machine of a run; no host name, no user name."""

    cpu: str
    cores: float
    memory_bytes: int
    system: str
    gpu: str | None = None


@dataclass(frozen=True)
class Run:
    """``run.json``. Times are UTC seconds since 1970. Unknown is ``None``."""

    id: str
    """Name of the folder."""
    name: str
    """For people; from the recipe, or given later."""
    status: Status
    started_at: float | None = None
    origin: Origin = "trained"
    ended_at: float | None = None
    reason: str | None = None
    """Why it failed or was interrupted, as a sentence."""
    resumed_at: tuple[float, ...] = ()
    steps: int | None = None
    """Optimizer steps that the recipe asks for."""
    method: str | None = "lora"
    backend: Literal["trl", "unsloth"] | None = None
    processes: int = 1
    base: Base | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """The resolved recipe: sections with their settings, defaults included. Empty when unknown."""
    data: DataCard | None = None
    trainable_parameters: int | None = None
    commit: str | None = None
    """Of this project's code."""
    dirty: bool | None = None
    """Whether the code had changes that were not committed."""
    packages: Mapping[str, str] = field(default_factory=dict)
    host: TrainingHost | None = None
    exports: tuple[Export, ...] = ()
    imported_from: str | None = None
    """Name and kind of the file that an imported run was read from."""
    imported_sha256: str | None = None
    """Of that file's content, so that a second import of it is noticed."""
    notes: str | None = None
    """What a reader must know, for example what is not recorded."""
    archived: bool = False
    """Put aside by the user: not in the list and not in the arena unless asked for."""
    format: int = FORMAT_VERSION


@dataclass(frozen=True)
class LogEntry:
    """A line of ``log.jsonl``: one optimizer step, or one evaluation on the held-out rows."""

    __pydantic_config__: ClassVar = ConfigDict(ser_json_inf_nan="strings")  # JSON has no word for NaN
    step: int
    kind: Literal["train", "eval"]
    loss: float | None = None
    """Mean cross-entropy of the answers' tokens, nats per token; NaN and infinity when it diverged.

    On a GPU the mean over held-out rows is TRL's: over batches."""
    epoch: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    tokens: int | None = None
    """Tokens trained on since the start of the run, prompts included, through every resume."""
    tok_s: float | None = None
    """Tokens per second since the line before."""
    elapsed_s: float | None = None
    """Seconds of training since the start of the run, pauses between a stop and a resume left out."""
    mean_token_accuracy: float | None = None
    """Share of the answers' tokens that the model found most likely, 0 to 1."""
    entropy: float | None = None
    """Mean entropy of the predictions at the answers' tokens, nats."""


@dataclass(frozen=True)
class Log:
    """What ``log.jsonl`` holds."""

    entries: tuple[LogEntry, ...]
    """In the order of the file."""
    problems: tuple[str, ...] = ()
    """A sentence for each line that is not an entry."""
