"""What the arena says while a model is being trained."""

import streamlit as st

from dashboard import services
from dashboard.arena.answer_text import as_plain
from training.launch import training_now


def draw_neighbour() -> None:
    """Quiet: the arena goes on, only slower."""
    if name := training_now(services.settings().results_dir):
        st.caption(
            f":material/model_training: **{as_plain(name)}** is being trained on this machine: answers take longer "
            "until that has ended, and their figures are not those of a quiet machine."
        )
