"""The arena: one message to up to four models, their answers side by side with figures that can be believed."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import services, visitors
from dashboard.arena import figures, history, links, state
from dashboard.arena.answers import draw_rounds
from dashboard.arena.conversation import Conversation, Pane
from dashboard.arena.panes import default_pane_count, draw_catalog, pick_panes
from dashboard.arena.settings import shared_settings
from dashboard.benchmark.notice import draw_notice
from dashboard.public import guards
from dashboard.public.answers import shown_response
from dashboard.public.limits import LimitError
from dashboard.public.stored import draw_stored_note, draw_switch
from dashboard.told import told
from dashboard.training.neighbour import draw_neighbour
from evaluation.charts.colors import model_colors
from evaluation.models import Catalog
from evaluation.records import Response
from evaluation.transcript import to_json, to_markdown

# The study's three prompts.
STARTERS = (
    "Explain the Pythagorean theorem.",
    "Why is the sky blue?",
    "What is the meaning of life?",
)


def draw_arena(catalog: Catalog) -> None:
    """The conversation of this tab, and all that can be done with it."""
    links.apply_link(catalog)
    with st.sidebar:
        st.subheader("Settings for all panes")
        shared = shared_settings(default_pane_count(catalog.everyone))
        st.subheader("Models")
        draw_catalog(catalog, services.settings().models_dir, services.catalog.clear)
    conversation = state.conversation()
    actions = draw_head()
    draw_notice()
    draw_neighbour()
    panes = pick_panes(catalog, shared)
    switch, stop = draw_input(panes)
    state.carry_out_wish(panes)
    with switch:
        draw_switch(conversation.keep)
    with actions:
        draw_actions(conversation, panes)
    beginning = st.empty()
    if not conversation.rounds:
        with beginning.container():
            draw_starters()
        return
    if conversation.keep:
        links.name_conversation(conversation.id)
    if conversation.running:
        stop.button("Stop", icon=":material/stop_circle:", key="arena_stop", shortcut="Esc", on_click=conversation.stop)
    colors = model_colors(
        (model.key for model in catalog.everyone), (answer.model.key for answer in conversation.answers())
    )
    draw_rounds(conversation, len(panes), colors, editable=True)
    stop.empty()


def draw_head() -> DeltaGenerator:
    """The title; returns where the actions go."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.title("Arena", anchor=False, width="content")
        return st.container(horizontal=True, width="content", gap="small")


def draw_actions(conversation: Conversation, panes: list[Pane]) -> None:
    """What can be done with the conversation as a whole."""
    with st.popover("Share", icon=":material/share:", disabled=not panes):
        prompt = conversation.rounds[-1].message if conversation.rounds else ""
        link = links.comparison_link([pane.model.key for pane in panes], prompt)
        if link is None:
            st.caption("The last message is too long for a link.")
        else:
            st.caption(f"This link opens the same models{' with the last message' if prompt else ''}.")
            st.code(link, language=None, wrap_lines=True)
        if conversation.rounds and conversation.keep:
            draw_address(conversation)
        draw_downloads(conversation)
    earlier = st.popover("Earlier", icon=":material/history:", key="arena_earlier", on_change="rerun")
    if earlier.open:
        with earlier:
            history.draw_list()
    st.button(
        "New",
        icon=":material/add_comment:",
        key="arena_new",
        disabled=not conversation.rounds,
        on_click=state.start_over,
        help="Stop what is being written and start an empty conversation.",
    )


def draw_address(conversation: Conversation) -> None:
    """Where this conversation can be read, and by whom."""
    if services.settings().public:
        st.caption(
            "This one opens the conversation itself, to be read only, for everybody who has it. Nobody can guess it: "
            "80 of its bits are random."
        )
    else:
        st.caption("This one opens the conversation itself, to be read only.")
    st.code(links.conversation_link(conversation.id), language=None, wrap_lines=True)


def draw_downloads(conversation: Conversation) -> None:
    """The answers that are done, as a file to read and as one for programs."""
    hides = visitors.hides()  # at the click nobody knows any more who asks

    def responses() -> list[Response]:
        return [shown_response(each, hides) for each in conversation.responses()]

    formats = (("Markdown", "md", "text/markdown", to_markdown), ("JSON", "json", "application/json", to_json))
    with st.container(horizontal=True):
        for name, ending, mime, write in formats:
            st.download_button(
                f"Download {name}",
                lambda write=write: write(responses()),
                file_name=f"arena-{conversation.id}.{ending}",
                mime=mime,
                icon=":material/download:",
                key=f"arena_{name.lower()}",
                on_click="ignore",
                disabled=not conversation.rounds,
            )


def draw_input(panes: list[Pane]) -> tuple[DeltaGenerator, DeltaGenerator]:
    """The input at the bottom of the page and who is asked; returns the places of what a public page says of storing,
    and of the stop button."""
    refusal = state.take_refusal()
    with st.bottom:
        if refusal:
            st.warning(told(refusal), icon=":material/front_hand:")
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            if len(panes) > 1:
                st.segmented_control(
                    "Who is asked",
                    [state.EVERYONE, *range(len(panes))],
                    format_func=lambda pane: "All panes" if pane == state.EVERYONE else f"Pane {pane + 1}",
                    key=state.TARGET,
                    default=state.EVERYONE,
                    required=True,
                    label_visibility="collapsed",
                    persist_state="session",
                )
            with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
                switch, stop = st.container(width="content"), st.empty()
        st.chat_input("Ask the models", key=state.MESSAGE, on_submit=state.send)
    return switch, stop


def draw_starters() -> None:
    """An empty conversation offers something to begin with."""
    st.markdown("Ask anything below, or start with one of the study's questions.")
    draw_stored_note()  # on a phone the input covers what comes after the buttons
    with st.container(horizontal=True):
        for number, prompt in enumerate(STARTERS):
            st.button(
                prompt,
                key=f"arena_starter_{number}",
                icon=":material/lightbulb:",
                on_click=state.wish,
                args=("ask", prompt),
            )


def draw_stored(conversation_id: str, catalog: Catalog) -> None:
    """A conversation of the store, read-only."""
    st.title("Arena", anchor=False)
    conversation = history.stored_conversation(conversation_id)
    if conversation is None:
        st.warning("This conversation is not stored on this machine.", icon=":material/search_off:")
        history.back_button()
        return
    history.draw_stored(conversation, catalog)
    draw_downloads(conversation)


def draw_no_models(catalog: Catalog) -> None:
    """Nothing can answer: say what to do."""
    st.title("Arena", anchor=False)
    st.info("There is no model to ask yet.", icon=":material/inventory_2:")
    draw_catalog(catalog, services.settings().models_dir, services.catalog.clear)


def main() -> None:
    """Draw the page."""
    st.html(figures.STYLE)
    try:
        catalog = guards.offered(services.catalog())
    except LimitError as error:
        st.error(f"Nobody is asked: {told(error)}", icon=":material/error:")
        return
    stored = links.asked_for_stored()
    if stored is not None:
        draw_stored(stored, catalog)
    elif catalog.everyone:
        draw_arena(catalog)
    else:
        draw_no_models(catalog)


main()
