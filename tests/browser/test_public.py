"""A public deployment in a browser: as a stranger, inside the frame of another site, and as an owner who signs in."""

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from evaluation.store import ResponseStore
from scripts import space_secrets
from scripts.live_app import LiveApp, live_app, message_box
from tests.oidc_server import OidcServer

SHORT, OTHER = "Say one word.", "Say hi."
ANSWER_MS = 60_000
LIMITS = {"PUBLIC_ANSWERS_PER_HOUR": "2", "PUBLIC_PANES": "1", "PUBLIC_ANSWER_TOKENS": "8"}
# As the hub frames a Space.
SANDBOX = (
    "allow-downloads allow-forms allow-modals allow-pointer-lock allow-popups allow-popups-to-escape-sandbox "
    "allow-same-origin allow-scripts allow-storage-access-by-user-activation"
)

Visit = Callable[[str], Page]


@pytest.fixture(scope="module")
def hub() -> Iterator[OidcServer]:
    """Where ada is signed in."""
    with OidcServer("arena", "a secret", user="ada") as provider:
        yield provider


@pytest.fixture(scope="module")
def space(
    browser: Browser, hub: OidcServer, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApp]:
    """The app as its image starts it, but without the TLS that the hub puts before a Space."""
    folder = tmp_path_factory.mktemp("space")
    secrets = folder / "secrets.toml"
    told = {"OAUTH_CLIENT_ID": hub.client_id, "OAUTH_CLIENT_SECRET": hub.client_secret, "OPENID_PROVIDER_URL": hub.url}
    space_secrets.write(secrets, told | {"SPACE_HOST": "127.0.0.1:{port}"})
    secrets.write_text(secrets.read_text().replace("https://127", "http://127"))
    own = {name: str(folder / name[:-4].lower()) for name in ("MODELS_DIR", "RESULTS_DIR")}
    with live_app(
        folder,
        **own,
        **LIMITS,
        CACHE_DIR=str(shared_cache),
        PUBLIC="1",
        OWNERS="ada",
        NO_PROXY="127.0.0.1",
        STREAMLIT_SECRETS_FILES=str(secrets),
        STREAMLIT_SERVER_XSRF_COOKIE_SAME_SITE="none",
    ) as app:
        hub.redirect_uris.add(f"{app.url}/oauth2callback")
        yield app
        print(f"Server at {app.url}:\n{app.log.read_text(errors='replace')}")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens a browser of its own for a visitor from an address, as the proxies before a Space tell it, behind what the
    visitor made up."""
    contexts = []

    def visit(address: str) -> Page:
        contexts.append(browser.new_context(viewport={"width": 1440, "height": 900}))
        contexts[-1].set_extra_http_headers({"X-Forwarded-For": f"1.2.3.4, {address}, 10.0.0.1"})
        return contexts[-1].new_page()

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture
def frame_url(space: LiveApp) -> Iterator[str]:
    """A page of another site that shows the app in a frame, as the hub does."""
    html = f'<iframe src="{space.url}" sandbox="{SANDBOX}" style="width: 100%; height: 850px"></iframe>'

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"  # for a browser another site than 127.0.0.1
    server.shutdown()
    server.server_close()


def ask(page: Page | FrameLocator, text: str) -> None:
    box = page.get_by_test_id("stChatInputTextArea")
    box.fill(text)
    box.press("Enter")


def expect_answers(page: Page | FrameLocator, count: int) -> None:
    expect(page.get_by_text("time to first token", exact=True)).to_have_count(count, timeout=ANSWER_MS)


def stored(space: LiveApp) -> list[str]:
    """The messages that were answered and recorded."""
    folder = space.log.parent / "results" / "responses"
    return [each.messages[-1].content for each in ResponseStore(folder).read().responses]


def send(socket: ClientConnection, message: BackMsg, until: str) -> ForwardMsg:
    """Say something as the page's own program does; returns the first answer of this kind."""
    socket.send(message.SerializeToString())
    while True:
        answer = ForwardMsg.FromString(socket.recv(20, decode=False))
        if answer.WhichOneof("type") == until:
            return answer


def misuse(space: LiveApp, page: Page) -> None:
    """What a stranger can try without any button: empty what the server remembers, fill its memory with files."""
    with connect(f"ws{space.url[4:]}/_stcore/stream", subprotocols=[Subprotocol("streamlit")], max_size=None) as socket:
        rerun = BackMsg()
        rerun.rerun_script.query_string = ""
        session = send(socket, rerun, "new_session").new_session.initialize.session_id
        send(socket, BackMsg(clear_cache=True), "script_finished")
        token = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "_streamlit_xsrf")
        refused = page.request.put(
            f"{space.url}/_stcore/upload_file/{session}/anything",
            headers={"X-Xsrftoken": token},
            multipart={"file": {"name": "big.txt", "mimeType": "text/plain", "buffer": b"x"}},
        )
        assert refused.status == 403 and "owner" in refused.text()


def test_a_stranger_chats_within_limits(space: LiveApp, visit: Visit) -> None:
    """What is stored is said before; a message that is not to be stored leaves no record; after the last answer of the
    hour the next message stays in the input with the reason, whatever the visitor's programs do."""
    page = visit("9.9.9.7")
    page.goto(space.url)
    expect(page.get_by_text("without your name or address")).to_be_visible(timeout=20_000)
    ask(page, SHORT)
    expect_answers(page, 1)
    page.get_by_role("button", name="Stored", exact=True).click()
    page.get_by_text("Store my conversations").click()
    expect(page.get_by_text("kept in this tab only")).to_be_visible()
    page.keyboard.press("Escape")
    ask(page, "Name a fruit.")
    expect_answers(page, 2)
    assert stored(space) == [SHORT]
    misuse(space, page)
    ask(page, "One more?")
    expect(page.get_by_text("they are used up. Ask again in 60 minutes.")).to_be_visible()
    expect(message_box(page)).to_have_value("One more?")


def test_chat_in_a_frame_and_sign_in_out_of_it(space: LiveApp, visit: Visit, hub: OidcServer, frame_url: str) -> None:
    """Inside another site's page the chat works as anywhere, whatever others have used up, and nothing of theirs is
    seen. There the browser keeps no sign-in, so the owner's door opens a tab of its own, goes to the hub and comes
    back; the owner has everything, uploads included, and nothing any more after signing out. Who says no at the hub
    reads that nobody was signed in."""
    page = visit("9.9.9.9")
    page.goto(frame_url)
    frame = page.frame_locator("iframe")
    ask(frame, OTHER)
    expect_answers(frame, 1)
    frame.get_by_role("button", name="Earlier").click()
    expect(frame.get_by_text("for you alone")).to_be_visible()
    page.keyboard.press("Escape")
    frame.get_by_role("link", name="Benchmark").click()
    expect(frame.get_by_text("only its owners benchmark")).to_be_visible()
    expect(frame.get_by_role("button", name=re.compile("^(Start|Command|Resume)"))).to_have_count(0)

    with page.context.expect_page() as opened:
        frame.get_by_role("link", name="Sign in as an owner").click()
    owner = opened.value
    expect(owner.get_by_text("ada, owner")).to_be_visible(timeout=20_000)
    assert hub.paths.count("/oauth/token") == 1
    owner.get_by_role("button", name="Earlier").click()
    expect(owner.get_by_text(OTHER)).to_be_visible()
    owner.keyboard.press("Escape")
    owner.get_by_role("link", name="Benchmark").click()
    expect(owner.get_by_role("button", name="Start")).to_be_enabled(timeout=20_000)
    owner.locator("input[type=file]").set_input_files(
        {"name": "mine.txt", "mimeType": "text/plain", "buffer": b"Why?\nHow?\n"}
    )
    expect(owner.get_by_text("45 prompts").first).to_be_visible()

    hub.user = None
    owner.get_by_role("button", name="Sign out").click()
    expect(owner.get_by_role("link", name="Sign in as an owner")).to_be_visible()
    owner.goto(f"{space.url}/?sign_in=1")
    expect(owner.get_by_text("the hub was told no")).to_be_visible(timeout=20_000)
