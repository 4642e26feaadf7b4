"""What else must be known of runs that are compared: what changes along, what is not recorded, other machines."""

import math
from collections.abc import Sequence

from evaluation.leaderboard.wording import counted, escaped, listed
from evaluation.runs.differences import Difference, Differences
from evaluation.runs.follows import ALPHA, BASE, HASH, HELD_OUT, RANK, SEED, STEPS, weights
from evaluation.runs.listing import RunSummary

MOST_NAMED = 5
LONGEST_VALUE = 32
STRETCHED = ("linear", "cosine")
NOT_TOLD = "Whether they differ in these cannot be told."


def change(difference: Difference) -> str:
    """``LoRA rank 16 → 32``, Markdown."""
    name, values = inline(difference.label), [value or "not recorded" for value in difference.values]
    if len(values) > MOST_NAMED:
        values = list(dict.fromkeys(values))
    if max(map(len, values)) > LONGEST_VALUE or len(values) > MOST_NAMED:
        return escaped(name)
    return escaped(f"{name} {' → '.join(values)}" if len(values) == 2 else f"{name} ({', '.join(values)})")


def inline(label: str) -> str:
    """A label within a sentence: ``learning rate``, ``GPU``, ``LoRA rank``."""
    return label if label[1:2].isupper() or label.startswith("LoRA") else label[:1].lower() + label[1:]


def side_effects(found: Differences) -> list[str]:
    """What changes along with a setting without standing in the recipe."""
    told = {each.key: each for each in found.different if each.told}
    shared = dict(found.equal["recipe"])
    said = []
    if RANK in told and ALPHA not in told and "LoRA alpha" in shared:
        ranks = [each or "" for each in told[RANK].values]
        scale = weights({RANK: tuple(ranks), ALPHA: (shared["LoRA alpha"],) * len(ranks)})
        if scale:
            went = " → ".join(f"{each:.3g}" for each in scale)
            said.append(
                f"Alpha stayed {shared['LoRA alpha']}, so the adapter's weight alpha / rank changed too: {went}."
            )
    schedule = shared.get("Learning rate schedule")
    if STEPS in told and schedule in STRETCHED:
        said.append(
            f"The {schedule} learning rate stretches with the steps, so at the same step the runs' rates differ."
        )
    if BASE in told and not told[BASE].follows:
        said.append("Base models may cut text into other tokens, so losses per token need not be comparable.")
    elif HASH in told:
        said.append("They learned from other rows, so their training losses are not comparable.")
    split_off = dict(found.equal["data"]).get("Held-out rows split off", "0") not in ("0", "none")
    if any(key in HELD_OUT or (split_off and (key in (HASH, SEED) or key.startswith("data."))) for key in told):
        said.append("Their held-out rows may not be the same, so their held-out losses may not be comparable.")
    return said


def unfinished(runs: Sequence[RunSummary], shown: Sequence[str]) -> list[str]:
    """Runs that did not do all their steps."""
    said = []
    for each, name in zip(runs, shown, strict=True):
        if each.run.status == "finished" or (each.steps_done or 0) >= (each.run.steps or math.inf):
            continue
        done = "" if each.steps_done is None else f", it stands at {each.steps_done:,}"
        total = "all steps" if each.run.steps is None else f"all of its {each.run.steps:,} steps"
        said.append(f"{name} has not done {total}{done}.")
    return said


def not_recorded(found: Differences, shown: Sequence[str]) -> list[str]:
    """What one run says and another does not, and what decides and none says."""
    doubt = [each for each in found.different if each.in_doubt]
    some, none = [each for each in doubt if any(each.values)], [each for each in doubt if not any(each.values)]
    missing = {name: [each.label for each in some if each.values[number] is None] for number, name in enumerate(shown)}
    missing["either" if len(shown) == 2 else "any of them"] = [each.label for each in none]
    said = []
    for name, labels in missing.items():
        if labels:
            first = [escaped(inline(label)) for label in labels[:MOST_NAMED]]
            more = [counted(len(labels) - MOST_NAMED, "more fact")] if len(labels) > MOST_NAMED else []
            said.append(f"Not recorded for {name}: {listed([*first, *more])}.")
    return [*said[:-1], f"{said[-1]} {NOT_TOLD}"] if said else []


def environment(found: Differences) -> list[str]:
    """Other machines, other software."""
    of = {each.key: each for each in found.different if each.section == "environment"}
    said = []
    hosts = [each for key, each in of.items() if key.startswith("host.") and key != "host.system"]
    if any(each.told for each in hosts):
        said.append("They ran on different machines, so their times and tokens per second must not be compared.")
    elif hosts:
        said.append("Not all machines are recorded, so their times and tokens per second must not be compared.")
    others = [
        each
        for key, each in of.items()
        if each.told and not each.follows and (key == "backend" or key.startswith("packages."))
    ]
    if others:
        named = listed([change(each) for each in others[:MOST_NAMED]])
        said.append(f"The software differs too, which may move losses a little: {named}.")
    return said
