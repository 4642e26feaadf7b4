"""A recipe: the small TOML file from which a run can be repeated.

    recipe = read_recipe(Path("training/recipes/demo.toml"), overrides=["lora.rank=32"])

Every section is a frozen dataclass below, with the study's settings as defaults. All faults of a file are reported at
once, each with its key, what is wrong and what to do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from training import recipe_faults
from training.recipe_faults import RecipeError as RecipeError
from training.recipe_paths import EMBEDDED as EMBEDDED
from training.recipe_paths import located, portable, restored

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("it must be printable text on one line, and not empty")
    return text


def _speakable(name: str) -> str:
    if not any(character.isalnum() for character in name):
        raise ValueError("it must hold a letter or a digit")
    return name


# TOML tells 60 from "60" and from 60.0, so nothing is converted but a whole number that stands where any number may
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[int, Field(strict=True, ge=1, le=10**9)]  # more is a slip, and forms need a bound
NotNegative = Annotated[int, Field(strict=True, ge=0)]
Text = Annotated[str, AfterValidator(_one_line)]


@dataclass(frozen=True)
class BaseSection:
    """Which model is fine-tuned."""

    model: Text
    """A hub id (``unsloth/Llama-3.2-1B-Instruct``), a folder, a GGUF file, or ``embedded``."""
    revision: Text | None = None
    """Commit, tag or branch of the hub's repository."""
    max_length: Annotated[int, Field(strict=True, ge=16)] = 2048
    """Tokens per conversation; what is longer is cut at the end."""


@dataclass(frozen=True)
class DataSection:
    """Which conversations are learned. Filters apply in the order of the fields."""

    source: Text
    """A hub id, or a JSONL, JSON or Parquet file."""
    split: Text = "train"
    revision: Text | None = None
    form: Literal["auto", "sharegpt", "alpaca", "messages"] = "auto"
    min_score: Number | None = None
    """Keep rows whose ``score`` is at least this."""
    sources: tuple[Text, ...] = ()
    """Keep rows with these values of ``source``; none: keep all."""
    min_answer_words: NotNegative | None = None
    """Keep rows whose every answer has at least this many words."""
    max_answer_words: Positive | None = None
    """Keep rows whose every answer has at most this many words."""
    duplicates: Literal["keep", "drop exact", "drop near"] = "drop exact"
    sample: Positive | None = None
    """Keep this many rows, drawn with the training seed."""
    held_out: Text | None = None
    """A file or hub id of rows for ``eval_loss``. They are not filtered, but none of them is trained on.

    Of a hub id it is the newest commit, with the same ``split`` as that of ``source``.
    """
    held_out_rows: NotNegative = 0
    """Without ``held_out``: split off this many rows, drawn with the training seed."""


@dataclass(frozen=True)
class LoraSection:
    """The adapter."""

    rank: Positive = 16
    alpha: Annotated[Number, Field(gt=0)] = 16.0
    dropout: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    target_modules: Annotated[tuple[Text, ...], Field(min_length=1)] = PROJECTIONS


@dataclass(frozen=True)
class OptimizerSection:
    """How the weights move."""

    name: Literal["adamw", "adamw_8bit"] = "adamw"
    """``adamw_8bit`` needs a GPU; without one plain AdamW is used, and the run says so."""
    learning_rate: Annotated[Number, Field(gt=0, lt=1)] = 2e-4
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup_steps: NotNegative = 5
    weight_decay: Annotated[Number, Field(ge=0, lt=1)] = 0.001
    max_grad_norm: Annotated[Number, Field(gt=0)] = 1.0


@dataclass(frozen=True)
class TrainingSection:
    """How long, on what, from which seed."""

    steps: Positive = 60
    """Optimizer steps."""
    batch_size: Positive = 2
    """Conversations per forward pass and process."""
    gradient_accumulation: Positive = 4
    """Forward passes per optimizer step."""
    seed: Annotated[NotNegative, Field(lt=2**32)] = 3407
    log_every: Positive = 1
    """Steps per line of the log."""
    save_every: Positive = 20
    """Steps between checkpoints, from which an interrupted run resumes."""
    backend: Literal["auto", "trl", "unsloth"] = "auto"
    """``auto``: unsloth where a GPU and the package are there, else TRL and PEFT on the CPU."""


@dataclass(frozen=True)
class EvaluationSection:
    """Loss on the held-out rows during training."""

    every: NotNegative = 20
    """Steps between evaluations; 0: only at the start and the end."""
    batch_size: Positive = 4


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run does. Its paths are absolute."""

    name: Annotated[Text, AfterValidator(_speakable)]
    """Becomes part of the run's id and the name of its adapter."""
    base: BaseSection
    data: DataSection
    description: str = ""
    """For people: what this recipe is meant to show."""
    lora: LoraSection = field(default_factory=LoraSection)
    optimizer: OptimizerSection = field(default_factory=OptimizerSection)
    training: TrainingSection = field(default_factory=TrainingSection)
    evaluation: EvaluationSection = field(default_factory=EvaluationSection)


_RECIPE = TypeAdapter(Recipe)
_PATHS = ("base.model", "data.source", "data.held_out")


def _defaults() -> dict[str, Any]:
    """Every setting by its full name, such as ``lora.rank``; ``MISSING`` where the recipe must give it."""
    defaults: dict[str, Any] = {}
    for each in fields(Recipe):
        if isinstance(each.type, type) and is_dataclass(each.type):
            defaults |= {f"{each.name}.{setting.name}": setting.default for setting in fields(each.type)}
        else:
            defaults[each.name] = each.default
    return defaults


_DEFAULTS = _defaults()


def read_recipe(path: Path, overrides: Sequence[str] = (), start: Path | None = None) -> Recipe:
    """Read a recipe; ``overrides`` such as ``lora.rank=32`` replace settings. Raises ``RecipeError`` with every fault.

    Paths in the file count from its folder, paths in overrides from ``start``, or else from the current folder.
    """
    settings = _with_places(recipe_faults.parsed(path), lambda place: located(place, path.parent))
    faults: list[str] = []
    for text in overrides:
        try:
            override = _with_places(recipe_faults.override(text), lambda place: located(place, start or Path.cwd()))
        except RecipeError as error:
            faults.append(str(error))
        else:
            settings = _merged(settings, override)
    recipe, more, values = _checked(settings)
    faults += [*more, *recipe_faults.contradictions(values)]
    if recipe is None or faults:
        raise RecipeError(recipe_faults.listed(f"The recipe {path}", faults))
    return recipe


def as_settings(recipe: Recipe) -> dict[str, Any]:
    """The resolved recipe as sections of plain values, defaults included: what ``run.json`` keeps."""
    return _with_places(_RECIPE.dump_python(recipe, mode="json"), portable)


def from_settings(settings: Mapping[str, Any]) -> Recipe:
    """Inverse of ``as_settings``. Raises ``RecipeError`` when another version wrote what this one cannot read."""
    recipe, faults, _ = _checked(_with_places(settings, restored))
    if recipe is None or faults:
        raise RecipeError(recipe_faults.listed("The recipe kept with the run", faults))
    return recipe


def _checked(settings: Mapping[str, Any]) -> tuple[Recipe | None, list[str], dict[str, Any]]:
    """The recipe, unless a setting is refused; the faults of single settings; the values of all others by full name."""
    faults = recipe_faults.unknown_keys(settings, list(_DEFAULTS))
    values = _DEFAULTS | {
        f"{section}.{key}": value
        for section, table in settings.items()
        if isinstance(table, dict)
        for key, value in table.items()
    }
    try:
        recipe = _RECIPE.validate_python({"base": {}, "data": {}} | dict(settings))  # so that their keys are missed
        return recipe, faults, values
    except ValidationError as error:
        for each in error.errors(include_url=False):
            faults.append(recipe_faults.sentence(each))
            refused = ".".join(map(str, each["loc"][:2]))
            values = {name: value for name, value in values.items() if refused not in (name, name.partition(".")[0])}
        return None, faults, values


def _with_places(settings: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The settings with this done to each place of a model or of data, whether or not they are valid."""
    changed = dict(settings)
    for section, key in (name.split(".") for name in _PATHS):
        table = changed.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str):
            changed[section] = table | {key: change(table[key])}
    return changed


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merged(below[key], value) if both else value
    return merged
