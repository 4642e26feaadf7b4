"""Drop a log of another program on the page."""

import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard import services
from dashboard.arena.answer_text import as_plain
from dashboard.told import told
from dashboard.training import actions, choice
from dashboard.visitors import owners_only
from evaluation.leaderboard.wording import counted
from training.import_run import Imported, ImporterError, import_run
from training.runlog import RunError

FORM = "training_import_form"
UPLOADS, NAME, OUTCOMES = "training_uploads", "training_import_name", "training_outcomes"

NAMELESS = {"trainer_state.json": "trainer_state", "trainer_log.jsonl": "trainer_log"}
"""Every run's log is called so; elsewhere the folder tells more, but a browser sends none."""


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    name: str
    imported: Imported | None
    fault: str = ""
    again: UploadedFile | None = None
    """The file, while it can be imported again: it takes memory for as long as it is kept."""


def draw_import() -> None:
    """The form."""
    form = st.expander("Import a log", icon=":material/upload_file:", key=FORM, on_change="rerun")
    if form.open:
        with form:
            _draw_form()


def _draw_form() -> None:
    st.markdown(
        "**A log of another program**: `trainer_state.json` of a Hugging Face checkpoint, `trainer_log.jsonl`, a "
        "TensorBoard file (`events.out.tfevents…`), a CSV table with steps and losses, or a notebook with such a table "
        "in its output."
    )
    files = st.file_uploader(
        "Logs", accept_multiple_files=True, key=_uploader(), label_visibility="collapsed", help="One run per file."
    )
    name = st.text_input(
        "Name",
        key=NAME,
        disabled=len(files) > 1,
        placeholder="As the file",
        help="Of several files each run is called as its file.",
    )
    st.button(
        f"Import {counted(len(files), 'file')}" if files else "Import",
        icon=":material/upload_file:",
        type="primary",
        disabled=not files,
        key="training_import",
        on_click=_import,
        args=(files, name if len(files) == 1 else ""),
        width="stretch",
    )
    limit = st.get_option("server.maxUploadSize")
    st.caption(
        f"Up to {limit} MB each. For larger ones, and for a folder whose files are one run, there is the command:"
    )
    st.code("python -m training.import_run PATH", language="bash")


def draw_outcomes() -> None:
    """What became of the files imported last, until the visitor has read it."""
    outcomes: list[Outcome] = st.session_state.get(OUTCOMES, [])
    if not outcomes:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container():
            for number, outcome in enumerate(outcomes):
                _draw_outcome(outcome, number)
        st.button("Close", icon=":material/close:", key="training_outcomes_close", on_click=_forget, type="tertiary")


def _draw_outcome(outcome: Outcome, number: int) -> None:
    imported = outcome.imported
    if imported is None:
        st.markdown(f":red[:material/error:] {told(outcome.fault)}")
        return
    file = f"**{as_plain(outcome.name)}**"
    if outcome.again is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/info: {file} was imported before; that run is shown.", width="content")
            st.button(
                "Import again", key=f"training_again_{number}", on_click=_import, args=([outcome.again], "", True)
            )
        return
    runs = "" if len(imported.folders) == 1 else f" as {counted(len(imported.folders), 'run')}"
    read = f"{counted(imported.train_rows, 'training row')}, {counted(imported.evaluations, 'evaluation')}"
    left_out = [f"left out {counted(count, 'row')} {as_plain(why)}" for why, count in imported.skipped.items()]
    said = "; ".join((read, *left_out))
    st.markdown(f":green[:material/check_circle:] {file} ({as_plain(imported.kind)}) was imported{runs}: {said}.")
    for note in imported.notes:
        st.caption(as_plain(note))


@owners_only(actions.FAULT, actions.PUBLIC)
def _import(files: list[UploadedFile], name: str, again: bool = False) -> None:
    """As a callback it runs once per click, whatever is drawn again; then the uploader is a new, empty one."""
    results_dir = services.settings().results_dir
    with st.spinner("Importing…"):
        outcomes = [_outcome(file, results_dir, " ".join(name.split()), again) for file in files]
    st.session_state[OUTCOMES] = outcomes
    st.session_state[UPLOADS] = st.session_state.get(UPLOADS, 0) + 1
    st.session_state[NAME] = ""
    runs = [folder.name for each in outcomes if each.imported for folder in each.imported.folders]
    if runs:
        choice.choose(runs)
        st.session_state[FORM] = False  # what was imported comes into view


def _outcome(file: UploadedFile, results_dir: Path, name: str, again: bool) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="import-") as folder:
        path = Path(folder, base_name(file.name))
        try:
            path.write_bytes(file.getbuffer())
            imported = import_run(path, results_dir, name or _own_name(path), again)
            return Outcome(file.name, imported, again=file if imported.already else None)
        except (ImporterError, RunError) as error:
            return Outcome(file.name, None, str(error).replace(f"{folder}/", ""))
        except OSError as error:
            return Outcome(file.name, None, f"{path.name} could not be taken in: {error.strerror or error}.")


def base_name(name: str) -> str:
    """The last part of a name that a browser sent: names tell the kind of a log, folders are none of its business."""
    last = PurePosixPath(PureWindowsPath(name).as_posix()).name.replace("\0", "")
    return last if last.strip(".") else "log"


def _own_name(path: Path) -> str | None:
    return "TensorBoard" if "tfevents" in path.name else NAMELESS.get(path.name)


def _uploader() -> str:
    return f"{UPLOADS}_{st.session_state.get(UPLOADS, 0)}"


def _forget() -> None:
    st.session_state[OUTCOMES] = []
