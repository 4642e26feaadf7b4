"""What a run was trained on: where the data is from, what was left of it, and what it looks like."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import visitors
from dashboard.arena.answer_text import LONG_MESSAGE_CHARACTERS, as_plain, shortened
from dashboard.downloads import download_chart
from dashboard.training import card_frames
from dashboard.training.data import ShownRun
from evaluation.charts.data_card import bars_chart, words_chart
from evaluation.leaderboard.wording import counted
from evaluation.runs.listing import RunSummary
from training.runlog import DataCard

AVATARS = {"user": ":material/person:", "assistant": ":material/smart_toy:"}
HASH_CHARACTERS = 12
TITLES = {"Rows": "Rows left", "Answers": "Length of the answers", "Sources": "Where the rows come from"}
MOST_TOLD = 12
"""A chart with more rows than that is not read out."""


def draw_card(run: ShownRun) -> None:
    """The data card; says so where the run records none."""
    st.subheader("Data", anchor=False)
    card, id = run.summary.run.data, run.summary.run.id
    if card is None:
        st.info("This run does not record what it was trained on.", icon=":material/info:")
        return
    st.markdown(_identity(card))
    charts = _charts(run.version, run.color, card)
    with st.container(border=True):
        left, right = st.columns(2, gap="medium")
        with left:
            _draw_chart("Rows", charts, id)
            st.caption("  \n".join(_notes(card, run.summary)))
        with left if card.sources else right:
            _draw_chart("Answers", charts, id)
        with right:
            _draw_chart("Sources", charts, id)
        _draw_downloads(charts, id)
    _draw_examples(card, id)


def _identity(card: DataCard) -> str:
    return " · ".join(
        (
            f"**{as_plain(card.name)}**",
            f"license {as_plain(card.license)}" if card.license else "license not stated",
            *([f"revision `{as_plain(card.revision[:HASH_CHARACTERS])}`"] if card.revision else []),
            *([f"SHA-256 `{as_plain(card.sha256[:HASH_CHARACTERS])}`"] if card.sha256 else []),
        )
    )


def _notes(card: DataCard, summary: RunSummary) -> list[str]:
    notes = [f"Unusable: {count:,} × {as_plain(reason)}." for reason, count in card.unusable.items()]
    notes.append(
        f"{counted(card.held_out_rows, 'row')} held out, for the held-out loss."
        if card.held_out_rows
        else "No row was held out, so there is no held-out loss."
    )
    if card.truncated is not None:
        longest = summary.setting("base", "max_length")
        at = f" at {longest:,} tokens" if isinstance(longest, int) else " at the longest length"
        notes.append(
            f"{counted(card.truncated, 'conversation')} cut{at}." if card.truncated else f"No conversation was cut{at}."
        )
    if not card.answer_words:
        notes.append("How long the answers are is not recorded.")
    return notes


Charts = dict[str, tuple[dict[str, Any], pd.DataFrame]]
"""Specification and data by name."""


@st.cache_data(max_entries=100, show_spinner=False)
def _charts(version: tuple[object, ...], color: str, _card: DataCard) -> Charts:
    """Those of which something is recorded. Every click draws the page again, and they take a tenth of a second."""
    frames = {
        "Rows": card_frames.stages(_card, color),
        "Answers": card_frames.answer_lengths(_card),
        "Sources": card_frames.sources(_card, color),
    }
    return {
        name: ((words_chart(frame, color) if name == "Answers" else bars_chart(frame)).to_dict(), frame)
        for name, frame in frames.items()
        if len(frame)
    }


def _draw_chart(name: str, charts: Charts, id: str) -> None:
    """Nothing where nothing is recorded."""
    if name in charts:
        st.markdown(f"**{TITLES[name]}**")
        st.vega_lite_chart(spec=charts[name][0], key=f"training_card_{name}_{id}", alt=_in_words(name, charts[name][1]))


def _in_words(name: str, frame: pd.DataFrame) -> str:
    """What a chart shows, for those who cannot see it."""
    if name == "Answers":
        bins = zip(frame["range"], frame["answers"], strict=True)
        rows = [f"{low_to_high} words: {counted(answers, 'answer')}" for low_to_high, answers in bins if answers]
    else:
        rows = [f"{each}: {text}" for each, text in zip(frame["name"], frame["text"], strict=True)]
    more = f"; {len(rows) - MOST_TOLD} more in the table to download" if len(rows) > MOST_TOLD else ""
    return f"{TITLES[name]}. {'; '.join(rows[:MOST_TOLD])}{more}."


def _draw_downloads(charts: Charts, id: str) -> None:
    popover = st.popover("Download", icon=":material/download:", key=f"training_card_files_{id}", on_change="rerun")
    if not popover.open:
        return
    with popover:
        for (name, (spec, frame)), column in zip(charts.items(), st.columns(len(charts)), strict=True):
            with column:
                _draw_files(name, spec, frame, id)


def _draw_files(name: str, spec: dict[str, Any], frame: pd.DataFrame, id: str) -> None:
    st.caption(name)
    download_chart(
        lambda: spec,
        lambda: frame.drop(columns="color", errors="ignore"),
        f"{id}-{name.lower()}",
        f"training_card_{name}_{id}_file",
    )


def _draw_examples(card: DataCard, id: str) -> None:
    if not card.examples:
        return
    if visitors.hides():
        st.caption("Rows of the data are not shown to the public.")
        return
    examples = st.expander(
        "The first conversation" if len(card.examples) == 1 else f"The first {len(card.examples):,} conversations",
        icon=":material/forum:",
        key=f"training_card_examples_{id}",
        on_change="rerun",
    )
    if examples.open:
        with examples:
            for number, messages in enumerate(card.examples):
                with st.container(border=True):
                    _draw_conversation(messages, f"training_card_example_{id}_{number}")


def _draw_conversation(messages: tuple[Mapping[str, str], ...], key: str) -> None:
    """Text to the letter: what stands in a row must not be taken for Markdown."""
    is_long = any(len(message.get("content", "")) > LONG_MESSAGE_CHARACTERS for message in messages)
    show_all = is_long and st.toggle("Show all", key=key)
    for message in messages:
        role, content = message.get("role", ""), message.get("content", "")
        with st.chat_message(role or "unknown", avatar=AVATARS.get(role, ":material/info:")):
            if role not in AVATARS:
                st.caption(as_plain(role or "role unknown"))
            st.text(content if show_all else shortened(content))
