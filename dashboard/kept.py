"""Whether the records are kept beyond this machine's disk, for those who look after it."""

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from dashboard.times import local_clock
from dashboard.told import told
from dashboard.visitors import may_manage


def draw_kept() -> None:
    """A line on the data set that keeps the records, and what is wrong with it; nothing where the disk stays."""
    persistence = services.persistence()
    if persistence is None or not may_manage():
        return
    kept = persistence.state()
    if kept.fault:
        st.warning(told(kept.fault), icon=":material/cloud_off:")
    if kept.notice:
        st.info(told(kept.notice), icon=":material/cloud_sync:")
    saved = f", last at {local_clock(kept.pushed_at)}" if kept.pushed_at else ""
    left = f" · {kept.unsaved:,} record{'' if kept.unsaved == 1 else 's'} not there yet" if kept.unsaved else ""
    st.caption(f":material/cloud_done: Records go to the data set {as_plain(kept.dataset)} of the hub{saved}{left}.")
