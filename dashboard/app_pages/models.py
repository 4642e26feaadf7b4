"""The models: what is here, what the hub has, which servers can be asked."""

import streamlit as st

from dashboard.arena import figures
from dashboard.arena.answer_text import as_plain
from dashboard.models import actions
from dashboard.models.here import draw_here
from dashboard.models.hub import draw_hub
from dashboard.models.progress import IN_CARD, draw_downloads, drop_done
from dashboard.models.servers import draw_servers
from dashboard.public.limits import LimitError
from dashboard.visitors import may_manage

SECTION = "models_section"
SECTIONS = {
    ":material/inventory_2: Here": draw_here,
    ":material/cloud_download: From the hub": draw_hub,
    ":material/dns: Servers": draw_servers,
}


def main() -> None:
    """Draw the page."""
    st.html(figures.STYLE)
    st.title("Models", anchor=False)
    actions.draw_fault()
    if not may_manage():
        st.caption(
            "What can be asked here. Only the owners of this page add and remove models; on a machine of your own, "
            "`make app` opens this page with all it can do."
        )
        try:
            draw_here()
        except LimitError as error:
            st.error(as_plain(str(error)), icon=":material/error:")
        return
    top = st.container()
    st.session_state[IN_CARD] = None  # a drawing that was broken off may have left one
    for tab, draw in zip(st.tabs(list(SECTIONS), key=SECTION, on_change="rerun"), SECTIONS.values(), strict=True):
        if tab.open:
            with tab:
                draw()
    with top:
        draw_downloads()
    if st.session_state[SECTION] == next(iter(SECTIONS)):
        drop_done()


main()
