"""Which models and prompt sets the words of a command line mean."""

from collections.abc import Sequence

from evaluation.models import ChatModel, Model
from evaluation.prompt_sets import PromptSet, PromptSetError, load_prompt_set

LISTED = 12
"""Names in a sentence; more would hide it."""


class ChoiceError(Exception):
    """A sentence per fault, one per line."""


def choose_models(words: Sequence[str], models: Sequence[Model]) -> list[Model]:
    """By name, key, or a part of the name that only one has; ``base`` is the one without an adapter, ``all`` are all.

    Upper and lower case are the same. A model named twice comes once. Raises ``ChoiceError``.
    """
    chosen: dict[str, Model] = {}
    faults = []
    for word in words:
        found = list(models) if word.casefold() == "all" else _matching(word, models)
        if not found:
            faults.append(f"No model is called {word!r}. {_listed('There are', models)}")
        elif len(found) > 1 and word.casefold() != "all":
            faults.append(f"{word!r} may be any of several models: name one of them. {_listed('They are', found)}")
        else:
            chosen |= {model.key: model for model in found}
    if faults:
        raise ChoiceError("\n".join(faults))
    return list(chosen.values())


def choose_prompt_sets(words: Sequence[str]) -> list[PromptSet]:
    """Those that come along by name, files by their path. A set named twice comes once. Raises ``ChoiceError``."""
    sets: dict[str, PromptSet] = {}
    faults = []
    for word in words:
        try:
            found = load_prompt_set(word)
        except PromptSetError as error:
            faults.append(str(error))
            continue
        if sets.setdefault(found.name, found).sha256 != found.sha256:
            faults.append(f"Two different prompt sets are called {found.name}: rename one of the files.")
    if faults:
        raise ChoiceError("\n".join(faults))
    return list(sets.values())


def _matching(word: str, models: Sequence[Model]) -> list[Model]:
    """The best kind of match that there is."""
    wanted = word.casefold()
    whole = [model for model in models if wanted in (model.name.casefold(), model.key)]
    part = [model for model in models if wanted and wanted in model.name.casefold()]
    bases: list[Model] = [m for m in models if wanted == "base" and isinstance(m, ChatModel) and m.adapter is None]
    return whole or part or bases


def _listed(start: str, models: Sequence[Model]) -> str:
    if not models:
        return "There are none: put a GGUF file into models/."
    names = [model.name for model in models[:LISTED]]
    more = f" and {len(models) - LISTED} more" if len(models) > LISTED else ""
    return f"{start}: {', '.join(names)}{more}."
