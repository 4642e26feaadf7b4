"""A public deployment as strangers and as its owners see it, on a scripted engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from dashboard import services, visitors
from dashboard.leaderboard.reading import Wanted
from dashboard.public.answers import PublicAnswers
from evaluation.endpoints import Endpoint, EndpointModel
from evaluation.leaderboard.answers import Answers, Selection
from evaluation.leaderboard.words import host_names
from evaluation.models import Catalog, Model
from evaluation.records import Message
from evaluation.settings import Settings
from evaluation.store import ResponseStore
from tests import benchmark_answers
from tests.app_page import press, run
from tests.benchmark_answers import BASE as MEASURED
from tests.benchmark_answers import question
from tests.fake_engine import FakeEngine, Script, chat_model
from tests.responses import HOST, PLAIN

PAGES = "dashboard/app_pages"
BASE, OTHER = chat_model("Small model"), chat_model("Other model")
SERVED = EndpointModel(Endpoint("Served", "https://api.example.com/v1", "large"), "Served")
STRANGER = {"is_logged_in": False}
FAN = {"is_logged_in": True, "preferred_username": "eve"}
OWNER = {"is_logged_in": True, "preferred_username": "Ada"}

Visit = Callable[..., AppTest]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: FakeEngine) -> Visit:
    """Open a page of a public deployment with two models and an endpoint, whose owner is ada."""
    settings = Settings(tmp_path / "models", tmp_path, tmp_path / "cache", public=True, owners=frozenset({"ada"}))
    store, answers = ResponseStore(tmp_path / "responses"), Answers(tmp_path)
    engine.record = store.append

    def catalog() -> Catalog:
        return Catalog((BASE, OTHER), (), (SERVED,))

    catalog.clear = lambda: None
    shared = {"settings": settings, "store": store, "answers": answers, "engine": engine}
    for name, value in shared.items():
        monkeypatch.setattr(services, name, lambda value=value: value)
    monkeypatch.setattr(services, "catalog", catalog)

    def visit(user: dict[str, object] = STRANGER, page: str = "arena", query: dict[str, str] | None = None) -> AppTest:
        app = AppTest.from_file("../../streamlit_app.py", default_timeout=20)
        app = app if page == "arena" else app.switch_page(f"{PAGES}/{page}.py")
        app.user = user
        for name, value in (query or {}).items():
            app.query_params[name] = value
        return run(app)

    return visit


def say(app: AppTest, message: str) -> AppTest:
    app.chat_input(key="arena_message").set_value(message)
    return run(app)


def text(app: AppTest) -> str:
    """Everything said on the page, as it is read."""
    kinds = (app.markdown, app.caption, app.info, app.error, app.warning, app.text)
    return "\n".join(str(element.value).replace("\\", "") for kind in kinds for element in kind)


def links(app: AppTest) -> list[str]:
    return [link.proto.label for link in app.get("link_button")]


def earlier(app: AppTest) -> list[str]:
    """What the list of conversations offers."""
    app.session_state["arena_earlier"] = True
    run(app)
    return [button.label for button in app.button if (button.key or "").startswith("arena_open_")]


@pytest.mark.parametrize(("user", "manages"), [(FAN, False), (OWNER, True)])
def test_only_owners_have_buttons(visit: Visit, user: dict[str, object], manages: bool) -> None:
    """To benchmark, to stop or resume one, to train: somebody else who is signed in reads why not, as strangers do."""
    app = visit(user, "benchmark")
    keys = {button.key for button in app.button}
    assert ("benchmark_start" in keys) == manages == bool(app.multiselect)
    assert ("only its owners benchmark" in text(app)) != manages
    app.switch_page(f"{PAGES}/training.py")
    app.session_state["training_start_form"] = True
    assert ("only its owners train" in text(run(app))) != manages


def act(module: str, action: str, count: int) -> None:
    """A page of nothing but a callback, which is given nothing to act on, and what it leaves to be said."""
    from importlib import import_module

    import streamlit as st

    getattr(import_module(f"dashboard.{module}"), action)(*[None] * count)
    for said in st.session_state.values():
        st.text(said)


@pytest.mark.parametrize(
    ("module", "action", "count"),
    [
        ("benchmark.actions", "start", 1),
        ("benchmark.actions", "resume", 2),
        ("benchmark.actions", "cancel", 1),
        ("training.actions", "start", 2),
        ("training.actions", "resume", 1),
        ("training.actions", "interrupt", 1),
        ("training.actions", "stop", 0),
        ("training.imports", "_import", 2),
        ("training.edit", "_archive", 2),
        ("models.actions", "download", 2),
        ("models.actions", "cancel", 1),
        ("models.actions", "resume", 1),
        ("models.actions", "forget", 1),
        ("models.actions", "remove", 1),
        ("models.actions", "save_endpoint", 2),
    ],
)
def test_no_stranger_gets_past_a_missing_button(visit: Visit, module: str, action: str, count: int) -> None:
    """Each action refuses by itself, in words, before it looks at what it is to act on."""
    app = AppTest.from_function(act, args=(module, action, count))
    app.user = FAN
    run(app)
    assert any("owner" in each.value for each in (*app.toast, *app.text))


def test_the_door_says_who_one_is(visit: Visit) -> None:
    """The link of a stranger opens a tab of its own; who is signed in can sign out, and is told when that is all."""
    assert links(visit(STRANGER)) == ["Sign in as an owner"]
    assert "eve, not an owner" in text(visit(FAN))
    app = visit(OWNER)
    assert "Ada, owner" in text(app) and not links(app)
    app.button(key="owner_sign_out").click()
    assert links(run(app)) == ["Sign in as an owner"]


def test_strangers_ask_little(visit: Visit, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two panes, short answers and no endpoint, whatever a link says; an owner asks what is there."""
    monkeypatch.setenv("PUBLIC_ANSWER_TOKENS", "100")
    query = {"models": f"{BASE.key},{OTHER.key},{SERVED.key}"}
    say(visit(query=query), "Hello")
    assert [request.model.key for request in engine.requests] == [BASE.key, OTHER.key]
    assert {request.sampling.max_tokens for request in engine.requests} == {100}
    say(visit(OWNER, query=query), "Hello")
    assert [request.model.key for request in engine.requests[2:]] == [BASE.key, OTHER.key, SERVED.key]
    assert {request.sampling.max_tokens for request in engine.requests[2:]} == {512}


def test_a_refused_message_stays_in_the_input(
    visit: Visit, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason, until something else is asked; another tab of the same visitor is refused as well, an owner is
    not."""
    monkeypatch.setenv("PUBLIC_ANSWERS_PER_HOUR", "3")
    monkeypatch.setenv("PUBLIC_PROMPT_CHARACTERS", "10")
    app = say(visit(), "Much too long")
    assert "13 characters, and a prompt may have 10" in text(app)
    assert app.chat_input(key="arena_message").proto.value == "Much too long" and not engine.requests
    say(app, "One")
    assert not app.warning and len(engine.requests) == 2 and "1 of yours is left" in text(app)
    for tab in (app, visit()):
        say(tab, "Two")
        assert "again in 60 minutes" in text(tab) and "Two" not in [each.value for each in tab.text]
    say(visit(OWNER), "Much too long")
    assert len(engine.requests) == 4


def test_a_refused_message_changes_nothing(visit: Visit, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switches that were set for it count for the next one that is asked, as they are then."""
    monkeypatch.setenv("PUBLIC_PROMPT_CHARACTERS", "10")
    app = say(visit(), "One")
    app.toggle(key="arena_keep").set_value(False)
    say(app, "Much too long")
    app.toggle(key="arena_keep").set_value(True)
    say(app, "Two")
    assert {each.messages[-1].content for each in services.store().read().responses} == {"One", "Two"}


@pytest.mark.parametrize(
    ("model", "fault", "instead"),
    [
        (BASE, "The file /srv/models/small.gguf is damaged.", "The file small.gguf is damaged."),
        (SERVED, "The server at api.example.com wants a key: set ARENA_KEY.", "did not answer as it should"),
    ],
)
def test_faults_tell_strangers_neither_folders_nor_addresses(
    visit: Visit, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, model: Model, fault: str, instead: str
) -> None:
    """Neither on the page nor in the two downloads; an owner reads all."""
    monkeypatch.setenv("PUBLIC_ENDPOINTS", "1")
    engine.scripts["default"] = Script(error=fault, save_error="It could not be saved in /srv/results.")
    downloads: list[Callable[[], str]] = []
    monkeypatch.setattr(streamlit, "download_button", lambda label, data, **_: downloads.append(data))
    for user, owns in ((STRANGER, False), (OWNER, True)):
        app = visit(user, query={"models": model.key})
        downloads.clear()
        say(app, "Why?")
        told = "\n".join((text(app), *(write().replace("\\", "") for write in downloads)))
        assert any(secret in told for secret in ("/srv", "api.example", "ARENA_KEY")) == owns
        assert told.count(fault if owns else instead) == 3


@pytest.mark.parametrize(
    ("proxies", "forwarded", "connected", "address"),
    [
        (1, "9.9.9.9", "10.0.0.1", "9.9.9.9"),
        (1, "1.2.3.4, invented, 9.9.9.9", "10.0.0.1", "9.9.9.9"),
        (1, "1.2.3.4, 9.9.9.9, 10.0.0.2, 10.0.0.1", "10.0.0.1", "9.9.9.9"),
        (2, "1.2.3.4, 9.9.9.9, 8.8.8.8", "10.0.0.1", "9.9.9.9"),
        (2, "9.9.9.9", "10.0.0.1", "9.9.9.9"),
        (0, "1.2.3.4", "9.9.9.9", "9.9.9.9"),
        (1, "2606:4700:1:2:3:4:5:6", "10.0.0.1", "2606:4700:1:2::/64"),
        (1, "::ffff:9.9.9.9", None, "9.9.9.9"),
        (1, "1.2.3.4, <b>nonsense</b>", "9.9.9.9", "9.9.9.9"),
        (1, None, None, visitors.NO_ADDRESS),
    ],
)
def test_one_visitor_is_one_address(
    monkeypatch: pytest.MonkeyPatch, proxies: int, forwarded: str | None, connected: str | None, address: str
) -> None:
    """The one that a proxy was asked from, whatever a visitor wrote before it, else that of the connection; all of a
    household's are one."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    monkeypatch.setattr(visitors.st, "context", SimpleNamespace(headers=headers, ip_address=connected))
    assert visitors.address(proxies) == address


def test_a_limit_that_is_nonsense_lets_nobody_ask(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variable; an owner can still look around."""
    monkeypatch.setenv("PUBLIC_PANES", "two")
    app = visit()
    assert "PUBLIC_PANES is 'two'" in text(app) and not app.chat_input
    assert visit(OWNER).chat_input


def test_what_is_not_to_be_stored_is_not(visit: Visit, engine: FakeEngine) -> None:
    """The page says what is stored before the first message. Switched off in the middle, the rest of the conversation
    is not stored, not even after it is switched on again, for it holds what came before; a new one is. An unstored one
    has no address, and can be read again in its own tab."""
    app = visit()
    assert "without your name or address" in text(app)
    say(app, "One")
    app.toggle(key="arena_keep").set_value(False)
    say(app, "Two")
    app.toggle(key="arena_keep").set_value(True)
    say(app, "Three")
    press(app, "arena_new")
    app.toggle(key="arena_keep").set_value(False)
    say(app, "Four")
    assert "conversation" not in app.query_params
    press(app, "arena_new")
    app.toggle(key="arena_keep").set_value(True)
    say(app, "Five")
    stored = services.store().read().responses
    assert {each.messages[-1].content for each in stored} == {"One", "Five"}
    assert earlier(app) == ["Four", "One"]
    press(app, next(button.key for button in app.button if button.label == "Four"))
    assert "Four" in [each.value for each in app.text]


def test_strangers_do_not_see_each_others_conversations(visit: Visit, engine: FakeEngine) -> None:
    """Nobody's are listed but those of the tab; who was given an address reads that one. An owner sees all."""
    say(visit(), "A secret")
    app = visit()
    assert not earlier(app) and "secret" not in text(app)
    assert earlier(visit(OWNER)) == ["A secret"]
    given = visit(query={"conversation": engine.requests[0].place.conversation})
    assert "A secret" in [each.value for each in given.text] and not given.chat_input


def test_the_leaderboard_counts_conversations_and_shows_no_word_of_them(visit: Visit, tmp_path: Path) -> None:
    """Their figures count for a stranger, who reads the prompts and answers of benchmarks alone; also of a prompt that
    was asked in both. An owner reads all."""
    benchmark_answers.store(tmp_path, prompts=2, repeats=1)
    for number, prompt in enumerate(("Private words", question(0))):
        services.store().append(
            replace(
                PLAIN,
                id=f"01M7YV2200DE3B4WZZ6KYE37C{number}",
                model=MEASURED,
                messages=(Message("user", prompt),),
                text="A private answer",
                started_at=PLAIN.submitted_at,
                first_token_at=PLAIN.submitted_at + 0.1,
                prompt_busy_s=0.1,
                decode_busy_s=1.0,
                prompt_tokens=40,
                cached_tokens=0,
                completion_tokens=50,
            )
        )
    services.answers().refresh()
    shown_to_strangers = PublicAnswers(services.answers())
    keys = services.answers().cells(Selection(HOST.key, common=False)).groupby("prompt")["prompt_key"].first()
    for user, reads in ((STRANGER, False), (OWNER, True)):
        app = visit(user, "leaderboard", {"host": HOST.key, "benchmark": "all"})
        app.toggle(key="leaderboard_common").set_value(False)
        app.session_state["leaderboard_wanted"] = Wanted(keys["Private words"], (MEASURED.key,))
        shown = text(run(app))
        choices = [list(each.options) for each in (*app.selectbox, *app.multiselect)]
        assert ("Private words" in shown) == ("A private answer" in shown) == ("Private words" in str(choices)) == reads
        assert question(1) in str(choices)
        app.session_state["leaderboard_wanted"] = Wanted(keys[question(0)], (MEASURED.key,))
        assert question(0) in text(run(app)) and "repeat 1: word" in text(app)
        counted = dict(zip(app.dataframe[0].value["model"], app.dataframe[0].value["answers"], strict=True))
        assert counted[MEASURED.name] == 4
    services.store().append(replace(PLAIN, id="01M7YV2200DE3B4WZZ6KYE37C9", host=SERVED.host, model=SERVED.ref))
    services.answers().refresh()
    assert host_names(shown_to_strangers.hosts(), None)[SERVED.host.key] == "Endpoint 1"
    points = shown_to_strangers.points(Selection(HOST.key, common=False))
    assert {id[:4] for id in points["id"]} == {"", "DEMO"} and list(points["id"]).count("") == 2
    both = shown_to_strangers.texts(Selection(HOST.key), keys[question(0)], (MEASURED.key,))[MEASURED.key]
    assert [each.repeat for each in both] == [0]  # and not the one of the arena
