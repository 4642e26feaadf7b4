"""The entry: title, navigation, the owners' door. ``streamlit run`` without an argument starts this file."""

import streamlit as st

from dashboard import services
from dashboard.kept import draw_kept
from dashboard.public.door import draw_door
from dashboard.public.side_doors import close_side_doors

close_side_doors()
st.set_page_config(page_title="Finetune Arena", page_icon="dashboard/icon.svg", layout="wide")

page = st.navigation(
    [
        st.Page("dashboard/app_pages/arena.py", title="Arena", icon=":material/compare:", default=True),
        st.Page("dashboard/app_pages/leaderboard.py", title="Leaderboard", icon=":material/leaderboard:"),
        st.Page("dashboard/app_pages/benchmark.py", title="Benchmark", icon=":material/speed:"),
        st.Page("dashboard/app_pages/training.py", title="Training", icon=":material/model_training:"),
        st.Page("dashboard/app_pages/models.py", title="Models", icon=":material/inventory_2:"),
    ]
)
services.persistence()  # brings earlier records back, before any page looks for them
draw_door()
with st.sidebar:
    draw_kept()
page.run()
