"""The row of panes: which model answers in each, and with which settings."""

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from dashboard import run_links
from dashboard.arena.answer_text import as_plain
from dashboard.arena.conversation import Pane, spread_seeds
from dashboard.arena.settings import PANE_COUNT, own_settings
from dashboard.told import told
from dashboard.visitors import hides, may_manage
from evaluation.endpoints import EndpointModel
from evaluation.leaderboard.wording import counted
from evaluation.models import Catalog, ChatModel, Model
from evaluation.records import Sampling
from evaluation.settings import PROJECT_ROOT
from evaluation.sizes import shown_size

MODELS_PAGE = "dashboard/app_pages/models.py"

READABLE_PANES = 3
"""At 1440 pixels; four cut the names of fine-tunes off where they differ."""


def model_label(model: Model) -> str:
    """Name, quantization and size of the file; of a served one its address, which is no stranger's business."""
    if isinstance(model, EndpointModel):
        return f"{model.name} · {'another server' if hides() else model.host.cpu}"
    return f"{model.name} · {model.quantization} · {shown_size(model.base.size_bytes)}"


def default_models(models: Sequence[Model]) -> list[str]:
    """Keys of the models the panes start with: the base of the run that finished last, its fine-tunes from the newest
    on, then the rest."""
    family = newest_family(models)
    return [model.key for model in (*family, *(model for model in models if model not in family))]


def default_pane_count(models: Sequence[Model]) -> int:
    """A base beside its fine-tunes, as many as can be read side by side on a laptop's screen."""
    return min(max(len(newest_family(models)), 2), READABLE_PANES)


def newest_family(models: Sequence[Model]) -> list[ChatModel]:
    """The base of the run that finished last and its fine-tunes, from the newest on; empty without fine-tunes."""
    here = [model for model in models if isinstance(model, ChatModel)]

    def finished_at(model: ChatModel) -> float:
        return (model.adapter.finished_at if model.adapter else None) or 0.0

    tuned = sorted((model for model in here if model.adapter), key=finished_at, reverse=True)
    bases = [model for model in here if model.adapter is None]
    return [model for model in (*bases, *tuned) if model.base.sha256 == tuned[0].base.sha256] if tuned else []


def choose(pane: int, key: str) -> None:
    """Put the model ``key`` into a pane."""
    st.session_state[f"arena_pane{pane}_model"] = key


def pick_panes(catalog: Catalog, shared: Sampling) -> list[Pane]:
    """Draw the pickers and return who answers, and how, in each pane."""
    models = {model.key: model for model in catalog.everyone}
    labels = {key: model_label(model) for key, model in models.items()}
    defaults = default_models(catalog.everyone)
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
                format_func=lambda each: labels.get(each, each),
            )
            with st.popover("", icon=":material/tune:", help=f"Settings of pane {pane + 1}", width="content"):
                sampling = own_settings(pane, shared)
                if (adapter := models[chosen].adapter) and adapter.run:
                    run_links.draw_run(adapter.run)
        if count > 2:  # a narrow picker cuts off the end of the name, which is where fine-tunes differ
            column.caption(as_plain(labels[chosen]))
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
    """What was found, what cannot be used and why, and where more come from."""
    st.caption(f"{counted(len(catalog.everyone), 'model')} found.")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        add = may_manage()
        st.page_link(
            MODELS_PAGE, label="Add or remove models" if add else "See them all", icon=":material/inventory_2:"
        )
        st.button(
            "Refresh", icon=":material/refresh:", key="arena_refresh", on_click=refresh, help="Look for models again."
        )
    if not catalog.everyone and add:
        st.caption(f"Or put the GGUF file of a chat model into `{_short(models_dir)}` and refresh.")
    if catalog.unusable:
        with st.expander(f"{counted(len(catalog.unusable), 'file')} can't be used"):
            for file in catalog.unusable:
                st.markdown(f"**{as_plain(file.path.name)}**  \n{told(file.reason)}")


def _short(folder: Path) -> str:
    return str(folder.relative_to(PROJECT_ROOT)) if folder.is_relative_to(PROJECT_ROOT) else str(folder)
