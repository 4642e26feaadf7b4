"""What can be selected of the stored answers."""

from dataclasses import dataclass

from evaluation.records import Origin


@dataclass(frozen=True)
class Selection:
    """Which answers to look at; empty tuples select all."""

    host: str
    origins: tuple[Origin, ...] = ()
    benchmarks: tuple[str, ...] = ()
    prompt_sets: tuple[str, ...] = ()
    """Names; answers from the arena belong to none."""
    prompts: tuple[str, ...] = ()
    """Prompt keys."""
    models: tuple[str, ...] = ()
    """Model keys."""
    disturbed: bool = False
    """Whether disturbed answers count."""
    common: bool = True
    """Only prompts that every model in the selection has answered, where there is one. Otherwise medians of different
    prompts stand side by side."""


@dataclass(frozen=True)
class HostFacts:
    """A machine that has answers."""

    key: str
    cpu: str
    cores: float | None
    """``None``: a server that answers for an endpoint, of whose machine nothing is known."""
    memory_bytes: int | None
    system: str
    engine: str
    answers: int
    published: bool
    """Whether its answers are all published ones, single runs without raw times."""


@dataclass(frozen=True)
class Measured:
    """Where a training run's model was asked."""

    benchmark: str | None
    """Its id; ``None``: the arena, or wherever else outside of benchmarks."""
    host: str
    """Key of the machine."""
    answers: int
    """All that are stored but the warm-ups, and the flawed ones of a benchmark that were asked once more."""
