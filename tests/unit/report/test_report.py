"""The static report: what goes in and what does not, and that nothing that was put into it runs or fetches."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evaluation.leaderboard.private_prompts import PRIVATE
from evaluation.records import Host, Message, Response
from evaluation.report import ReportError
from evaluation.report.__main__ import main
from evaluation.report.contents import MOST_RUNS, Sources, Wishes, again, choose, contents, without_arena
from evaluation.report.method import asked as what_was_asked
from evaluation.report.page import report_page
from evaluation.store import ResponseStore
from tests import benchmark_answers
from tests.finished_run import ROW, make_run
from tests.responses import HOST, PLAIN

EVIL = "</script><img src=x onerror=alert(1)> *Tiny* <!--"
TURNED = "\u202e"
"""A mark after which text runs to the left, figures and all."""
SECRET = "Should I tell my neighbor, asked nobody but this visitor?"
TALK = PLAIN.place.conversation
LARGEST_BYTES = 5_000_000


class Page(HTMLParser):
    """A page as a browser reads it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self._pieces: list[str] = []
        self._all: list[str] = []
        self._inside = ""
        self.feed(html)
        self.text = " ".join(self._all)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.scripts.append((self.tags[-1][1].get("type"), "".join(self._pieces)))
            self._pieces = []
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self._pieces.append(data)
        elif self._inside != "style":
            self._all.append(data)

    @property
    def charts(self) -> list[str]:
        return [content for kind, content in self.scripts if kind == "application/json"]


def asked(number: int, **changes: object) -> Response:
    """An answer of the arena that counts."""
    times = {"first_token_at": PLAIN.submitted_at + 0.3, "prompt_busy_s": 0.3, "decode_busy_s": 1.0}
    counts = {"prompt_tokens": 9, "cached_tokens": 0, "completion_tokens": 5}
    message = {"id": f"{number:026d}", "messages": (Message("user", SECRET),)}
    return replace(PLAIN, **{**times, **counts, **message, **changes})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A benchmark, a finished run whose name holds HTML, and two answers of the arena by a model whose name does."""
    results = tmp_path / "results"
    benchmark_answers.store(results)
    make_run(tmp_path, name=f"Demo <b>*run*</b>{TURNED}")
    store = ResponseStore(results / "responses")
    evil = replace(PLAIN.model, key="evil", name=f"{EVIL}{TURNED} ")
    text = "# Big\n\n**bold** ![p](http://example.com/p.png) [l](javascript:alert(1)) <b onclick=x>no</b> \ud800"
    store.append(asked(1, model=evil, text=text))
    store.append(asked(2, place=replace(PLAIN.place, pane=1)))
    return results


def test_a_page_of_figures_curves_and_a_conversation(results: Path, tmp_path: Path) -> None:
    """Verdict, table, charts, trend, the chosen conversation and how it was measured, in one file under 5 MB. Names and
    answers are text, whatever is in them: no tag or script of theirs, and none that the page's own policy would run.
    No row of the data and no path of this machine goes along, and no name turns around what stands beside it. A file
    that was there is replaced."""
    out = tmp_path / "report.html"
    out.write_text("old")
    asks = ["--host", HOST.key, "--arena", "--conversation", TALK, "--title", "Which <b>one</b>?"]
    assert main([str(out), *asks]) == 0
    assert out.stat().st_size < LARGEST_BYTES and [each.name for each in tmp_path.glob(".report*")] == []
    page = Page(out.read_text(encoding="utf-8"))
    for text in ("Which <b>one</b>?", "can't be ranked", "Small 135M Instruct + concise", "Demo <b>*run*</b>"):
        assert text in page.text
    for text in (
        "too few",
        "On the 60 held-out rows",
        "Busy seconds from the prompt to the last token",
        SECRET,
        "llama 1",
    ):
        assert text in page.text, text
    assert page.text.count(EVIL) >= 2 and TURNED not in page.html and len(page.charts) == 5
    assert sum(SECRET in chart for chart in page.charts) == 0 and PRIVATE in str(json.loads(page.charts[3]))
    assert {"img", "b", "a"}.isdisjoint(
        tag for tag, attributes in page.tags if tag != "a" or "#" not in attributes["href"]
    )
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert ROW not in page.html and str(tmp_path) not in page.html
    policy = next(each["content"] for tag, each in page.tags if tag == "meta" and "http-equiv" in each)
    runs = [content for kind, content in page.scripts if kind is None]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in runs]
    assert re.findall("'sha256-([^']+)'", policy) == hashes and policy.startswith("default-src 'none';")
    assert "unsafe-eval" not in policy and "http" not in policy
    assert all(
        "://" not in json.dumps(json.loads(chart)).replace("https://vega.github.io", "") for chart in page.charts
    )


def test_nothing_of_the_arena_unless_it_is_asked_for(results: Path) -> None:
    """By default only benchmarks count; with ``arena`` its answers do, and their prompts stay out all the same."""
    sources = Sources(results, results.parent)
    newest = choose(sources, Wishes(host=HOST.key, runs=()))
    assert newest.view.selection.benchmarks == ("demo",) and not newest.conversations
    everything = choose(sources, Wishes(host=HOST.key, benchmark="all", runs=()))
    for chosen in (newest, everything):
        assert EVIL not in chosen.view.labels.values() and len(chosen.view.labels) == 3
    assert EVIL in choose(sources, Wishes(host=HOST.key, arena=True, runs=())).view.labels.values()
    assert SECRET not in report_page(everything)


def test_nothing_stored_is_said(tmp_path: Path) -> None:
    """Without any answer or run there is a page that says so, and draws nothing."""
    sources = Sources(tmp_path, tmp_path / "published")
    page = Page(report_page(choose(sources, Wishes())))
    assert "No answer is stored yet" in page.text and "No training run is shown" in page.text
    assert not page.charts and len(page.html) < 30_000


def test_one_model_has_figures_and_no_comparison(tmp_path: Path) -> None:
    """Its figures and charts stand alone. Answers that are all disturbed count where there are no others, and the page
    says so, also when those of the arena were looked at before."""
    results = tmp_path / "results"
    store = ResponseStore(results / "responses")
    for each in benchmark_answers.responses(benchmark_answers.BEHAVIOURS[:1]):
        store.append(replace(each, cell=replace(each.cell, disturbed=True)))
    store.append(asked(1))
    sources = Sources(results, results.parent)
    wide = choose(sources, Wishes(host=HOST.key, arena=True, runs=()))
    assert not wide.doubtful and set(wide.view.labels.values()) == {"Small 135M Instruct", "Tiny 1M"}
    chosen = contents(again(wide.view, without_arena(wide.view.selection)), (), (), (), sources.logs, ())
    assert chosen.doubtful and chosen.view.selection.disturbed
    page = Page(report_page(chosen))
    assert "the times are doubtful" in page.text
    assert "is the only model here" in page.text and len(page.charts) == 2


def test_an_endpoint_is_named_and_its_address_is_not(tmp_path: Path) -> None:
    """Neither among the machines nor in a conversation, whose failures do not say why: that is for the owner."""
    host = Host("0" * 12, "gpu-box:8000", None, None, "unknown", "OpenAI-compatible server")
    failed = {"error": "Nothing answers at gpu-box:8000, see /home/me/log.", "finish_reason": "error", "text": ""}
    ResponseStore(tmp_path / "responses").append(asked(1, host=host, **failed))
    page = Page(report_page(choose(Sources(tmp_path, tmp_path), Wishes(host=host.key, conversations=(TALK,)))))
    assert "Endpoint Tiny 1M" in page.text and "Host: Tiny 1M, OpenAI-compatible server" in page.text
    assert "failed" in page.text and SECRET in page.text
    assert "gpu-box" not in page.html and "/home" not in page.html
    assert "No answer of this machine counts here" in page.text and not page.charts


def test_what_was_left_out_on_purpose_is_told(results: Path) -> None:
    """The filters that the figures went through, so that nobody takes a part for the whole; no prompt of the arena."""
    answer = list(benchmark_answers.responses())[1]
    more = replace(answer, id="9" * 26, messages=(Message("user", "Asked one model only?"),))
    ResponseStore(results / "responses").append(more)
    everything = choose(Sources(results, results.parent), Wishes(host=HOST.key, arena=True, runs=())).view
    assert not [name for name, _ in what_was_asked(everything, ()) if name.startswith("Only")]
    models = tuple(key for key, name in everything.labels.items() if "135M" in name)
    prompts = everything.answers.choices(HOST.key).drop_duplicates("prompt_key").set_index("prompt")["prompt_key"]
    asked_for = (prompts[SECRET], prompts["Question 1: why is the sky blue?"])
    told = [
        row
        for chosen in (
            {"models": models, "prompt_sets": ("demo",)},
            {"origins": ("benchmark", "arena"), "prompts": asked_for},
        )
        for row in what_was_asked(again(everything, replace(everything.selection, **chosen)), ())
    ]
    assert {row for row in told if row[0].startswith("Only")} == {
        ("Only these origins", "benchmark, arena"),
        ("Only these prompt sets", "demo"),
        ("Only these prompts", f"“{PRIVATE}”, “Question 1: why is the sky blue?”"),
        ("Only these models", ", ".join(everything.labels[key] for key in models)),
        ("Only prompts that every model answered", "8 of 9"),
    }


def test_what_is_not_there_is_named(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence with what there is instead; from the command line exit code 1, and no file."""
    sources = Sources(results, results.parent)
    run = sources.runs[0]
    sources.runs = tuple(replace(run, run=replace(run.run, id=f"r{number}")) for number in range(MOST_RUNS + 1))
    for wishes, said in (
        (Wishes(host="gone"), "No answer of a machine gone is stored. There are: 3f9ac1d20b77 ("),
        (Wishes(host=HOST.key, benchmark="gone"), "no answers of a benchmark gone. There are: demo."),
        (Wishes(runs=("gone",)), "No training run is called gone. There are: "),
        (Wishes(runs=tuple(each.run.id for each in sources.runs)), f"More than {MOST_RUNS} training runs in one chart"),
        (Wishes(arena=True, benchmark="demo"), "ask for them, or for a benchmark, not for both."),
    ):
        with pytest.raises(ReportError) as refusal:
            choose(sources, wishes)
        assert said in str(refusal.value)
    out = tmp_path / "report.html"
    assert main([str(out), "--conversation", "gone"]) == 1
    assert f"No conversation gone is stored here. The latest are: {TALK}." in capsys.readouterr().err
    assert not out.exists()


def test_a_place_that_takes_no_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is missing, and a folder instead of a file, before anything is read."""
    for out, said in ((tmp_path / "gone" / "report.html", "There is no folder"), (tmp_path, "is a folder")):
        assert main([str(out)]) == 1
        assert said in capsys.readouterr().err
