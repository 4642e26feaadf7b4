"""The entry: title, navigation, nothing else. ``streamlit run`` without an argument starts this file."""

import streamlit as st

st.set_page_config(page_title="Finetune Arena", page_icon="dashboard/icon.svg", layout="wide")

st.navigation(
    [
        st.Page("dashboard/app_pages/arena.py", title="Arena", icon=":material/compare:", default=True),
        st.Page("dashboard/app_pages/leaderboard.py", title="Leaderboard", icon=":material/leaderboard:"),
        st.Page("dashboard/app_pages/benchmark.py", title="Benchmark", icon=":material/speed:"),
        st.Page("dashboard/app_pages/training.py", title="Training", icon=":material/model_training:"),
    ]
).run()
