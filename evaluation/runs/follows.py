"""Which differences between runs are none of their own: they follow from another one, or change nothing learned."""

import re
from collections.abc import Callable, Mapping, Sequence
from math import isclose, prod

from evaluation.runs.facts import Facts

Values = Mapping[str, tuple[str | None, ...]]
"""What each run says, by the facts' keys."""

BASE, FILE = "base.model", "base.sha256"
RANK, ALPHA, STEPS, SEED = "lora.rank", "lora.alpha", "training.steps", "training.seed"
ONLY_WATCHED = ("evaluation.every", "evaluation.batch_size", "training.save_every", "training.log_every")
PER_STEP = ("training.batch_size", "training.gradient_accumulation", "processes")
"""Their product is the number of conversations per optimizer step."""
TOGETHER = {RANK: (ALPHA,), STEPS: ("optimizer.warmup_steps",), **dict.fromkeys(PER_STEP, PER_STEP)}
"""What belongs to a setting: who takes it over from another run takes these too, where they follow."""
HASH = "card.sha256"
_OF_FILE = (FILE, "base.revision")
_DRAWN = ("data.sample", "data.held_out_rows")
DECIDING = (
    *(BASE, HASH, SEED, RANK, ALPHA, STEPS, *PER_STEP, "base.max_length"),
    *("optimizer.name", "optimizer.learning_rate", "optimizer.schedule"),
)
"""Without these nobody knows what a run learned: what no run tells of them cannot count as equal."""
HELD_OUT = ("data.held_out", "data.held_out_rows", "card.held_out_rows")


def by_key(facts: Sequence[Facts]) -> dict[str, tuple[str | None, ...]]:
    """What each of the runs says, and of what decides also where none does; ``None`` where one does not."""
    keys = dict.fromkeys((*DECIDING, *(key for each in facts for key in each)))
    return {key: tuple(each[key].value if key in each else None for each in facts) for key in keys}


def told(values: Sequence[str | None]) -> bool:
    """Whether at least two runs say different things."""
    return len({value for value in values if value is not None}) > 1


def same(values: Sequence[str | None]) -> bool:
    """Whether all runs say the same thing."""
    return None not in values and len(set(values)) == 1


def why(key: str, values: Values) -> str | None:
    """Why a difference is none of its own, as a sentence; ``None`` when it is."""
    if key in ONLY_WATCHED:
        return "It changes what is written down, not what is learned."
    if key.startswith(("data.", "card.")) and same(values.get(HASH, (None,))):
        return f"The rows trained on are the same{', the held-out ones may not be' if key in HELD_OUT else ''}."
    if not told(values[key]) and key not in _OF_FILE:
        return None  # nobody knows whether there is a difference
    rule = _RULES.get(key) or (_of_data if key.startswith(("data.", "card.")) else _of_package)
    return rule(key, values)


def may_follow(key: str) -> bool:
    """Whether there are cases in which a difference in this setting is none of its own."""
    return key in _RULES or key in ONLY_WATCHED or key.startswith(("data.", "card.", "packages."))


def weights(values: Values) -> tuple[float, ...] | None:
    """Alpha / rank of each run; ``None`` when one is unknown."""
    pairs = zip(values[ALPHA], values[RANK], strict=True)
    try:
        return tuple(float(alpha or "") / float(rank or "") for alpha, rank in pairs)
    except (ValueError, ZeroDivisionError):
        return None


def _same_weight(_: str, values: Values) -> str | None:
    found = weights(values)
    if found is None or not told(values[RANK]) or not all(isclose(each, found[0]) for each in found):
        return None
    return f"Its weight alpha / rank stays {found[0]:.3g}."


def _same_share(key: str, values: Values) -> str | None:
    try:
        shares = [
            int(warm_up or "") / int(steps or "") for warm_up, steps in zip(values[key], values[STEPS], strict=True)
        ]
    except (KeyError, ValueError, ZeroDivisionError):
        return None
    return f"It stays {shares[0]:.0%} of the steps." if told(values[STEPS]) and len(set(shares)) == 1 else None


def per_step(values: Values) -> list[int] | None:
    """Conversations per optimizer step of each run; ``None`` when one is unknown."""
    try:
        return [prod(int(each or "") for each in run) for run in zip(*(values[key] for key in PER_STEP), strict=True)]
    except (KeyError, ValueError):
        return None


def _same_step(_: str, values: Values) -> str | None:
    sizes = per_step(values)
    return f"A step still holds {sizes[0]:,} conversations." if sizes and len(set(sizes)) == 1 else None


def _of_base(key: str, values: Values) -> str | None:
    if key == BASE:
        return "It is the same file by another name." if same(values.get(FILE, (None,))) else None
    return "Another model, so another file." if told(values.get(BASE, ())) else None


def _of_max_length(_: str, values: Values) -> str | None:
    nothing_cut = set(values.get("card.truncated", (None,))) == {"0"} and same(values.get(HASH, (None,)))
    return "No conversation was cut, at either length." if nothing_cut else None


def _of_backend(_: str, values: Values) -> str | None:
    return None if None in values.get("backend", (None,)) else "What counts is the one that was used."


def _of_optimizer(key: str, values: Values) -> str | None:
    on_cpu = set(values.get("host.gpu", (None,))) == {"none"} and set(values[key]) <= {"adamw", "adamw_8bit"}
    return "Without a GPU both are plain AdamW." if on_cpu else None


def _of_data(key: str, values: Values) -> str | None:
    causes = [each for each in values if each.startswith("data.") and told(values[each])]
    if key.startswith("data."):
        return "It changes the held-out rows." if key == "data.held_out" and len(causes) > 1 else None
    if causes:
        return "Follows from the settings of the data."
    drawn = any(value not in (None, "none", "0") for each in _DRAWN for value in values.get(each, ()))
    if drawn and told(values.get(SEED, ())):
        return "Follows from the seed, by which rows are drawn."
    first = next((each for each in values if each.startswith("card.") and told(values[each])), None)
    return None if key == first else "Part of the same difference of the data."


def _of_truncated(key: str, values: Values) -> str | None:
    return "Follows from the max length." if told(values.get("base.max_length", ())) else _of_data(key, values)


def _of_package(key: str, values: Values) -> str | None:
    found = [re.fullmatch(r"(\d+(?:\.\d+)+)\.\d+(\+.*)?", value or "") for value in values[key]]
    releases = {each.groups() if each else None for each in found}  # with the build, such as +cpu
    patch = key.startswith("packages.") and len(releases) == 1 and None not in releases
    return "Only a patch release." if patch else None


_RULES: dict[str, Callable[[str, Values], str | None]] = {
    ALPHA: _same_weight,
    "optimizer.warmup_steps": _same_share,
    **dict.fromkeys(PER_STEP, _same_step),
    **dict.fromkeys((BASE, *_OF_FILE), _of_base),
    "base.max_length": _of_max_length,
    "training.backend": _of_backend,
    "optimizer.name": _of_optimizer,
    "card.truncated": _of_truncated,
}
