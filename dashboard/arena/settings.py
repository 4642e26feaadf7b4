"""The controls that say how a pane answers: one set for all panes, and one of its own for a pane that wants it."""

import streamlit as st

from dashboard.public import guards
from evaluation.records import Sampling

DEFAULTS = Sampling()
SHARED = "arena_shared"
PANE_COUNT = "arena_pane_count"
SYSTEM_PROMPT = "arena_system_prompt"
MAX_PANES = 4
MOST_TOKENS = 32_768

_FIELDS = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "max_tokens")


def shared_settings(pane_count: int) -> Sampling:
    """The controls for all panes, of which there are ``pane_count`` at first; what they say applies from the next
    message on."""
    guard = guards.of_visitor()
    most = min(guard.limits.panes, MAX_PANES) if guard else MAX_PANES
    st.session_state[PANE_COUNT] = min(st.session_state.get(PANE_COUNT, pane_count), most)
    st.number_input(
        "Panes", 1, most, key=PANE_COUNT, persist_state="session", help="How many models answer side by side."
    )
    st.text_area(
        "System prompt",
        key=SYSTEM_PROMPT,
        persist_state="session",
        height=90,
        placeholder="None",
        help="Stands before the conversation in every pane and tells the models how to behave. Changes what they are "
        "asked from the next message on.",
    )
    return sampling_controls(SHARED)


def own_settings(pane: int, shared: Sampling) -> Sampling:
    """The toggle of a pane and, when it is on, the pane's own controls, which start as a copy of the shared ones."""
    prefix = f"arena_pane{pane}"
    own = st.toggle(
        "Own settings for this pane",
        key=f"{prefix}_own",
        persist_state="session",
        on_change=_copy_shared,
        args=(prefix,),
        help="Off: this pane follows the settings of all panes.",
    )
    return sampling_controls(prefix) if own else shared


def _copy_shared(prefix: str) -> None:
    for field in (*_FIELDS, "stop"):
        if f"{SHARED}_{field}" in st.session_state:
            st.session_state[f"{prefix}_{field}"] = st.session_state[f"{SHARED}_{field}"]


def sampling_controls(prefix: str) -> Sampling:
    """Controls for every sampling setting, their state kept under ``prefix``."""

    guard = guards.of_visitor()
    most_tokens = guard.limits.answer_tokens if guard else MOST_TOKENS
    for field in _FIELDS:
        st.session_state.setdefault(f"{prefix}_{field}", getattr(DEFAULTS, field))
    if st.session_state[f"{prefix}_max_tokens"] > most_tokens:
        st.session_state[f"{prefix}_max_tokens"] = most_tokens

    def number(label: str, field: str, low: float, high: float, step: float, meaning: str) -> float:
        return st.number_input(
            label, low, high, step=step, key=f"{prefix}_{field}", help=meaning, persist_state="session"
        )

    temperature = st.slider(
        "Temperature",
        0.0,
        2.0,
        step=0.05,
        key=f"{prefix}_temperature",
        persist_state="session",
        help="How freely the next token is drawn. 0 always takes the most likely one.",
    )
    max_tokens = number("Max tokens", "max_tokens", 1, most_tokens, 64, "The answer is cut after this many tokens.")
    seed = number("Seed", "seed", 0, 2**31 - 1, 1, "The same seed, model and settings give the same answer.")
    with st.expander("More sampling settings"):
        top_k = number("Top-k", "top_k", 0, 1000, 1, "Only the k most likely tokens; 0 keeps all.")
        top_p = number(
            "Top-p",
            "top_p",
            0.0,
            1.0,
            0.01,
            "Only the likeliest tokens that together hold this probability; 1 keeps all.",
        )
        min_p = number(
            "Min-p", "min_p", 0.0, 1.0, 0.01, "Only tokens at least this likely relative to the best; 0 keeps all."
        )
        penalty = number(
            "Repetition penalty",
            "repeat_penalty",
            1.0,
            2.0,
            0.05,
            "Makes recent tokens less likely; 1 changes nothing.",
        )
        stop = st.text_area(
            "Stop strings",
            key=f"{prefix}_stop",
            persist_state="session",
            height=70,
            placeholder="One per line",
            help="The answer ends before the first of these strings, one per line.",
        )
    return Sampling(
        temperature=temperature,
        top_k=int(top_k),
        top_p=top_p,
        min_p=min_p,
        repeat_penalty=penalty,
        seed=int(seed),
        max_tokens=min(int(max_tokens), most_tokens),  # whatever a browser sends
        stop=tuple(line for line in stop.splitlines() if line.strip()),
    )
