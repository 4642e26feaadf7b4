"""What one visitor's tab remembers between two drawings of the arena, and what was asked of it since the last one."""

from dataclasses import dataclass
from typing import Literal

import streamlit as st

from dashboard import services
from dashboard.arena.conversation import Conversation, Pane
from dashboard.arena.settings import SYSTEM_PROMPT
from dashboard.benchmark.notice import refusal
from evaluation.engine.api import Generation, GenerationRequest

CONVERSATION = "arena_conversation"
WISH = "arena_wish"
MESSAGE = "arena_message"
TARGET = "arena_target"
EVERYONE = -1


@dataclass(frozen=True)
class Wish:
    """Something a button asked for; carried out once the panes are known."""

    kind: Literal["ask", "edit", "again"]
    message: str = ""
    pane: int = EVERYONE


def conversation() -> Conversation:
    """The conversation of this tab."""
    if CONVERSATION not in st.session_state:
        st.session_state[CONVERSATION] = Conversation()
    found: Conversation = st.session_state[CONVERSATION]
    return found


def wish(kind: Literal["ask", "edit", "again"], message: str = "", pane: int = EVERYONE) -> None:
    """Callback of a button. While a benchmark runs, nobody is asked: that would disturb it."""
    if running := services.running_benchmark():
        st.toast(refusal(running), icon=":material/speed:")
        return
    st.session_state[WISH] = Wish(kind, message, pane)


def send() -> None:
    """Callback of the input. While answers are being written or a benchmark runs, the message stays in the input."""
    message = st.session_state[MESSAGE]
    if conversation().running:
        st.session_state[MESSAGE] = message
        st.toast(
            "The models are still answering. Wait or stop them; your message is kept.", icon=":material/hourglass:"
        )
        return
    wish("ask", message, st.session_state.get(TARGET, EVERYONE))
    if WISH not in st.session_state:
        st.session_state[MESSAGE] = message


def wish_edit(text_key: str) -> None:
    """Callback of the edit form: the new wording is in the widget ``text_key``."""
    wish("edit", st.session_state[text_key])


def start_over() -> None:
    """Callback: stop what runs and open an empty conversation; the settings stay."""
    conversation().stop()
    st.session_state[CONVERSATION] = Conversation()
    st.query_params.clear()


def carry_out_wish(panes: list[Pane]) -> None:
    """Do what was asked for, if anything. A message of blanks is refused in words."""
    current, system_prompt = conversation(), st.session_state[SYSTEM_PROMPT]
    engine, visit = services.engine(), services.visit()
    asked: Wish | None = st.session_state.pop(WISH, None)
    # From here on nothing calls Streamlit before all panes are asked: another click would interrupt it there.
    if asked is None:
        return
    if asked.kind != "again" and not asked.message.strip():
        st.toast("There is nothing to ask: the message is empty.", icon=":material/edit_off:")
        return

    def submit(request: GenerationRequest) -> Generation:
        generation = engine.submit(request)
        visit.add(generation)
        return generation

    current.system_prompt = system_prompt
    chosen = dict(enumerate(panes))
    match asked.kind:
        case "ask":
            current.ask(asked.message, _only([asked.pane], chosen), submit)
        case "edit":
            current.edit_last(asked.message, _only(current.rounds[-1].panes, chosen), submit)
        case "again" if asked.pane in chosen:
            current.answer_again(asked.pane, chosen[asked.pane], submit)


def _only(wanted: list[int], panes: dict[int, Pane]) -> dict[int, Pane]:
    """Those of the panes; all of them when there are none such."""
    return {index: pane for index, pane in panes.items() if index in wanted} or panes
