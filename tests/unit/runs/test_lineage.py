"""What became of a run, in facts and in words: found by its id and by the content of what was exported from it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.leaderboard.answers import Answers
from evaluation.models import Adapter, Catalog, ChatModel, UnusableFile
from evaluation.runs.facts import facts
from evaluation.runs.lineage import Measured, lineage
from evaluation.runs.lineage_words import Station, stations
from evaluation.runs.listing import RunSummary
from evaluation.store import ResponseStore
from tests import benchmark_answers
from tests.fake_engine import chat_model
from tests.finished_run import make_run
from tests.responses import HOST, MEASURED, PLAIN
from training.runlog import Export, read_run

ADAPTER_SHA256, MERGED_SHA256 = "cd" * 32, "ef" * 32
MERGED = Export("model-Q4_K_M.gguf", "merged", "Q4_K_M", MERGED_SHA256, 808_000_000, 5, 0.0213)
NOTHING = Catalog((), ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def summary(folder: Path, **changes: object) -> RunSummary:
    return RunSummary(folder, replace(read_run(folder), **changes), read_only=False, steps_done=2)


def words(folder: Path, catalog: Catalog = NOTHING, **changes: object) -> dict[str, Station]:
    of = summary(folder, **changes)
    found = lineage(of, catalog, Answers(folder.parent.parent))
    return {each.name: each for each in stations(of, found, folder.parent.parent)}


def test_measured_by_run_and_by_content(folder: Path, tmp_path: Path) -> None:
    """Its answers are those that name the run, those of a copy of it under another id, and those of the merged model,
    per benchmark and machine, without warm-ups; they are found although nothing of the run's files is left."""
    run = folder.name
    tuned = replace(MEASURED.model, key="b" * 12 + "+" + "1" * 12, adapter_run=run)
    copied = replace(tuned, key="b" * 12 + "+" + ADAPTER_SHA256[:12], adapter_run="a-copy")
    merged = replace(MEASURED.model, key=MERGED_SHA256[:12])
    elsewhere = replace(HOST, key="e" * 12)
    store = ResponseStore(tmp_path / "results" / "responses")
    for number, (response, model, host) in enumerate(
        [
            *[(MEASURED, tuned, HOST)] * 3,
            (replace(MEASURED, cell=replace(MEASURED.cell, warm_up=True)), tuned, HOST),
            (MEASURED, copied, elsewhere),
            *[(PLAIN, merged, HOST)] * 2,
            (PLAIN, PLAIN.model, HOST),
            (PLAIN, replace(tuned, key="b" * 12 + "+" + "2" * 12, adapter_run="another"), HOST),
        ]
    ):
        store.append(replace(response, id=f"{number:026d}", model=model, host=host))
    of = summary(folder, exports=(*read_run(folder).exports, MERGED))
    shutil.rmtree(folder)
    answers = Answers(tmp_path / "results")
    answers.refresh()
    found = lineage(of, NOTHING, answers)
    benchmark = MEASURED.cell.benchmark
    assert found.measured == (
        Measured(benchmark, HOST.key, 3),
        Measured(None, HOST.key, 2),
        Measured(benchmark, elsewhere.key, 1),
    )
    assert (found.adapter_folder, found.weights_bytes, found.adapter_file) == (None, None, None)
    assert [is_there for _, is_there in found.exports] == [False, False]


def test_what_was_asked_once_more_counts_once(tmp_path: Path) -> None:
    """A disturbed answer of a benchmark that was repeated is no further answer."""
    store = ResponseStore(tmp_path / "responses")
    for number, disturbed in enumerate((True, False)):
        measured = next(r for r in benchmark_answers.responses() if r.model.adapter_run == "r16" and not r.cell.warm_up)
        store.append(replace(measured, id=f"{number:026d}", cell=replace(measured.cell, disturbed=disturbed)))
    answers = Answers(tmp_path)
    answers.refresh()
    assert answers.measured("r16") == (Measured("demo", HOST.key, 1),)


def test_models_of_the_arena_beside_their_bases(folder: Path) -> None:
    """An adapter that fits two bases is there twice, each beside its own; a merged model stands beside the file that
    the run was trained on. Another run's model on the same base does not belong here."""
    bases = [chat_model("Small"), chat_model("Other")]
    adapter = Adapter(folder / "adapter.gguf", ADAPTER_SHA256, folder.name, 9)
    tuned = [replace(base, key=f"{base.key}+a", adapter=adapter) for base in bases]
    plain = chat_model("Merged")
    merged = ChatModel(MERGED_SHA256[:12], "Merged", replace(plain.base, sha256=MERGED_SHA256))
    catalog = Catalog((*bases, *tuned, chat_model("Small", "another"), merged), ())
    of = summary(folder, exports=(MERGED,))
    of = replace(of, run=replace(of.run, base=replace(of.run.base, sha256=bases[0].base.sha256)))
    found = lineage(of, catalog, Answers(folder))
    assert found.models == (*tuned, merged)
    assert found.bases == (*bases, bases[0])
    assert found.base == bases[0]


def test_words_of_a_run_that_is_all_there(folder: Path) -> None:
    """Each station says what there is, names that could be Markdown escaped, and no command is left to run."""
    base = chat_model("Small")
    tuned = ChatModel("key", "Small + <b>", base.base, Adapter(folder / "adapter.gguf", "0" * 64, folder.name, 9))
    found = words(folder, Catalog((base, tuned), ()))
    assert list(found) == ["Base", "Adapter", "Exports", "Arena"]
    assert found["Base"].lines[0] == "**maker/Tiny-1B** · license llama3.2 · revision c0ffee"
    assert "123456" not in str(found) and "0.1 million trained parameters" in found["Adapter"].lines[0]
    assert "Rank 16, alpha 16 (scale 1)" in found["Adapter"].lines[0]
    assert "9.8 MB" in found["Exports"].lines[0] and "more than 0.0004" in found["Exports"].lines[0]
    assert found["Arena"].lines == ("**Small + \\<b\\>**",)
    assert not any(station.commands for station in found.values())


def test_missing_is_said_with_the_command_that_makes_it(folder: Path) -> None:
    """A stopped run is resumed, an adapter that was never exported is exported, a merged file that is gone is merged
    again; where a command would not find the run by its id, it names the folder."""
    run = folder.name
    (folder / "adapter.gguf").unlink()
    never = words(folder, exports=())["Exports"]
    assert never.commands == (f"python -m training.export {run}",) and never.lines == ("None yet.",)
    assert never.before_commands == ("This makes and checks the file that the arena needs:",)
    gone = words(folder, exports=(MERGED,))["Exports"]
    assert (
        gone.commands == (f"python -m training.export {run} --merge Q4_K_M",) and "not there any more" in gone.lines[0]
    )
    assert "needs the file `adapter.gguf`" in words(folder)["Arena"].lines[0]
    shutil.rmtree(folder / "adapter")
    stopped = words(folder, status="interrupted", exports=())
    assert list(stopped) == ["Base", "Adapter"]  # nothing can follow
    assert "stopped after 2 of 3 steps" in stopped["Adapter"].lines[-1]
    assert stopped["Adapter"].commands == (f"python -m training.finetune --resume {run}",)
    of = summary(folder, status="interrupted", exports=())
    found = lineage(of, NOTHING, Answers(folder))
    adapter = stations(of, found, folder / "elsewhere")[1]
    assert adapter.commands == (f"python -m training.finetune --resume {folder}",)
    adapter = stations(replace(of, read_only=True), found, folder.parent.parent)[1]
    assert "stopped after 2 of 3 steps" in adapter.lines[-1] and not adapter.commands


def test_what_was_not_checked_is_not_called_checked(folder: Path) -> None:
    """And a few parameters are counted, not called 0.0 million."""
    (export,) = read_run(folder).exports
    found = words(folder, exports=(replace(export, checked_prompts=0),), trainable_parameters=12_288)
    assert found["Exports"].lines[0].endswith("· not checked against PEFT")
    assert found["Adapter"].lines[0].endswith("12,288 trained parameters")


def test_numbers_that_no_computer_counts_with_are_left_out(folder: Path) -> None:
    """JSON holds whole numbers of any length."""
    huge, run = 10**400, read_run(folder)
    recipe = {"lora": {"rank": huge, "alpha": huge}}
    (export,) = run.exports
    found = words(
        folder,
        recipe=recipe,
        trainable_parameters=huge,
        base=replace(run.base, parameters=huge),
        exports=(replace(export, size_bytes=huge),),
        host=replace(run.host, memory_bytes=huge),
    )
    assert len(str(found)) < 2000 and "parameters" not in str(found)
    assert words(folder, base=replace(run.base, parameters=huge))["Adapter"].lines[0].endswith("trained parameters")
    assert "host.memory" not in facts(replace(run, host=replace(run.host, memory_bytes=huge)))


@pytest.mark.parametrize(
    ("changes", "station", "reason"),
    [
        ({"origin": "imported", "imported_from": "log.csv (CSV)"}, "Adapter", "imported from log.csv (CSV)"),
        ({"status": "running"}, "Adapter", "when the training has ended"),
        ({}, "Adapter", "gone"),
        ({"archived": True}, "Arena", "archived"),
        ({}, "Arena", "The base is not here"),
    ],
)
def test_missing_without_a_command_has_a_reason(
    folder: Path, changes: dict[str, object], station: str, reason: str
) -> None:
    """Imported, still running, deleted, archived, or without its base."""
    unusable = Catalog((), (UnusableFile(folder / "adapter.gguf", "The base is not here"),))
    if station == "Adapter":
        shutil.rmtree(folder / "adapter")
    found = words(folder, unusable, **changes)[station]
    assert reason in found.lines[-1] and not found.commands
