"""The row of panes: which model answers in each, and with which settings."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from dashboard import run_links
from dashboard.arena.answer_text import as_plain
from dashboard.arena.conversation import Pane, spread_seeds
from dashboard.arena.settings import PANE_COUNT, own_settings
from evaluation.models import Catalog, ChatModel
from evaluation.records import Sampling
from evaluation.settings import PROJECT_ROOT

READABLE_PANES = 3
"""At 1440 pixels; four cut the names of fine-tunes off where they differ."""


def model_label(model: ChatModel) -> str:
    """Name, quantization and size of the file."""
    return f"{model.name} · {model.base.quantization} · {_size(model.base.size_bytes)}"


def default_models(models: tuple[ChatModel, ...]) -> list[str]:
    """Keys of the models the panes start with: the base of the run that finished last, its fine-tunes from the newest
    on, then the rest."""
    family = newest_family(models)
    return [model.key for model in (*family, *(model for model in models if model not in family))]


def default_pane_count(models: tuple[ChatModel, ...]) -> int:
    """A base beside its fine-tunes, as many as can be read side by side on a laptop's screen."""
    return min(max(len(newest_family(models)), 2), READABLE_PANES)


def newest_family(models: tuple[ChatModel, ...]) -> list[ChatModel]:
    """The base of the run that finished last and its fine-tunes, from the newest on; empty without fine-tunes."""

    def finished_at(model: ChatModel) -> float:
        return (model.adapter.finished_at if model.adapter else None) or 0.0

    tuned = sorted((model for model in models if model.adapter), key=finished_at, reverse=True)
    bases = [model for model in models if model.adapter is None]
    return [model for model in (*bases, *tuned) if model.base.sha256 == tuned[0].base.sha256] if tuned else []


def choose(pane: int, key: str) -> None:
    """Put the model ``key`` into a pane."""
    st.session_state[f"arena_pane{pane}_model"] = key


def pick_panes(catalog: Catalog, shared: Sampling) -> list[Pane]:
    """Draw the pickers and return who answers, and how, in each pane."""
    models = {model.key: model for model in catalog.models}
    defaults = default_models(catalog.models)
    count = st.session_state[PANE_COUNT]
    panes: list[Pane] = []
    for pane, column in enumerate(st.columns(count)):
        key = f"arena_pane{pane}_model"
        if st.session_state.get(key) not in models:
            st.session_state[key] = defaults[pane % len(defaults)]
        with column, st.container(horizontal=True, vertical_alignment="bottom", gap="small", wrap=False):
            chosen = st.selectbox(
                f"Pane {pane + 1}",
                list(models),
                key=key,
                persist_state="session",
                format_func=lambda each: model_label(models[each]) if each in models else each,
            )
            with st.popover("", icon=":material/tune:", help=f"Settings of pane {pane + 1}", width="content"):
                sampling = own_settings(pane, shared)
                if adapter := models[chosen].adapter:
                    run_links.draw_run(adapter.run)
        if count > 2:  # a narrow picker cuts off the end of the name, which is where fine-tunes differ
            column.caption(as_plain(model_label(models[chosen])))
        panes.append(Pane(models[chosen], sampling))
    return _with_different_seeds(panes)


def _with_different_seeds(panes: list[Pane]) -> list[Pane]:
    spread = spread_seeds(panes)
    changed = [
        f"pane {number} uses seed {new.sampling.seed}"
        for number, (old, new) in enumerate(zip(panes, spread, strict=True), start=1)
        if old != new
    ]
    if changed:
        st.caption(f"The same model with the same settings would repeat itself, so {' and '.join(changed)}.")
    return spread


def draw_catalog(catalog: Catalog, models_dir: Path, refresh: Callable[[], None]) -> None:
    """What was found, what cannot be used and why, and how to add more."""
    count = len(catalog.models)
    found = f"{count} model{'' if count == 1 else 's'} found."
    st.caption(f"{found} To add one, put the GGUF file of a chat model into `{_short(models_dir)}` and refresh.")
    st.button(
        "Refresh", icon=":material/refresh:", key="arena_refresh", on_click=refresh, help="Look for models again."
    )
    if catalog.unusable:
        number = len(catalog.unusable)
        with st.expander(f"{number} file{'' if number == 1 else 's'} can't be used"):
            for file in catalog.unusable:
                st.markdown(f"**{as_plain(file.path.name)}**  \n{as_plain(file.reason)}")


def _short(folder: Path) -> str:
    return str(folder.relative_to(PROJECT_ROOT)) if folder.is_relative_to(PROJECT_ROOT) else str(folder)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
