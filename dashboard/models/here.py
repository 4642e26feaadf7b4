"""What is here: each model, adapter, server and unusable file with what is known of it."""

import streamlit as st

from dashboard import run_links, services
from dashboard.arena.answer_text import as_plain
from dashboard.arena.figures import UNKNOWN, Figure, draw_grid
from dashboard.arena.links import draw_link
from dashboard.models import data
from dashboard.models.removal import draw_remove
from dashboard.told import told
from dashboard.visitors import hides, may_manage
from evaluation.leaderboard.figures import BY_KEY, shown
from evaluation.leaderboard.wording import counted
from evaluation.models.inventory import Item, Measured, disk
from evaluation.sizes import shown_size

SEARCH, PAGE = "models_search", "models_page"
MANY = 8
"""More than so many get a filter."""
PER_PAGE = 20

ICONS = {
    "model": ":material/deployed_code:",
    "adapter": ":material/layers:",
    "endpoint": ":material/dns:",
    "unusable": ":material/warning:",
}


def draw_here() -> None:
    """The list with its sum."""
    items = data.items()
    _draw_sum(items)
    listed = _filtered(items)
    if not listed:
        st.info(
            "Nothing here has such a name." if items else "There is no model here yet. Get one from the hub.",
            icon=":material/inventory_2:",
        )
    pages = -(-len(listed) // PER_PAGE)
    page = st.session_state.get(PAGE, 1) if pages > 1 else 1
    runs = {model.key: model.adapter.run for model in services.catalog().models if model.adapter}
    for number in range((page - 1) * PER_PAGE, min(page * PER_PAGE, len(listed))):
        _draw_item(listed[number], runs.get(listed[number].key or ""))
    if pages > 1:
        st.pagination(pages, key=PAGE)


def _draw_sum(items: list[Item]) -> None:
    kinds = [each.kind for each in items]
    nouns = {"model": "model", "adapter": "fine-tune", "endpoint": "server", "unusable": "unusable file"}
    parts = [counted(kinds.count(kind), noun) for kind, noun in nouns.items() if kind in kinds]
    if not hides():
        space = disk(services.settings().models_dir)
        parts.append(f"{shown_size(space.used_bytes)} used in the folder of models")
        parts.append(f"{shown_size(space.free_bytes)} free on its disk")
    st.caption(" · ".join(parts))


def _filtered(items: list[Item]) -> list[Item]:
    if len(items) <= MANY:
        return items
    words = st.text_input(
        "Filter",
        key=SEARCH,
        type="search",
        persist_state="session",
        live=True,
        placeholder="Filter by name, quantization, source or license",
        label_visibility="collapsed",
        icon=":material/search:",
        width=420,
    )
    wanted = str(words or "").casefold().split()
    return [each for each in items if all(word in _about(each) for word in wanted)]


def _about(item: Item) -> str:
    known = (item.name, item.kind, item.quantization, _source(item), item.license)
    return " ".join(part for part in known if part).casefold()


def _draw_item(item: Item, run: str | None) -> None:
    with st.container(border=True, gap="small"):
        left, right = st.columns([3, 2], gap="small", vertical_alignment="top")
        with left, st.container(gap="xxsmall"):
            st.markdown(f"{ICONS[item.kind]} **{as_plain(item.name)}**")
            st.caption(" · ".join(as_plain(part) for part in (_source(item), _license(item)) if part))
        with right, st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
            if item.key:
                draw_link([item.key], "Chat with it")
            if run:
                run_links.draw_run(run)
            if may_manage():
                draw_remove(item)
        if item.reason:
            st.markdown(f":orange[:material/warning:] {told(item.reason)}")
        if item.kind != "unusable":
            draw_grid(_figures(item))


def _source(item: Item) -> str:
    return "another server" if item.kind == "endpoint" and hides() else item.source


def _license(item: Item) -> str | None:
    """A fine-tune of a run has that of its base and of its data, which the run's page tells."""
    if item.license:
        return f"license {item.license}"
    return "license not stated" if item.kind == "model" or item.origin else None


def _figures(item: Item) -> list[Figure]:
    measured = item.measured or Measured(0, None, None, None)
    size = UNKNOWN if item.size_bytes is None else shown_size(item.size_bytes)
    values = {
        "decode_tok_s": measured.decode_tok_s,
        "latency_150_s": measured.latency_150_s,
        "peak_memory_bytes": measured.peak_memory_bytes,
    }
    where = "Median of what was answered here. "
    return [
        Figure("quantization", item.quantization or UNKNOWN, "How many bits each weight takes, and in which format."),
        Figure("size on disk", size, "Of its file. A fine-tune has its adapter only, and needs its base."),
        *(
            Figure(
                BY_KEY[key].label.lower(),
                UNKNOWN if value is None else shown(BY_KEY[key], value),
                where + BY_KEY[key].definition,
            )
            for key, value in values.items()
        ),
        Figure("answers", f"{measured.answers:,}", "Stored answers that these medians are of."),
    ]
