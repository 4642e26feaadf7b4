"""The training page as a user drives it: its list, the choice of runs, what is said of one, import, and bad files."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import run_links, services
from dashboard.training import data
from dashboard.training.details import log_table
from evaluation.models import Catalog
from evaluation.runs.listing import Listing
from evaluation.settings import Settings
from tests.app_page import press, run
from training.runlog import LOG_FILE, RUN_FILE, Base, DataCard, LogEntry, Run, RunWriter, Status, read_run

PAGE = "dashboard/app_pages/training.py"
UNESCAPED = re.compile(r"(?<!\\)(<b>|!\[x\]\(|:red\[x\])")
HOSTILE = "![x](http://x/y.png) <b>*bold*</b> $x^2$ :red[x] 🔥 " + "long " * 60

Open = Callable[..., AppTest]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Store a run with these losses."""

    def write(name: str, losses: list[float], status: Status = "finished", **fields: Any) -> Path:
        writer = RunWriter.create(tmp_path, Run(name, fields.pop("title", name), "running", **fields))
        for step, loss in enumerate(losses, start=1):
            writer.log(LogEntry(step=step, kind="train", loss=loss, elapsed_s=step * 60.0, tok_s=100.0))
        writer.update(status=status)
        writer.release()
        return writer.folder

    return write


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Open:
    """Open the page over the runs in ``tmp_path`` alone."""

    def show(*runs: str, public: bool = False) -> AppTest:
        settings = Settings(tmp_path / "models", tmp_path, tmp_path / "cache", tmp_path / "published", public)
        monkeypatch.setattr(services, "settings", lambda: settings)
        app = AppTest.from_file("../../streamlit_app.py", default_timeout=20).switch_page(PAGE)
        if runs:
            app.query_params["run"] = list(runs)
        return run(app)

    monkeypatch.setattr(services, "catalog", _no_models)
    return show


def _no_models() -> Catalog:
    return Catalog((), ())


_no_models.clear = lambda: None  # type: ignore[attr-defined]


def text(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def shown(app: AppTest) -> list[str]:
    return list(app.multiselect(key="training_shown").value)


def test_newest_run_is_shown_first_and_the_choice_is_kept(show: Open, write: Write) -> None:
    """At first the newest run with a log, then what is chosen; the address names it, and another page does not end it.
    A run that appears meanwhile moves the rows and not the choice."""
    write("old", [2.0, 1.0], started_at=1.7e9, base=Base("maker/Tiny-1B"), recipe={"lora": {"rank": 8}}, steps=4)
    write("new", [3.0, 2.5], "interrupted", started_at=1.8e9, ended_at=1.8e9)
    write("empty", [], started_at=1.9e9)
    app = show()
    table = app.dataframe[0].value
    assert list(table["name"]) == ["empty", "new", "old"] and shown(app) == ["new"]
    assert table["status"][1].startswith("interrupted, since ") and list(table["base"])[2] == "Tiny 1B"
    old = table.iloc[2]
    assert (old["rank"], old["steps"], old["asked"], old["duration"], old["tok_s"]) == (8, 2, 4, 2.0, 100.0)
    assert old["final"] == old["best"] == 1.0 and math.isnan(table["final"][0]) and math.isnan(old["held_out"])
    app.multiselect(key="training_shown").set_value(["old", "new"])
    assert shown(run(app)) == ["new", "old"]
    assert app.query_params["run"] == ["old", "new"]
    assert json.loads(app.dataframe[0].proto.selection_state)["selection"]["rows"] == [1, 2]
    write("newest", [1.0], started_at=2e9)
    assert shown(run(app)) == ["new", "old"]
    assert json.loads(app.dataframe[0].proto.selection_state)["selection"]["rows"] == [2, 3]
    run(app.switch_page("dashboard/app_pages/benchmark.py"))
    assert shown(run(app.switch_page(PAGE))) == ["new", "old"] and app.query_params["run"] == ["old", "new"]


def test_search_narrows_the_list_and_not_the_choice(show: Open, write: Write) -> None:
    """All words must match, in name, base, status or data, whatever their case."""
    write("one", [1.0], base=Base("maker/Llama-1B"), data=DataCard("talk.jsonl", 9))
    write("two", [1.0], "failed", base=Base("maker/Llama-1B"))
    app = show("two")
    for words, found in {"LLAMA one": ["one"], "failed": ["two"], "talk": ["one"], "llama talk failed": []}.items():
        app.text_input(key="training_search").set_value(words)
        assert list(run(app).dataframe[0].value["name"]) == found and shown(app) == ["two"]
    assert "0 of 2 runs" in text(app)


def test_address_with_a_run_that_is_gone(show: Open, write: Write) -> None:
    """It is said, and the others are shown; at most twenty of them."""
    write("here", [1.0])
    app = show("nowhere *x*", "here")
    assert shown(app) == ["here"] and "nowhere \\*x\\* is not here" in text(app)
    app = show(*(f"r{number}" for number in range(21)))
    assert "At most 20 runs" in text(app) and shown(app) == []


def test_facts_of_a_run_and_its_files(show: Open, write: Write) -> None:
    """What was trained and how, the recipe to copy with the revisions that were used, and all logged values."""
    recipe = {"name": "x", "base": {"model": "m/b", "revision": None}, "lora": {"rank": 8, "alpha": 16.0}}
    folder = write(
        "one", [2.0, 1.0], "failed", title="Run <1>", reason="It *broke*.", notes="Mind `this`.\nAnd that.",
        recipe=recipe, ended_at=1.8e9, base=Base("m/b", "hub", revision="c0ffee"),
        data=DataCard("talk", 9, train_rows=7), steps=4,
    )  # fmt: skip
    writer = RunWriter.amend(folder)
    writer.log(LogEntry(step=2, kind="eval", loss=1.5))
    writer.release()
    app = show("one")
    said = text(app)
    assert "**Run \\<1\\>**" in said and "LoRA, rank 8, alpha 16 · 2 of 4 steps · 7 conversations of talk" in said
    assert "It \\*broke\\*\\." in said and "Mind \\`this\\`\\.  \nAnd that" in said and "100 tokens/s" in said
    assert "failed\\, since 15 Jan 2027" in said and app.dataframe[0].value["status"][0].startswith("failed, since")
    assert "trained for 2 min 00 s" in said
    app.session_state["training_recipe_one"] = True
    code = [each.value for each in run(app).code]
    assert 'revision = "c0ffee"' in code[0] and "rank = 8" in code[0]
    assert "python -m training.finetune one.toml" in code
    table = log_table(data.shown([data.listing().runs[0]])[0])
    assert table[["step", "kind", "loss"]].values.tolist() == [[1, "train", 2], [2, "train", 1], [2, "held-out", 1.5]]
    assert {"elapsed_s", "tok_s"} <= set(table) and "entropy" not in table


def test_rename_annotate_archive(show: Open, write: Write, tmp_path: Path) -> None:
    """The record is changed; an archived run leaves the list when it is no longer shown, and can be taken back."""
    folder = write("one", [1.0])
    write("two", [1.0])
    app = show("one")
    app.text_input(key="training_name_one").set_value(" Better\nname ")
    app.text_area(key="training_notes_one").set_value("Seen\ntwice.")
    app.button(key="FormSubmitter:training_form_one-Save").click()
    run(app)
    assert (read_run(folder).name, read_run(folder).notes) == ("Better name", "Seen\ntwice.")
    press(app, "training_archive_one")
    assert read_run(folder).archived and sorted(app.dataframe[0].value["name"]) == ["Better name", "two"]
    app.multiselect(key="training_shown").set_value(["two"])
    assert list(run(app).dataframe[0].value["name"]) == ["two"]
    app.toggle(key="training_archived").set_value(True)
    assert len(run(app).dataframe[0].value) == 2
    press(show("one"), "training_archive_one")
    assert not read_run(folder).archived


def test_what_cannot_be_changed(show: Open, write: Write, tmp_path: Path) -> None:
    """A run that another process writes, one that comes with the project, and every run of a public deployment."""
    write("mine", [1.0])
    writer = RunWriter.create(tmp_path, Run("live", "live", "running", started_at=1.0))
    app = show("live")
    press(app, "training_archive_live")
    assert any("still being written" in toast.value for toast in app.toast) and not read_run(writer.folder).archived
    writer.release()
    shutil.copytree(tmp_path / "runs" / "mine", tmp_path / "published" / "runs" / "theirs")
    assert "comes along with the project" in text(show("theirs"))
    app = show("mine", public=True)
    app.session_state["training_import_form"] = True
    assert "only its owners train" in text(run(app)) and not app.text_area and not app.file_uploader
    assert not {"Import a log", "Start a training run"} & {expander.label for expander in app.expander}


def test_import(show: Open, tmp_path: Path) -> None:
    """Several logs at once, each by its name; what was read is told, the runs are shown, and a rerun imports nothing.
    What was imported before is shown, and imported again only when asked for; faults name the file alone."""
    app = show()
    assert "No run is here yet" in text(app)
    app.session_state["training_import_form"] = True
    csv = ("../up/loss *a*.csv", b"step,loss\n1,2.5\n2,2.0\n3,\n", "text/csv")
    run(app).file_uploader[0].set_value([csv, ("notes.txt", b"hello", "text/plain")])
    press(run(app), "training_import")
    (folder,) = (tmp_path / "runs").iterdir()
    assert read_run(folder).name == "loss *a*" and shown(app) == [folder.name]
    said = text(run(app))
    assert "loss \\*a\\*\\.csv** (CSV" in said and "2 training rows, 0 evaluations; left out 1 row" in said
    assert "notes\\.txt is of no form" in said and "import-" not in said
    app.session_state["training_import_form"] = True
    assert not run(app).file_uploader[0].value and len(list((tmp_path / "runs").iterdir())) == 1
    app.file_uploader[0].set_value(csv)
    app.text_input(key="training_import_name").set_value("Second")
    press(run(app), "training_import")
    (outcome,) = app.session_state["training_outcomes"]
    assert (
        outcome.again is not None
        and "was imported before" in text(app)
        and len(list((tmp_path / "runs").iterdir())) == 1
    )
    press(app, "training_again_0")
    assert app.session_state["training_outcomes"][0].again is None  # files are large
    assert len(list((tmp_path / "runs").iterdir())) == 2
    press(app, "training_outcomes_close")
    assert "training row" not in text(app)


def test_bad_files_leave_the_page_standing(show: Open, write: Write, tmp_path: Path) -> None:
    """Whatever lies in the folders, all runs are shown together, and what is wrong is told with the folder's name."""
    runs = tmp_path / "runs"
    (runs / "no-record").mkdir(parents=True)
    (runs / "newer").mkdir()
    (runs / "newer" / RUN_FILE).write_text('{"format": 99}')
    write("nothing-known", [], method=None)
    write("diverged", [2.0, math.nan, math.inf, math.nan], "failed", title="Same name", reason="No number.")
    write(
        "hostile",
        [1.0, 2.0],
        title=HOSTILE,
        started_at=1e300,
        recipe={"lora": 7, "x": {"y": [None, {}]}},
        notes=HOSTILE,
    )
    write("strange", [1.0], started_at=-5.0, ended_at=math.nan, steps=10**30, recipe={"lora": {"rank": "high"}})
    write("hostile-2", [1.0], title=f"{HOSTILE} ", recipe={"lora": {"rank": HOSTILE}})
    torn = write("torn", [1.0, 2.0, 3.0], title="Same  name") / LOG_FILE
    torn.write_bytes(torn.read_bytes() + b'{"step": 4, "ki')
    (write("foreign", []) / LOG_FILE).write_text('{"loss": 1}\nEpoch 1: loss 2.0\n[]\n')
    back = write("back", [3.0, 2.0, 1.0])
    (back / LOG_FILE).write_text((back / LOG_FILE).read_text() * 2)
    every = sorted(each.name for each in runs.iterdir() if (each / LOG_FILE).exists())
    app = show(*every)
    assert sorted(shown(app)) == every and len(set(app.multiselect(key="training_shown").options)) == len(every)
    problems = "\n".join(each.value for each in app.expander[-1].markdown)
    for folder in ("no-record", "newer", "torn", "foreign", "back"):
        assert f"**{folder}**".replace("-", "\\-") in problems, folder
    assert not UNESCAPED.search(text(app)) and "\\<b\\>" in text(app)
    for each in ("nothing-known", "diverged", "strange", "foreign"):
        assert shown(show(each)) == [each]
    app = show("hostile")
    app.session_state["training_recipe_hostile"] = True
    assert not UNESCAPED.search(text(run(app))) and "y = " in app.code[0].value
    assert not run_links.is_here("r" * 300)


def test_strangers_see_no_folder_of_this_machine(show: Open, write: Write, tmp_path: Path) -> None:
    """Paths in recipes, reasons, notes and problems are cut to their last names, and no command is offered; on one's
    own page they are whole."""
    for number, name in enumerate(("one", "two")):
        recipe = {"base": {"model": f"{tmp_path}/{name}.gguf"}, "lora": {"rank": number}, "data": {"source": "x"}}
        reason, notes = f"Its last words are in {tmp_path}/output.log.", f"Mind {tmp_path}/notes.txt."
        write(name, [2.0, 1.0], "failed", recipe=recipe, reason=reason, notes=notes)
    (tmp_path / "runs" / "none").mkdir()
    begun = tmp_path / "runs" / ".launch"
    begun.mkdir()
    (begun / "launch.json").write_text('{"what": "demo", "started_at": 4e9}')
    (begun / "output.log").write_text(f"There is no {tmp_path}/rows.jsonl.\n")
    for public in (False, True):
        app = show("one", "two", public=public)
        for key in ("training_recipe_one", "training_compare_download"):
            app.session_state[key] = True
        run(app)
        everything = "".join(str(getattr(each, "proto", "")) for part in (app.main, app.sidebar) for each in part)
        everything = everything.replace("\\", "")
        for name in ("one.gguf", "output.log", "notes.txt", "none has no run.json", "There is no rows.jsonl"):
            assert name in everything.replace(f"{tmp_path}/", "").replace("runs/none", "none"), name
        for own in (str(tmp_path), "This goes on with it", "training.finetune"):
            assert (own in everything) is not public, own


def test_run_deleted_while_it_is_shown(show: Open, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the listing and the drawing, and before the next drawing: the page stands."""
    folder = write("gone", [1.0, 2.0])
    write("stays", [1.0])
    app = show("gone", "stays")
    listed = data.listing()
    shutil.rmtree(folder)
    with monkeypatch.context() as patch:
        patch.setattr(data, "listing", lambda: Listing(listed.runs))
        run(app)
        press(app, "training_archive_gone")
        assert any("gone has no run" in toast.value for toast in app.toast)
    assert shown(run(app)) == ["stays"] and "gone is not here" in text(app)
