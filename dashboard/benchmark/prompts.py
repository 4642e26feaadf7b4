"""Which prompts are asked: sets that come along, and a file of the user's."""

from pathlib import Path

import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard.arena.answer_text import as_plain
from evaluation.leaderboard.wording import counted
from evaluation.prompt_sets import (
    JSONL_ENDINGS,
    LARGEST_BYTES,
    Prompt,
    PromptSet,
    PromptSetError,
    known_sets,
    load_prompt_set,
    parse_prompt_set,
)

PREVIEW_HEIGHT_PX = 280


def pick_prompts() -> list[PromptSet]:
    """The chosen sets and the uploaded one, if it can be used; what is wrong with it is shown."""
    st.session_state.setdefault("benchmark_sets", known_sets())
    names = st.multiselect(
        "Prompt sets", known_sets(), key="benchmark_sets", persist_state="session", placeholder="Choose prompt sets"
    )
    sets = [load_prompt_set(name) for name in names]
    uploaded = st.file_uploader(
        "Prompts of your own",
        key="benchmark_upload",
        max_upload_size=LARGEST_BYTES // 10**6,
        help="A text file with one prompt per line, or a `.jsonl` file with one object per line: `prompt` (or "
        "`messages`) and, if you like, `id`, `kind`, `system` and `reference`, a good answer.",
    )
    own = _own_set(uploaded) if uploaded else None
    return [*sets, own] if own else sets


def _own_set(uploaded: UploadedFile) -> PromptSet | None:
    jsonl = Path(uploaded.name).suffix.lower() in JSONL_ENDINGS
    try:
        own = _parsed(uploaded.name, uploaded.getvalue(), jsonl)
    except PromptSetError as error:
        st.error(_as_list(str(error).splitlines()), icon=":material/error:")
        return None
    if own.warnings:
        st.warning(_as_list([f"{own.name}:", *own.warnings]), icon=":material/warning:")
    return own


def _as_list(lines: list[str]) -> str:
    """What it is about, and a point for each of the other lines."""
    first, *points = map(as_plain, lines)
    return "\n".join((first, "", *(f"- {point}" for point in points)))


@st.cache_data(max_entries=4, show_spinner=False)
def _parsed(name: str, content: bytes, jsonl: bool) -> PromptSet:
    return parse_prompt_set(name, content, jsonl)


def draw_prompts(sets: list[PromptSet]) -> None:
    """What will be asked, word for word; drawn only where somebody wants to read it."""
    prompts = [(each.name, prompt) for each in sets for prompt in each.prompts]
    if not prompts:
        return
    references = sum(bool(prompt.reference) for _, prompt in prompts)
    preview = st.expander(
        f"The {counted(len(prompts), 'prompt')}, {references} with a reference answer",
        key="benchmark_prompts",
        on_change="rerun",
    )
    if preview.open:
        with preview:
            _draw_preview(prompts)


def _draw_preview(prompts: list[tuple[str, Prompt]]) -> None:
    rows = [
        {
            "Set": name,
            "Kind": prompt.kind or "",
            "Prompt": "\n\n".join(message.content for message in prompt.messages),
            "Reference": prompt.reference or "",
        }
        for name, prompt in prompts
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=PREVIEW_HEIGHT_PX,
        column_config={
            "Set": st.column_config.TextColumn(width="small"),
            "Kind": st.column_config.TextColumn(width="small"),
            "Prompt": st.column_config.TextColumn(width="large"),
            "Reference": st.column_config.TextColumn(
                width="medium", help="A good answer. How likely a model finds it tells quality without a judge."
            ),
        },
    )
