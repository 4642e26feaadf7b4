"""How runs differ in recipe, data and environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.runs import follows
from evaluation.runs.facts import Facts, Section, facts, label, place, section
from evaluation.runs.listing import RunSummary


@dataclass(frozen=True)
class Difference:
    """A setting or fact that is not the same in all runs, or one of ``follows.DECIDING`` that none of them records."""

    key: str
    """Full name of the setting, such as ``lora.rank``."""
    section: Section
    label: str
    """For people, in the field's terms, for example ``LoRA rank``."""
    values: tuple[str | None, ...]
    """One per run, as text; ``None`` where the run does not say."""
    follows: str | None = None
    """Why it is no difference of its own, as a sentence: alpha that grows with the rank keeps the adapter's weight."""

    @property
    def told(self) -> bool:
        """At least two runs say different things; otherwise it is only not recorded for all of them."""
        return follows.told(self.values)

    @property
    def matters(self) -> bool:
        """It may have changed what was learned."""
        return self.told and self.follows is None and self.section != "environment"

    @property
    def in_doubt(self) -> bool:
        """It might have changed what was learned, but not every run records it."""
        return self.section != "environment" and None in self.values and self.follows is None


@dataclass(frozen=True)
class Differences:
    """All of them for some runs."""

    different: tuple[Difference, ...]
    """Recipe, data, environment; what is not of much account comes last in each."""
    equal: Mapping[Section, tuple[tuple[str, str], ...]]
    """Label and value of what all runs share."""

    @property
    def matter(self) -> tuple[Difference, ...]:
        """Those that may have changed what was learned."""
        return tuple(each for each in self.different if each.matters)


def differences(runs: Sequence[RunSummary]) -> Differences:
    """Of two or more runs, in the order given. Of what no run records only what decides is named."""
    return between([facts(each.run) for each in runs])


def between(runs: Sequence[Facts]) -> Differences:
    """The same from what is known of each run."""
    values = follows.by_key(runs)
    keys = sorted(values, key=place)
    different = [
        Difference(key, section(key), label(key), values[key], follows.why(key, values))
        for key in keys
        if not follows.same(values[key])
    ]
    different.sort(key=lambda each: (place(each.key)[0], each.follows is not None))
    equal = [(section(key), label(key), str(values[key][0])) for key in keys if follows.same(values[key])]
    return Differences(
        tuple(different), {part: tuple((name, value) for of, name, value in equal if of == part) for part in _SECTIONS}
    )


_SECTIONS: tuple[Section, ...] = ("recipe", "data", "environment")
