"""What one visitor's tab remembers between two drawings of the arena, and what was asked of it since the last one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from dashboard import services
from dashboard.arena.conversation import Conversation, Pane
from dashboard.arena.settings import SYSTEM_PROMPT
from dashboard.benchmark.notice import refusal
from dashboard.public import guards
from dashboard.public.guard import Refused
from dashboard.public.stored import keeps
from evaluation.engine.api import Generation, GenerationRequest

CONVERSATION = "arena_conversation"
EARLIER = "arena_earlier_of_tab"
REFUSED = "arena_refused"
WISH = "arena_wish"
MESSAGE = "arena_message"
TARGET = "arena_target"
EVERYONE = -1
MOST_EARLIER = 20


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


def earlier() -> list[Conversation]:
    """Those that this tab had before, newest first."""
    found: list[Conversation] = st.session_state.setdefault(EARLIER, [])
    return found


def wish(kind: Literal["ask", "edit", "again"], message: str = "", pane: int = EVERYONE) -> None:
    """Callback of a button. While a benchmark runs, nobody is asked: that would disturb it."""
    if running := services.running_benchmark():
        st.toast(refusal(running), icon=":material/speed:")
        return
    st.session_state.pop(REFUSED, None)
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
    if conversation().rounds:
        earlier().insert(0, conversation())
        del earlier()[MOST_EARLIER:]
    st.session_state[CONVERSATION] = Conversation()
    st.session_state.pop(REFUSED, None)
    st.query_params.clear()


def carry_out_wish(panes: list[Pane]) -> None:
    """Do what was asked for, if anything. A message of blanks is refused in words."""
    current, system_prompt, keep = conversation(), st.session_state[SYSTEM_PROMPT], keeps()
    engine, visit, asking = services.engine(), services.visit(), guards.asking()
    asked: Wish | None = st.session_state.pop(WISH, None)
    # From here on nothing calls Streamlit before all panes are asked: another click would interrupt it there.
    if asked is None:
        return
    if asked.kind != "again" and not asked.message.strip():
        st.toast("There is nothing to ask: the message is empty.", icon=":material/edit_off:")
        return
    chosen = _asked(asked, current, dict(enumerate(panes)))
    message = asked.message if asked.kind != "again" else current.rounds[-1].message

    try:
        with asking(len(chosen), _characters(message, system_prompt, chosen.values())) as note:
            current.system_prompt = system_prompt
            current.keep = keep and (current.keep or not current.rounds)

            def submit(request: GenerationRequest) -> Generation:
                generation = engine.submit(request)
                visit.add(generation)
                note(generation)
                return generation

            _put(asked, current, chosen, submit)
    except Refused as reason:
        st.session_state[REFUSED] = (str(reason), asked.message if asked.kind == "ask" else "")
        st.rerun()  # the input is drawn already, and gets its message back


def _put(
    asked: Wish, current: Conversation, panes: dict[int, Pane], submit: Callable[[GenerationRequest], Generation]
) -> None:
    match asked.kind:
        case "ask":
            current.ask(asked.message, panes, submit)
        case "edit":
            current.edit_last(asked.message, panes, submit)
        case "again":
            for pane, settings in panes.items():
                current.answer_again(pane, settings, submit)


def take_refusal() -> str | None:
    """Why the last wish was not carried out, to be said until the next one; its message goes back into the input, which
    must not be drawn before."""
    reason, message = st.session_state.get(REFUSED, (None, ""))
    if message:
        st.session_state[REFUSED], st.session_state[MESSAGE] = (reason, ""), message
    return reason


def _asked(asked: Wish, current: Conversation, panes: dict[int, Pane]) -> dict[int, Pane]:
    match asked.kind:
        case "ask":
            return _only([asked.pane], panes)
        case "edit":
            return _only(current.rounds[-1].panes, panes)
        case "again":
            return {pane: settings for pane, settings in panes.items() if pane == asked.pane}


def _characters(message: str, system_prompt: str, panes: Iterable[Pane]) -> int:
    """Of all that was typed for the answers, where panes differ of the longest."""
    stops = max((sum(map(len, pane.sampling.stop)) for pane in panes), default=0)
    return len(message) + len(system_prompt) + stops


def _only(wanted: list[int], panes: dict[int, Pane]) -> dict[int, Pane]:
    """Those of the panes; all of them when there are none such."""
    return {index: pane for index, pane in panes.items() if index in wanted} or panes
