"""The recipes that can be started, and what each does in plain words."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from evaluation.leaderboard.wording import listed
from evaluation.models.names import distinct
from training.recipe import EMBEDDED, DataSection, Recipe, RecipeError, read_recipe
from training.recipe_faults import RECIPES
from training.recipe_paths import is_local


@dataclass(frozen=True)
class Offered:
    """A recipe's file."""

    path: Path
    recipe: Recipe
    remarks: tuple[str, ...]
    """The paragraphs of the comment at its head."""


def recipes() -> tuple[dict[str, Offered], list[str]]:
    """Those that come along and those in ``recipes/`` of the results, by path; a sentence for each that cannot be
    read."""
    found: dict[str, Offered] = {}
    problems: list[str] = []
    for folder in (RECIPES, services.settings().results_dir / "recipes"):
        for path in sorted(folder.glob("*.toml")):
            try:
                found[str(path)] = _read(path, path.stat().st_mtime_ns)
            except (RecipeError, OSError) as error:
                problems.append(str(error))
    return found, problems


def labels(offered: dict[str, Offered]) -> dict[str, str]:
    """What each is called in a list; recipes that are called the same get their files' names."""
    recipes = [each.recipe for each in offered.values()]
    names = [f"{recipe.name} — {recipe.description}" if recipe.description else recipe.name for recipe in recipes]
    files = [f"({each.path.name})" for each in offered.values()]
    return dict(zip(offered, distinct(names, files, [f"({path})" for path in offered]), strict=True))


@st.cache_resource(max_entries=100, show_spinner=False)
def _read(path: Path, changed_ns: int) -> Offered:
    return Offered(path, read_recipe(path), tuple(_remarks(path.read_text(encoding="utf-8-sig"))))


def _remarks(text: str) -> Iterator[str]:
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip("# "):
            if not line.startswith("#"):
                break
            lines.append(line.strip("# "))
        elif lines:
            yield " ".join(lines)
            lines = []
    if lines:
        yield " ".join(lines)


def in_words(recipe: Recipe) -> str:
    """What training by this recipe does, as Markdown: a line for each part."""
    lora, optimizer, training = recipe.lora, recipe.optimizer, recipe.training
    conversations = training.batch_size * training.gradient_accumulation
    parts = {
        "Base": _place(recipe.base.model),
        "Data": listed([_place(recipe.data.source), *_kept(recipe.data)]),
        "Adapter": f"LoRA of rank {lora.rank}, alpha {lora.alpha:g}, on {len(lora.target_modules)} kinds of weights",
        "Training": f"{training.steps:,} steps of {conversations} conversations "
        f"({training.batch_size} × {training.gradient_accumulation}), learning rate {optimizer.learning_rate:g}",
        "Held-out loss": _measured(recipe),
    }
    downloads = (recipe.base.model, recipe.data.source, recipe.data.held_out or EMBEDDED)
    if from_hub := [f"`{place}`" for place in dict.fromkeys(downloads) if not is_local(place)]:
        parts["Download"] = f"{listed(from_hub)} from the Hugging Face hub, as far as not here yet"
    return "\n".join(f"- **{name}**: {words}" for name, words in parts.items())


def _place(place: str) -> str:
    if place == EMBEDDED:
        return "the embedded model"
    return as_plain(Path(place).name if is_local(place) else place)


def _kept(data: DataSection) -> Iterator[str]:
    """What is left of the data, as far as the recipe says."""
    low, high = data.min_answer_words, data.max_answer_words
    if low is not None or high is not None:
        words = f"at most {high}" if low is None else f"at least {low}" if high is None else f"{low} to {high}"
        yield f"only answers of {words} words"
    if data.min_score is not None:
        yield f"only scores of at least {data.min_score:g}"
    if data.sources:
        yield f"only from {listed([as_plain(each) for each in data.sources])}"
    if data.sample is not None:
        yield f"{data.sample:,} of the rows"


def _measured(recipe: Recipe) -> str:
    data, every = recipe.data, recipe.evaluation.every
    if data.held_out is None and not data.held_out_rows:
        return "none; nothing will tell learning from memorizing"
    rows = _place(data.held_out) if data.held_out else f"{data.held_out_rows:,} rows that are not trained on"
    return f"on {rows}, before and after{f' and every {every:,} steps' if every else ''}"
