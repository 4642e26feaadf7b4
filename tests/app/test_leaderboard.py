"""The leaderboard page as a user drives it, over stored answers that were made up."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import streamlit
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from dashboard import services, visitors
from dashboard.leaderboard.reading import Wanted
from evaluation.benchmark import folder
from evaluation.benchmark.plan import new_plan
from evaluation.leaderboard.answers import Answers, Selection
from evaluation.models import Catalog
from evaluation.prompt_sets import Prompt, PromptSet
from evaluation.records import Message, Response, Sampling
from evaluation.settings import PUBLISHED_DIR, Settings
from evaluation.store import ResponseStore
from tests import benchmark_answers
from tests.app_page import run
from tests.benchmark_answers import BASE, BEHAVIOURS, CONCISE, TUNED, question
from tests.responses import HOST, PLAIN

PAGE = "dashboard/app_pages/leaderboard.py"
PUBLISHED = "e3293f69a9c5"
DIFFERENCES = ":material/difference: Differences"

CLICKS = count(100)

Open = Callable[..., AppTest]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Open:
    """Open the page over what is stored in ``tmp_path``, with or without what comes along."""

    def show(published: bool = False, query: dict[str, str] | None = None) -> AppTest:
        answers = Answers(tmp_path, PUBLISHED_DIR if published else None)
        monkeypatch.setattr(services, "settings", lambda: Settings(tmp_path / "models", tmp_path, tmp_path / "cache"))
        monkeypatch.setattr(services, "answers", lambda: answers)
        monkeypatch.setattr(services, "catalog", lambda: Catalog((), ()))
        app = AppTest.from_file("../../streamlit_app.py", default_timeout=20).switch_page(PAGE)
        for name, value in (query or {}).items():
            app.query_params[name] = value
        return run(app)

    return show


def page_text(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.error, app.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def address(app: AppTest) -> dict[str, str]:
    return {name: value if isinstance(value, str) else value[0] for name, value in app.query_params.items()}


def prompt_keys(app: AppTest) -> dict[str, str]:
    """By their texts."""
    cells = services.answers().cells(Selection(address(app)["host"], common=False))
    return dict(zip(cells["prompt"], cells["prompt_key"], strict=True))


def shown_cells(app: AppTest) -> str:
    """What the cells of the table show, which is more than the numbers they hold."""
    shown = app.dataframe[0].proto.arrow_data.styler.display_values
    return str(convert_arrow_bytes_to_pandas_df(shown).values.tolist())


def read_answers(app: AppTest) -> list[tuple[str, str]]:
    """Model and repeat of the answers in the dialog, from the left."""
    found = [re.match(r"\*\*(.*)\*\*, (repeat \d): word", element.value) for element in app.markdown]
    return [(match[1], match[2]) for match in found if match]


def want(app: AppTest, wanted: Wanted) -> None:
    """What a click on a point leaves."""
    app.session_state["leaderboard_wanted"] = wanted
    app.session_state["leaderboard_opened"] = next(CLICKS)


def keep(results: Path, responses: Iterable[Response]) -> None:
    store = ResponseStore(results / "responses")
    for response in responses:
        store.append(response)


def test_rows_verdict_and_count_of_a_benchmark(show: Open, tmp_path: Path) -> None:
    """The newest benchmark of the machine with most answers: a row per model, medians as numbers to sort by, what was
    counted, and the verdict in words; the address names both, so that it can be passed on."""
    benchmark_answers.store(tmp_path)
    app = show(published=True, query={"host": HOST.key})
    assert app.segmented_control(key="leaderboard_host").value == HOST.key
    table = app.dataframe[0].value
    assert list(table["model"]) == [BASE.name, CONCISE.name, TUNED.name]  # by latency at 150 words
    assert list(table["answers"]) == [16, 16, 16]
    assert table["decode_tok_s"].round().tolist() == pytest.approx([80, 55, 55], abs=1)
    assert table["size_bytes"].tolist() == [98, 108, 108]
    text = page_text(app)
    assert "Answered from all benchmark answers" in text
    assert "3 models · 8 prompts × 2 repeats · 48 answers" in text and "temperature 0.7, at most 256 tokens" in text
    assert f"**{BASE.name}**" in text and "★ is better than every other model" in text
    assert address(app) == {"host": HOST.key, "benchmark": "demo"}


def test_published_study_is_a_machine_of_its_own(show: Open, tmp_path: Path) -> None:
    """One click shows it: single runs without intervals, and what they are worth."""
    benchmark_answers.store(tmp_path)
    app = show(published=True, query={"host": HOST.key})
    app.segmented_control(key="leaderboard_host").set_value(PUBLISHED)
    run(app)
    assert address(app) == {"host": PUBLISHED, "benchmark": "all"}
    table = app.dataframe[0].value
    assert not any(name.startswith("Small") for name in table["model"]) and len(table) == 5
    assert "decode_tok_s" not in table  # nobody knows it
    text = page_text(app)
    assert "one run per prompt" in text and "Cannot be concluded" in text and "★ is better" not in text
    assert "no verdict" in text and list(table["prompts"]) == [3, 1, 3, 3, 3]  # all there is, the same prompts or not
    assert "not all answered the same prompts" in next(each.value for each in app.caption if "Medians" in each.value)
    want(app, Wanted(next(iter(prompt_keys(app).values()))))
    assert "The text of a published answer is not at hand" in page_text(run(app))


def test_filters_narrow_one_after_the_other(show: Open, tmp_path: Path) -> None:
    """A training run keeps the models without one to compare with; each filter offers what the ones before leave."""
    benchmark_answers.store(tmp_path)
    app = show()
    app.multiselect(key="leaderboard_runs").set_value(["r16"])
    assert list(run(app).dataframe[0].value["model"]) == [BASE.name, TUNED.name]
    app.multiselect(key="leaderboard_runs").set_value([])
    app.multiselect(key="leaderboard_prompts").set_value(list(prompt_keys(app).values())[:3])
    run(app)
    assert list(app.dataframe[0].value["prompts"]) == [3, 3, 3] and "(n = 3)" in shown_cells(app)
    app.multiselect(key="leaderboard_models").set_value([CONCISE.key])
    assert list(run(app).dataframe[0].value["model"]) == [CONCISE.name]
    assert not [each for each in app.multiselect if each.key == "leaderboard_runs"]  # nothing left to choose between


def test_disturbed_answers_count_only_when_asked_for(show: Open, tmp_path: Path) -> None:
    """The toggle counts them. Where all were disturbed they count all the same, with a warning: better than nothing."""
    calm, *others = benchmark_answers.responses()
    disturbed = [replace(each, cell=replace(each.cell, disturbed=True)) for each in others]
    measured = next(each for each in disturbed if not each.cell.warm_up)
    keep(tmp_path, [calm, *disturbed])
    app = show()
    assert "48 answers" in page_text(app) and "counted all the same" in app.warning[0].value
    keep(tmp_path, [replace(measured, id="Q" * 26, cell=replace(measured.cell, disturbed=False))])
    run(app)
    assert "1 answer, 48 left out (disturbed: 47, answered again: 1)" in page_text(app) and not app.warning
    app.toggle(key="leaderboard_disturbed").set_value(True)
    assert "48 answers" in page_text(run(app)) and list(app.dataframe[0].value["prompts"]) == [8, 8, 8]


def test_charts_compare_with_a_chosen_baseline(show: Open, tmp_path: Path) -> None:
    """Each tab draws its chart; the differences are to the chosen baseline, in words too, and every one downloads."""
    benchmark_answers.store(tmp_path)
    app = show()
    for tab in (":material/balance: Quality and latency", ":material/scatter_plot: Every answer", DIFFERENCES):
        app.session_state["leaderboard_tab"] = tab
        assert len(run(app).get("vega_lite_chart")) == 1
    assert app.selectbox(key="leaderboard_baseline").value == BASE.key
    app.selectbox(key="leaderboard_baseline").set_value(TUNED.key)
    app.selectbox(key="leaderboard_figure").set_value("words")
    run(app)
    said = next(each.value for each in app.markdown if "times the baseline" in each.value)
    assert "concise**: −" in said and "8 prompts; 0." in said and "not told apart yet" in said
    labels = [button.label for button in app.get("download_button")]
    assert sorted(labels) == sorted(["CSV", "Parquet"] * 2 + ["PNG", "SVG"])


def test_two_answers_side_by_side(show: Open, tmp_path: Path) -> None:
    """A prompt from the list, or a clicked point, opens the answers of two models. The clicked answer is shown, and the
    other model's of the same repeat, or else its newest, which is said. What they wrote fetches nothing."""
    responses = list(benchmark_answers.responses())
    of_base, of_tuned, of_concise = (
        [each for each in responses if each.model == model and each.cell.prompt == "p3"]
        for model in (BASE, TUNED, CONCISE)
    )
    disturbed = replace(of_tuned[0], cell=replace(of_tuned[0].cell, disturbed=True))
    changed = {disturbed.id: disturbed, of_concise[1].id: replace(of_concise[1], text="")}
    keep(tmp_path, [changed.get(each.id, each) for each in responses])
    app = show()
    prompt = prompt_keys(app)[question(3)]
    app.selectbox(key="leaderboard_read").set_value(prompt)
    run(app)
    app.button(key="leaderboard_read_open").click()
    assert read_answers(run(app)) == [(BASE.name, "repeat 1"), (CONCISE.name, "repeat 1")]
    want(app, Wanted(prompt, (TUNED.key, BASE.key), of_tuned[1].id))
    assert read_answers(run(app)) == [(TUNED.name, "repeat 2"), (BASE.name, "repeat 2")]
    assert "No repeat" not in page_text(app)
    want(app, Wanted(prompt, (BASE.key, TUNED.key), of_base[0].id))
    assert read_answers(run(app)) == [(BASE.name, "repeat 1"), (TUNED.name, "repeat 2")]
    assert "No repeat 1 of it counts. This is repeat 2." in page_text(app)
    want(app, Wanted(prompt, (CONCISE.key,), of_concise[1].id))
    assert "No text" in page_text(run(app))
    assert not any("![" in element.value for element in app.markdown)
    assert not read_answers(run(app))  # what is drawn next does not open it again


def test_what_looks_alike_stays_apart(show: Open, tmp_path: Path) -> None:
    """Models of one name, prompts that begin alike and benchmarks of one name and minute are told apart in every list,
    and a model is called the same everywhere."""
    twin = replace(BASE, key="twin", quantization="Q8_0")
    prompts = PromptSet("demo", (Prompt("1", (Message("user", question(1)),)),), "0" * 64)
    plan = new_plan([BASE], [prompts], 1, Sampling(), "Twins")
    for name in ("aaaa", "bbbb"):
        folder.create(tmp_path, replace(plan, id=name))
        answers = benchmark_answers.responses((BEHAVIOURS[0], replace(BEHAVIOURS[1], model=twin)), benchmark=name)
        longer = (replace(each, messages=(Message("user", "so " * 40 + each.messages[0].content),)) for each in answers)
        keep(tmp_path, longer)
    app = show()
    names = [f"{BASE.name} Q4_1", f"{BASE.name} Q8_0"]
    assert list(app.dataframe[0].value["model"]) == names
    assert set(app.multiselect(key="leaderboard_models").options) == set(names) and r"Q8\_0**" in page_text(app)
    assert len(set(app.multiselect(key="leaderboard_prompts").options)) == 8
    assert len(set(app.selectbox(key="leaderboard_benchmark").options)) == 3
    app.multiselect(key="leaderboard_prompts").set_value(list(prompt_keys(app).values())[4:5])
    assert "2 models · 1 prompt × 2 repeats" in page_text(run(app))


def test_nothing_stored_says_where_to_begin(show: Open) -> None:
    """Without any answer the page leads to the two pages that make some."""
    app = show()
    assert "No answer is stored yet" in app.info[0].value
    assert len(app.get("page_link")) == 2 and not app.dataframe


def test_one_record_is_a_row_without_a_verdict(show: Open, tmp_path: Path) -> None:
    """A machine with a single answer: its bare figures with their n, no interval and no chart of differences. An
    address that names a machine without answers shows this one."""
    one = next(each for each in benchmark_answers.responses() if each.cell and not each.cell.warm_up)
    odd = replace(one, model=replace(one.model, name="*Odd* <b>[x](http://example.com)</b>"))
    keep(tmp_path, [replace(odd, origin="arena", cell=None)])
    app = show(query={"host": "gone", "benchmark": "gone"})
    assert list(app.dataframe[0].value["model"]) == [odd.model.name]
    assert "(n = 1)" in shown_cells(app) and "too few values for an interval" in page_text(app)
    assert "1 model · 1 prompt × 1 repeat · 1 answer" in page_text(app)
    app.session_state["leaderboard_tab"] = DIFFERENCES
    assert "With a second model" in page_text(run(app))
    assert not re.search(r"(?<!\\)\]\(http", page_text(app))


def test_lines_that_are_no_records_are_named(show: Open, tmp_path: Path) -> None:
    """Torn and foreign lines, and answers that do not count, are shown beside what was counted, with their reasons."""
    responses = list(benchmark_answers.responses())
    once_more = replace(responses[-1], cell=replace(responses[-1].cell, repeat=2))
    failed = replace(once_more, id="F" * 26, finish_reason="error", error="The model stopped.", text="")
    hot = replace(responses[-1], id="H" * 26, sampling=replace(responses[-1].sampling, temperature=1.5))
    keep(tmp_path, [*responses, failed, hot])
    (tmp_path / "responses" / "foreign.jsonl").write_text('{"hello": 1}\n{"format": 99}\n{"id": "0')
    app = show()
    assert "3 lines in 1 file are no records" in [expander.label for expander in app.expander]
    assert "newer version" not in page_text(app)
    app.session_state["leaderboard_problems"] = True  # opens it
    run(app)
    text = page_text(app)
    assert "line 2" in text and "newer version" in text and "1 left out (failed: 1)" in text
    assert "Different settings: temperature 0.7" in text and "temperature 1.5" in text


def test_a_report_offers_to_those_who_own_the_machine_what_others_wrote(
    show: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs, conversations and the arena's answers can be chosen, none of the latter two by itself; a stranger on a
    public deployment gets the figures alone. Who asks is known before the click, after which nobody can tell."""
    benchmark_answers.store(tmp_path)
    keep(tmp_path, [replace(PLAIN, messages=(Message("user", "Asked by somebody"),))])
    monkeypatch.setattr(services, "store", lambda: ResponseStore(tmp_path / "responses"))
    app = show(published=True, query={"host": HOST.key})
    app.session_state["leaderboard_report"] = True  # opens it
    with monkeypatch.context() as click:
        make: dict[str, Callable[[], bytes]] = {}
        click.setattr(streamlit, "download_button", lambda label, data, **_: make.update({label: data}))
        run(app)
        click.setattr(visitors, "hides", lambda: pytest.fail("The click cannot know."))
        assert b"<html" in make["Download report"]()
    run(app)
    assert len(app.multiselect(key="leaderboard_report_runs").value) == 5
    talks = app.multiselect(key="leaderboard_report_conversations")
    assert len(talks.options) == 1 and "Asked by somebody" in talks.options[0] and talks.value == []
    assert app.toggle(key="leaderboard_report_arena").value is False
    public = Settings(tmp_path / "models", tmp_path, tmp_path / "cache", public=True)
    monkeypatch.setattr(services, "settings", lambda: public)
    run(app)
    assert not [each for each in (*app.multiselect, *app.toggle) if "report" in each.key]
    assert "Download report" in [button.label for button in app.get("download_button")]
    assert "Asked by somebody" not in page_text(app)
