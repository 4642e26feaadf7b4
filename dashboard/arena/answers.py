"""One round on the screen: the message, the panes' answers while they are written and when they are done."""

import time
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import run_links, visitors
from dashboard.arena import state
from dashboard.arena.answer_text import as_markdown, as_plain, shortened
from dashboard.arena.conversation import Answer, Conversation, Round
from dashboard.arena.copy_button import copy_button
from dashboard.arena.figures import draw_figures, draw_latency
from dashboard.public.answers import shown_response
from dashboard.told import told
from evaluation.engine.api import Snapshot
from evaluation.records import Response

REDRAW_S = 0.5
"""Time between two redraws of answers that are being written; each costs the browser, which shares the cores."""

POLL_S = 0.05
"""How soon a click is noticed in the meantime."""


@dataclass
class Card:
    """The place of one pane's answer on the screen."""

    answers: list[Answer]
    """All attempts; the last one is shown."""
    body: DeltaGenerator
    footer: DeltaGenerator
    key: str
    asks_again: int | None
    """The pane that a button asks once more; ``None`` where there is no such button."""
    shown: str = ""

    def show(self) -> bool:
        """Write what is new since the last call, if anything; returns whether the answer is done."""
        snapshot = self.answers[-1].attempt.snapshot()
        if snapshot.response is not None:
            self._show_done(snapshot.text, shown_response(snapshot.response, visitors.hides()))
            return True
        text = as_markdown(snapshot.text) if snapshot.text else f":gray[{told(status(snapshot))}]"
        if text != self.shown:
            self.body.markdown(text, anchors=False)
            self.shown = text
        return False

    def _show_done(self, text: str, response: Response) -> None:
        """The whole answer, and below it why it failed, the figures and what can be done with it."""
        self.body.markdown(as_markdown(text) or ":gray[No text.]", anchors=False)
        with self.footer.container():
            if response.error is not None:
                (st.error if response.finish_reason == "error" else st.warning)(told(response.error))
            draw_figures(response)
            with st.container(horizontal=True, gap="small"):
                if text:
                    copy_button(text, key=f"{self.key}_copy")
                if self.asks_again is not None:
                    st.button(
                        "Regenerate",
                        icon=":material/refresh:",
                        key=f"{self.key}_again",
                        type="tertiary",
                        on_click=state.wish,
                        args=("again", "", self.asks_again),
                        help="Let this pane answer once more, with its current settings and the next seed.",
                    )
            if len(self.answers) > 1:
                self._show_earlier()

    def _show_earlier(self) -> None:
        with st.expander(f"Earlier answers ({len(self.answers) - 1})"):
            for number, answer in enumerate(self.answers[:-1], start=1):
                st.caption(f"Answer {number}")
                st.markdown(as_markdown(answer.attempt.snapshot().text) or ":gray[No text.]", anchors=False)


def status(snapshot: Snapshot) -> str:
    """What an answer without any text yet is waiting for."""
    match snapshot.state:
        case "queued":
            return f"You are number {snapshot.queue_place} in the queue." if snapshot.queue_place else "In the queue."
        case "loading":
            return snapshot.detail or "The model is being loaded."
        case "reading" if snapshot.prompt_tokens:
            return f"Reading the prompt, {snapshot.prompt_tokens_read or 0:,} of {snapshot.prompt_tokens:,} tokens."
        case "reading":
            return "Reading the prompt."
        case "waiting":
            return snapshot.detail or "Waiting for its turn."
        case _:
            return "Writing."


def draw_rounds(conversation: Conversation, pane_count: int, colors: dict[str, str], editable: bool) -> None:
    """All rounds, the running answers followed until they are done."""
    for index, each in enumerate(conversation.rounds):
        is_last = editable and index == len(conversation.rounds) - 1
        _draw_message(each, index, is_last)
        cards = _draw_cards(each, index, max(pane_count, *(pane + 1 for pane in each.panes), 1), colors, is_last)
        chart = st.empty()
        _follow(cards)
        with chart.container():
            draw_latency(each.responses(), colors, key=f"arena_chart_{conversation.id}_{index}")
    _warn_of_unsaved(conversation)


def _draw_message(each: Round, index: int, is_last: bool) -> None:
    with (
        st.chat_message("user", avatar=":material/person:"),
        st.container(horizontal=True, wrap=False, vertical_alignment="center"),
    ):
        st.text(shortened(each.message), width="stretch")
        if is_last:
            _draw_edit(each, index)


def _draw_edit(each: Round, index: int) -> None:
    key = f"arena_edit_{index}_{sum(each.attempts_made.values())}"
    with st.popover(
        "", icon=":material/edit:", help="Edit this message and ask again", type="tertiary", width="content"
    ):
        st.text_area("Message", value=each.message, key=key, height=140)
        st.button(
            "Ask again",
            icon=":material/send:",
            key=f"{key}_send",
            type="primary",
            on_click=state.wish_edit,
            args=(key,),
        )


def _draw_cards(each: Round, index: int, columns: int, colors: dict[str, str], is_last: bool) -> list[Card]:
    """A card per pane; returns those whose answers are still running."""
    cards = []
    for pane, column in enumerate(st.columns(columns)):
        answers = each.answers.get(pane)
        if not answers:
            continue
        with column, st.container(border=True):
            _draw_head(answers, colors)
            key = f"arena_{index}_{pane}_{each.attempts_made[pane]}"
            cards.append(Card(answers, st.empty(), st.empty(), key, pane if is_last else None))
    return [card for card in cards if not card.show()]


def _draw_head(answers: list[Answer], colors: dict[str, str]) -> None:
    model = answers[-1].model
    name = f"**{as_plain(model.name)}**"
    again = f" · answer {len(answers)}" if len(answers) > 1 else ""
    st.markdown(
        f':color[●]{{foreground="{colors[model.key]}"}} {run_links.in_text(model.adapter_run, name)} '
        f":gray[:small[{as_plain(model.quantization)}{again}]]"
    )


def _follow(cards: list[Card]) -> None:
    """Redraw running answers until all are done.

    A click interrupts this loop, here as in any script of Streamlit, and the page is drawn anew with the answers
    running on. So the loop's end says nothing about the visitor: ``services.Visit`` knows when nobody is there.
    """
    while cards:
        redraw_at = time.monotonic() + REDRAW_S
        while time.monotonic() < redraw_at:
            time.sleep(POLL_S)
            st.session_state.get(state.CONVERSATION)  # a point where a click can interrupt
        cards = [card for card in cards if not card.show()]


def _warn_of_unsaved(conversation: Conversation) -> None:
    errors = [snapshot.save_error for a in conversation.answers() if (snapshot := a.attempt.snapshot()).save_error]
    if errors:
        st.warning(told(errors[-1]), icon=":material/save:")
