"""What can be wrong with a recipe, in sentences: the key, the fault, the remedy."""

import json
import os.path
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic_core import ErrorDetails

from training.recipe_paths import is_local
from training.settings import PROJECT_ROOT

RECIPES = PROJECT_ROOT / "training" / "recipes"
LONGEST_SHOWN = 100

_MISSING = {
    "name": 'call the run something, for example name = "my-first-run"',
    "base.model": "name a hub id, a folder, a GGUF file, or embedded",
    "data.source": "name a hub id, or a JSONL, JSON or Parquet file",
}
_REMEDIES = {
    "int_type": "it must be a whole number, without quotes and without a point",
    "float_type": "it must be a number, without quotes",
    "finite_number": "it must be a finite number",
    "string_type": "it must be text, in quotes; on the command line 'key=\"text\"'",
    "string_unicode": "it must be text in UTF-8",
    "tuple_type": 'it must be a list, such as ["one", "two"]',
    "dataclass_type": "it must be a section with settings of its own",
    "greater_than_equal": "it must be at least {ge}",
    "less_than_equal": "it must be at most {le}",
    "greater_than": "it must be more than {gt}",
    "less_than": "it must be less than {lt}",
    "too_short": "it must not be empty",
    "value_error": "{error}",
}
"""By pydantic's kinds of errors, with what it tells about each."""
_CONTRADICTIONS: tuple[tuple[tuple[str, ...], Callable[..., bool], str], ...] = (
    (
        ("base.model", "base.revision"),
        lambda model, revision: revision is not None and is_local(model),
        "base.revision is {1}, but base.model {0} is no repository of the hub: leave base.revision out.",
    ),
    (
        ("data.source", "data.revision"),
        lambda source, revision: revision is not None and is_local(source),
        "data.revision is {1}, but data.source {0} is no repository of the hub: leave data.revision out.",
    ),
    (
        ("data.source", "data.split"),
        lambda source, split: split != "train" and is_local(source),
        "data.split is {1}, but data.source {0} is a file, which has no splits: leave data.split out.",
    ),
    (
        ("data.min_answer_words", "data.max_answer_words"),
        lambda least, most: least is not None and most is not None and least > most,
        "data.min_answer_words is {0} and data.max_answer_words is {1}: no answer has both; the first must be the "
        "smaller one.",
    ),
    (
        ("data.held_out", "data.held_out_rows"),
        lambda place, rows: place is not None and rows > 0,
        "data.held_out is {0} and data.held_out_rows is {1}: give only one of them.",
    ),
    (
        ("data.held_out", "data.source"),
        lambda held_out, source: held_out == source,
        "data.held_out is data.source itself, {0}, so that nothing is left to train on: name other rows, or use "
        "data.held_out_rows.",
    ),
    (
        ("lora.target_modules",),
        lambda modules: len(set(modules)) < len(modules),
        "lora.target_modules is {0}: name each module once.",
    ),
    (
        ("optimizer.warmup_steps", "training.steps", "optimizer.schedule"),
        lambda warmup, steps, schedule: schedule != "constant" and warmup >= steps,
        "optimizer.warmup_steps is {0} and training.steps is {1}: the learning rate would never reach its peak; make "
        "the warm-up shorter than the training.",
    ),
)
"""Settings, what of their values cannot be, and the sentence for it."""


class RecipeError(Exception):
    """A recipe cannot be used; the message lists every fault, one per line."""


def parsed(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, unchecked. Raises ``RecipeError``."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark
    except FileNotFoundError:
        raise RecipeError(f"There is no recipe {path}. {_recipes_beside(path)}") from None
    except OSError as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise RecipeError(f"The recipe {path} is not text in UTF-8: save it as such.") from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"The recipe {path} is not valid TOML: {error}.") from None


def override(text: str) -> dict[str, Any]:
    """What ``lora.rank=32`` sets, as settings; a value that is not TOML is taken as text. Raises ``RecipeError``."""
    key, _, value = text.partition("=")
    if re.fullmatch(r"\s*[\w-]+(\.[\w-]+)*\s*=[^\n]*", text, re.ASCII):
        for written in (value, json.dumps(value.strip(), ensure_ascii=False)):
            try:
                return tomllib.loads(f"{key} = {written}")
            except ValueError:
                continue
    raise RecipeError(f"--set {shorten(text)} is not a setting: write section.key=value, for example lora.rank=32.")


def unknown_keys(settings: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """A sentence for each key that is not among the full names of what is known, such as ``lora.rank``."""
    sections = {name.partition(".")[0] for name in known if "." in name}
    faults = []
    for key, value in settings.items():
        if key in sections:
            names = [f"{key}.{inner}" for inner in value] if isinstance(value, dict) else []
            faults += [_unknown(name, known) for name in names if name not in known]
        elif key not in known:
            faults.append(_unknown_section(key, sections) if isinstance(value, dict) else _unknown(key, known))
    return faults


def contradictions(values: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each combination of settings that cannot be, given the values that are possible in themselves."""
    for names, collide, told in _CONTRADICTIONS:
        if all(name in values for name in names) and collide(*(values[name] for name in names)):
            yield told.format(*(shown(values[name]) for name in names))


def sentence(error: ErrorDetails) -> str:
    """What pydantic found wrong with a setting."""
    key, entry = ".".join(map(str, error["loc"][:2])), error["loc"][2:]
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"{key} is missing: {_MISSING[key]}."
    if kind == "literal_error":
        remedy = "it must be " + _choice(error["input"], re.findall("'(.*?)'", context["expected"]))
    else:
        bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
        remedy = _REMEDIES.get(kind, error["msg"].replace("{", "{{").replace("}", "}}")).format(**bounds)
    place = f"Entry {int(entry[0]) + 1} of {key}" if entry else key
    return f"{place} is {shown(error['input'])}: {remedy}."


def listed(what: str, faults: Sequence[str]) -> str:
    """A message with one line per fault."""
    count = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}"
    return "\n".join([f"{what} has {count}:", *(f"  {fault}" for fault in faults)])


def shown(value: object) -> str:
    """A value about as TOML writes it, of a length that can be read."""
    return shorten(str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=str))


def shorten(text: str) -> str:
    """The text on one line, cut where it is longer than can be read in a sentence."""
    text = " ".join(text.splitlines())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _unknown(key: str, known: Sequence[str]) -> str:
    section, _, last = key.rpartition(".")
    beside = [name for name in known if name.rpartition(".")[0] == section]
    for names in ([name for name in known if _last(name) == last], beside, known):
        if near := get_close_matches(last, map(_last, names), n=1):
            meant = " or ".join(name for name in names if _last(name) == near[0])
            return f"There is no setting {shorten(key)}: did you mean {meant}?"
    place = f"[{section}]" if section else "outside of its sections a recipe"
    return f"There is no setting {shorten(key)}: {place} knows {', '.join(map(_last, beside))}."


def _unknown_section(name: str, sections: Collection[str]) -> str:
    near = [f"did you mean [{each}]?" for each in get_close_matches(name, sections, n=1)]
    known = f"a recipe knows {', '.join(f'[{each}]' for each in sorted(sections))}."
    return f"There is no section [{shorten(name)}]: {(near or [known])[0]}"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _choice(value: object, allowed: Sequence[str]) -> str:
    """The allowed values, the one most like this value first."""
    near = get_close_matches(str(value), allowed, n=len(allowed), cutoff=0)
    quoted = [f'"{each}"' for each in near]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _recipes_beside(path: Path) -> str:
    """A hint at what else was meant."""
    found = {each.stem: each for folder in (path.parent, RECIPES) for each in sorted(folder.glob("*.toml"))}
    if near := get_close_matches(path.stem, found, n=1):
        return f"Did you mean {os.path.relpath(found[near[0]])}?"
    return f"In {os.path.relpath(RECIPES)} there are {', '.join(sorted(each.name for each in RECIPES.glob('*.toml')))}."
