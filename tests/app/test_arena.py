"""The arena page as a user drives it, on a scripted engine."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import services
from dashboard.arena.conversation import Conversation, Pane
from evaluation.models import Catalog, UnusableFile
from evaluation.records import Message, Sampling
from evaluation.settings import Settings
from evaluation.store import ResponseStore
from tests.app_page import press, run
from tests.fake_engine import TEXT, FakeEngine, Script, chat_model

BASE = chat_model("Small model")
TUNED = chat_model("Small model", adapter_run="run-1")
OTHER = chat_model("Other model")

Start = Callable[..., tuple[AppTest, FakeEngine]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """Start the app with these models and an engine that behaves as scripted."""
    store = ResponseStore(tmp_path / "responses")

    def start(
        *models, unusable: tuple[UnusableFile, ...] = (), query: dict[str, str] | None = None, **scripts: Script
    ) -> tuple[AppTest, FakeEngine]:
        engine = FakeEngine(store.append, **scripts)

        def catalog() -> Catalog:
            return Catalog(models, unusable)

        catalog.clear = lambda: None
        monkeypatch.setattr(services, "settings", lambda: Settings(tmp_path / "models", tmp_path, tmp_path / "cache"))
        monkeypatch.setattr(services, "store", lambda: store)
        monkeypatch.setattr(services, "engine", lambda: engine)
        monkeypatch.setattr(services, "catalog", catalog)
        app = AppTest.from_file("../../streamlit_app.py", default_timeout=20)
        for name, value in (query or {}).items():
            app.query_params[name] = value
        return run(app), engine

    return start


def button_key(app: AppTest, part: str) -> str:
    return next(button.key for button in app.button if part in (button.key or ""))


def say(app: AppTest, message: str) -> AppTest:
    app.chat_input(key="arena_message").set_value(message)
    return run(app)


def texts(app: AppTest) -> list[str]:
    return [element.value for element in app.markdown]


def test_starter_asks_all_panes(start: Start) -> None:
    """One click on a starter puts the study's prompt to every pane and shows every answer with its figures."""
    app, engine = start(BASE, OTHER)
    press(app, "arena_starter_1")
    assert [request.model.key for request in engine.requests] == [BASE.key, OTHER.key]
    assert {request.messages for request in engine.requests} == {(Message("user", "Why is the sky blue?"),)}
    assert texts(app).count(TEXT) == 2
    figures = [element.value for element in app.html if '<dl class="answer-figures"' in str(element.value)]
    assert len(figures) == 2
    assert "ended by itself" in figures[0] and "<dd>15</dd>" in figures[0]


def test_places_tell_where_an_answer_stands(start: Start) -> None:
    """Every request carries the conversation, round, pane and attempt, so that the store can rebuild the page."""
    app, engine = start(BASE, OTHER)
    say(app, "One")
    say(app, "Two")
    places = [request.place for request in engine.requests]
    assert [(place.round, place.pane, place.attempt) for place in places] == [
        (0, 0, 0),
        (0, 1, 0),
        (1, 0, 0),
        (1, 1, 0),
    ]
    assert len({place.conversation for place in places}) == 1


def test_one_pane_can_be_asked_alone(start: Start) -> None:
    """A message to pane 2 goes to pane 2 only, and pane 1 has no turn of it in its history later."""
    app, engine = start(BASE, OTHER)
    app.segmented_control(key="arena_target").set_value(1)
    say(app, "Only you")
    assert [request.place.pane for request in engine.requests] == [1]
    app.segmented_control(key="arena_target").set_value(-1)
    say(app, "Both")
    assert engine.requests[1].messages == (Message("user", "Both"),)
    assert engine.requests[2].messages == (
        Message("user", "Only you"), Message("assistant", TEXT), Message("user", "Both")
    )  # fmt: skip


def test_regenerate_takes_the_next_seed(start: Start) -> None:
    """Regenerating asks the same once more with another seed and shows the newer answer as the second."""
    app, engine = start(BASE, OTHER)
    say(app, "Tell me")
    press(app, "arena_0_0_1_again")
    first, again = engine.requests[0], engine.requests[2]
    assert again.messages == first.messages and again.model == first.model
    assert again.sampling.seed == first.sampling.seed + 1
    assert again.place.attempt == 1
    assert any("answer 2" in text for text in texts(app))


def test_edit_replaces_the_last_message(start: Start) -> None:
    """An edited message replaces the round; its answers count as further attempts."""
    app, engine = start(BASE, OTHER)
    say(app, "Worng")
    app.text_area(key="arena_edit_0_2").set_value("Right")
    press(app, "arena_edit_0_2_send")
    assert [r.messages[-1].content for r in engine.requests] == ["Worng", "Worng", "Right", "Right"]
    assert [r.place.round for r in engine.requests] == [0, 0, 0, 0]
    assert engine.requests[2].place.attempt == 1
    assert [text.value for text in app.text] == ["Right"]


def test_new_starts_an_empty_conversation(start: Start) -> None:
    """New clears the page, and what is asked next belongs to another conversation without any history."""
    app, engine = start(BASE)
    say(app, "Before")
    press(app, "arena_new")
    assert TEXT not in texts(app)
    say(app, "After")
    assert engine.requests[-1].messages == (Message("user", "After"),)
    assert engine.requests[-1].place.conversation != engine.requests[0].place.conversation


def test_settings_are_shared_until_a_pane_gets_its_own(start: Start) -> None:
    """One change applies to all panes; one with settings of its own begins with the shared ones and keeps them."""
    app, engine = start(BASE, OTHER)
    app.slider(key="arena_shared_temperature").set_value(0.3)
    app.text_area(key="arena_system_prompt").set_value("Be brief.")
    app.text_area(key="arena_shared_stop").set_value("END\n\n###")
    run(app)
    app.toggle(key="arena_pane1_own").set_value(True)
    run(app)
    assert app.slider(key="arena_pane1_temperature").value == 0.3
    app.slider(key="arena_pane1_temperature").set_value(1.5)
    app.slider(key="arena_shared_temperature").set_value(0.1)
    say(app, "Hello")
    assert [request.sampling.temperature for request in engine.requests] == [0.1, 1.5]
    assert {request.sampling.stop for request in engine.requests} == {("END", "###")}
    assert engine.requests[0].messages[0] == Message("system", "Be brief.")


def test_panes_of_the_same_model_differ_in_their_seed(start: Start) -> None:
    """With one model installed both panes use it; the second gets the next seed, and the page says so."""
    app, engine = start(BASE)
    say(app, "Hello")
    assert [request.sampling.seed for request in engine.requests] == [0, 1]
    assert any("pane 2 uses seed 1" in caption.value for caption in app.caption)


def chosen(app: AppTest) -> list[str]:
    return [picker.value for picker in app.selectbox]


def test_base_and_fine_tune_are_compared_by_default(start: Start) -> None:
    """Where a fine-tune and its base are present, the two panes begin with them."""
    app, _ = start(OTHER, BASE, TUNED)
    assert chosen(app) == [BASE.key, TUNED.key]


def test_newest_finished_runs_are_compared_by_default(start: Start) -> None:
    """Three panes: the base of the run that finished last and that base's two latest runs, whatever came earlier or
    never ended; another pane brings the next one."""
    ended_at = {"unfinished": None, "old": 1.0, "newest": 3.0, "new": 2.0}
    runs = {name: chat_model("Small model", adapter_run=name, finished_at=at) for name, at in ended_at.items()}
    other_tune = chat_model("Other model", adapter_run="other", finished_at=2.5)
    app, _ = start(OTHER, other_tune, BASE, *runs.values())
    assert chosen(app) == [BASE.key, runs["newest"].key, runs["new"].key]
    app.number_input(key="arena_pane_count").increment()
    assert chosen(run(app))[3] == runs["old"].key


def test_error_in_one_pane_leaves_the_other_running(start: Start) -> None:
    """A failed answer shows its sentence in its own pane; the other pane's answer is complete."""
    app, _ = start(BASE, OTHER, **{OTHER.key: Script(error="The model stopped. Ask again.")})
    say(app, "Hello")
    assert [error.value for error in app.error] == [r"The model stopped\. Ask again\."]
    assert TEXT in texts(app)


def test_failed_answer_is_left_out_of_the_history(start: Start) -> None:
    """After a failure the pane's next request has no dangling question in it: user and assistant alternate."""
    app, engine = start(BASE, OTHER, **{OTHER.key: Script(error="The model stopped. Ask again.")})
    say(app, "One")
    say(app, "Two")
    assert [message.role for message in engine.requests[2].messages] == ["user", "assistant", "user"]
    assert engine.requests[3].messages == (Message("user", "Two"),)


def test_unusable_files_are_listed_with_their_reason(start: Start) -> None:
    """A file that cannot answer is named with the reason, and the page works."""
    app, _ = start(BASE, unusable=(UnusableFile(Path("half.gguf"), "The file ends too early."),))
    assert any("1 file can't be used" in expander.label for expander in app.expander)
    assert any("half" in text and "ends too early" in text for text in texts(app))


def test_answers_that_were_not_saved_warn_once(start: Start) -> None:
    """With a full disk all answers show, with a single warning for the page."""
    unsaved = Script(save_error="The answer could not be saved.")
    app, _ = start(BASE, OTHER, default=unsaved)
    say(app, "One")
    say(app, "Two")
    assert texts(app).count(TEXT) == 4
    assert len(app.warning) == 1


def test_link_opens_the_same_comparison(start: Start) -> None:
    """A link chooses the models and puts the prompt into the input; nothing is asked before the reader sends it."""
    app, engine = start(BASE, OTHER, query={"models": f"{OTHER.key},{BASE.key},{OTHER.key}", "prompt": "Why?"})
    assert [app.selectbox(key=f"arena_pane{pane}_model").value for pane in range(3)] == [OTHER.key, BASE.key, OTHER.key]
    assert app.chat_input(key="arena_message").proto.value == "Why?"
    assert not engine.requests


def test_link_to_unknown_models_says_so(start: Start) -> None:
    """A model of a link that this machine lacks is named as missing; the others are chosen."""
    app, _ = start(BASE, OTHER, query={"models": f"gone,{OTHER.key}"})
    assert app.selectbox(key="arena_pane0_model").value == OTHER.key
    assert "1 of the 2 models" in app.toast[0].value


def test_stored_conversation_is_read_only(start: Start) -> None:
    """After a reload the address shows the conversation from the store: its texts, a way back, and no input."""
    app, engine = start(BASE, OTHER)
    say(app, "Why?")
    again, _ = start(BASE, OTHER, query={"conversation": engine.requests[0].place.conversation})
    assert texts(again).count(TEXT) == 2
    assert "Why?" in [text.value for text in again.text]
    assert "can be read but not continued" in again.info[0].value
    assert not again.chat_input and not any("_again" in (button.key or "") for button in again.button)
    press(again, "arena_back")
    assert again.chat_input(key="arena_message") and TEXT not in texts(again)


def test_earlier_conversations_are_listed_and_open(start: Start) -> None:
    """The list offers what this machine has stored, newest first, and a click shows it."""
    app, engine = start(BASE)
    say(app, "The first question")
    press(app, "arena_new")
    app.session_state["arena_earlier"] = True
    run(app)
    press(app, f"arena_open_{engine.requests[0].place.conversation}")
    assert "The first question" in [text.value for text in app.text]
    assert app.info


def test_unknown_conversation_is_a_sentence(start: Start) -> None:
    """An address of a conversation that is not here says so and leads back."""
    app, _ = start(BASE, query={"conversation": "01NOTHERE"})
    assert "not stored on this machine" in app.warning[0].value
    press(app, "arena_back")
    assert app.chat_input


def test_message_during_answers_is_kept(start: Start) -> None:
    """What is sent while answers are written stays in the input and interrupts nothing."""
    app, engine = start(BASE, default=Script(tokens_per_s=8))
    app.session_state["arena_conversation"] = conversation = Conversation()
    conversation.ask("First", {0: Pane(BASE, Sampling())}, engine.submit)
    engine.scripts["default"] = Script()
    say(app, "Second")
    assert [request.messages[-1].content for request in engine.requests] == ["First"]
    assert app.chat_input(key="arena_message").proto.value == "Second"
    assert "still answering" in app.toast[0].value


@pytest.mark.parametrize("message", [" ", "\n\t  "])
def test_message_of_blanks_is_not_sent(start: Start, message: str) -> None:
    """Blanks are refused with a sentence."""
    app, engine = start(BASE)
    say(app, message)
    assert not engine.requests
    assert "empty" in app.toast[0].value


def test_message_is_shown_to_the_letter(start: Start) -> None:
    """HTML, control tokens and Markdown in a message reach the model unchanged and are drawn as text."""
    app, engine = start(BASE)
    message = "<script>alert(1)</script> <|im_end|> ![x](http://example.com/x.png) **b**"
    say(app, message)
    assert engine.requests[0].messages[-1].content == message
    assert [text.value for text in app.text] == [message]
    assert not any("<script>" in str(text) for text in texts(app))


def test_images_in_answers_are_not_fetched(start: Start) -> None:
    """An answer with a remote image is drawn without an image."""
    app, _ = start(BASE, default=Script(text="Look: ![x](http://example.com/x.png)"))
    say(app, "Hello")
    assert not any("![" in text for text in texts(app))


def test_huge_message_is_shortened_on_the_page(start: Start) -> None:
    """A megabyte reaches the engine whole and the page shows its beginning and its length."""
    app, engine = start(BASE)
    say(app, "x" * 1_000_000)
    assert len(engine.requests[0].messages[-1].content) == 1_000_000
    assert len(app.text[0].value) < 10_000
    assert "1,000,000 characters" in app.text[0].value


def test_without_any_model_the_page_says_what_to_do(start: Start) -> None:
    """No model: no input, but the folder to put one into."""
    app, _ = start(unusable=(UnusableFile(Path("half.gguf"), "The file ends too early."),))
    assert "no model" in app.info[0].value
    assert any("models" in caption.value for caption in app.caption)
    assert not app.chat_input


def test_downloads_hold_the_conversation(start: Start) -> None:
    """Markdown and JSON of the conversation can be downloaded once something was answered."""
    app, _ = start(BASE)
    assert all(button.disabled for button in app.get("download_button"))
    say(app, "Hello")
    assert [button.disabled for button in app.get("download_button")] == [False, False]
