"""What a run is, in short, and its files: recipe, record and log."""

import shlex
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import visitors
from dashboard.arena.answer_text import as_plain
from dashboard.downloads import download_file, to_csv
from dashboard.times import duration, local_time
from dashboard.told import told
from dashboard.training.data import ShownRun
from dashboard.training.edit import draw_edit
from dashboard.training.live import draw_resume
from dashboard.training.looks import LOOKS
from dashboard.training.runs_frame import moment, origin, since
from evaluation.leaderboard.wording import counted
from training.public import public_record
from training.recipe_toml import as_toml
from training.runlog import RUN_FILE, Run


def draw_details(run: ShownRun) -> None:
    """Facts in a few lines, what can be done with the run, its recipe."""
    record = run.summary.run
    look = LOOKS[record.status]
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
            st.markdown(f"**{as_plain(run.label)}**", width="content")
            st.badge(f"{record.status}{as_plain(since(record))}", icon=look.icon, color=look.color)
            for mark in (origin(run.summary), "archived" if record.archived else None):
                if mark:
                    st.badge(mark, icon=":material/inventory_2:", color="gray")
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):
            draw_resume(run)
            draw_edit(run.summary)
            _draw_downloads(run)
    st.markdown(" · ".join(_setup(run)) or "Neither its model nor its settings are known.")
    when = " · ".join(_course(run))
    st.caption(f"{when[0].upper()}{when[1:]}")
    if record.reason and record.status in ("failed", "interrupted"):
        st.markdown(f":{look.color}[{told(record.reason)}]")
    if record.notes:
        lines = "  \n".join(map(as_plain, record.notes.splitlines()))
        st.markdown(f":material/sticky_note_2: {lines}")
    _draw_recipe(record)


def log_table(run: ShownRun) -> pd.DataFrame:
    """Every logged line, training and held-out rows by step; columns that the log never fills are left out."""
    kinds = {"train": run.log.train, "held-out": run.log.held_out}
    parts = [table.assign(kind=kind) for kind, table in kinds.items() if not table.empty]
    if not parts:
        return pd.DataFrame(columns=["step", "kind", "loss"])
    table = pd.concat(parts).sort_values("step", kind="stable").dropna(axis="columns", how="all")
    return table[["step", "kind", *(name for name in table.columns if name not in ("step", "kind"))]]


def _setup(run: ShownRun) -> list[str]:
    """What was trained, on what, how; unknown is left out."""
    summary, record = run.summary, run.summary.run

    def known(section: str, key: str, words: str) -> str | None:
        value = summary.setting(section, key)
        return words.format(as_plain(_shown(value))) if value is not None else None

    adapter = ", ".join(
        filter(
            None,
            (
                as_plain("LoRA" if record.method == "lora" else record.method) if record.method else None,
                known("lora", "rank", "rank {}"),
                known("lora", "alpha", "alpha {}"),
            ),
        )
    )
    batch = [summary.setting("training", key) for key in ("batch_size", "gradient_accumulation")]
    conversations = " × ".join(_shown(each) for each in (*batch, record.processes) if each not in (None, 1))
    data = record.data
    parts = (
        as_plain(record.base.model) if record.base else None,
        adapter,
        _steps(run),
        f"{as_plain(conversations)} conversations per step" if conversations else None,
        known("optimizer", "learning_rate", "learning rate {}"),
        f"{counted(data.train_rows, 'conversation')} of {as_plain(data.name)}" if data else None,
    )
    return [part for part in parts if part]


def _steps(run: ShownRun) -> str | None:
    done, asked = run.summary.steps_done, run.summary.run.steps
    if done is None:
        return None if asked is None else f"no step yet of {asked:,}"
    return counted(done, "step") if asked in (None, done) else f"{done:,} of {counted(asked, 'step')}"


def _course(run: ShownRun) -> list[str]:
    """When, where, how fast."""
    summary, record = run.summary, run.summary.run
    started_at, duration_s, host = moment(record.started_at), moment(summary.duration_s), record.host
    parts = (
        f"started {local_time(started_at)}" if started_at is not None else "start unknown",
        f"trained for {duration(duration_s)}" if duration_s is not None else "training time unknown",
        f"{summary.tok_s:,.0f} tokens/s" if summary.tok_s is not None else None,
        f"resumed {counted(len(record.resumed_at), 'time')}" if record.resumed_at else None,
        as_plain(f"on {host.gpu or host.cpu}, {host.cores:g} cores") if host else None,
        f"imported from {as_plain(record.imported_from)}" if record.imported_from else None,
        as_plain(record.id),
    )
    return [part for part in parts if part]


def _draw_recipe(record: Run) -> None:
    if not record.recipe:
        return
    expander = st.expander(
        "Recipe", icon=":material/receipt_long:", key=f"training_recipe_{record.id}", on_change="rerun"
    )
    if not expander.open:
        return
    with expander:
        st.code(as_toml(pinned(record)), language="toml", height=320)
        if record.origin != "trained":
            st.caption("What is known of its settings; the rest was not in the log.")
        elif visitors.hides():
            st.caption("Paths are cut to their last names.")
        else:
            st.caption("Repeats the run, once the recipe is saved under this name in the folder of this project:")
            command = ["python", "-m", "training.finetune", _recipe_file(record)]
            st.code(shlex.join(command), language="bash", wrap_lines=True)


def _recipe_file(record: Run) -> str:
    return f"{record.id}.toml"


def pinned(record: Run) -> dict[str, Any]:
    """The recipe with the very revisions of model and data that the run had."""
    recipe = dict(record.recipe)
    revisions = {
        "base": record.base.revision if record.base else None,
        "data": record.data.revision if record.data else None,
    }
    for section, revision in revisions.items():
        if revision and isinstance(recipe.get(section), Mapping):
            recipe[section] = {**recipe[section], "revision": revision}
    return recipe


def _draw_downloads(run: ShownRun) -> None:
    folder, record, run_id = run.summary.folder, run.summary.run, run.summary.run.id
    hides = visitors.hides()  # at the click nobody knows any more who asks

    def stored_record() -> bytes:
        return public_record(folder) if hides else (folder / RUN_FILE).read_bytes()

    def recipe() -> bytes:
        return as_toml(pinned(record)).encode()

    key = f"training_download_{run_id}"
    with st.popover("Download", icon=":material/download:"):
        download_file("Log (CSV)", lambda: to_csv(log_table(run)), f"{run_id}.csv", "text/csv", f"{key}_log")
        download_file("Record (run.json)", stored_record, f"{run_id}.json", "application/json", f"{key}_record")
        if record.recipe:
            name = _recipe_file(record)
            download_file("Recipe (TOML)", recipe, name, "application/toml", f"{key}_recipe")


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
