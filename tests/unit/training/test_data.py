"""Training data: every form is read alike, every row is accounted for, and nothing held out is trained on."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import HubServer
from training.data import DataError, Prepared, check_source, prepare
from training.recipe import DataSection, read_recipe
from training.runlog import FilterStep
from training.settings import PROJECT_ROOT

Stored = Mapping[str, Any]
Write = Callable[..., str]


def row(question: str, answer: str, **columns: Any) -> Stored:
    """In FineTome's columns."""
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"conversations": turns, "source": "arena/list", "score": 4.0, **columns}


def turns(*messages: tuple[str, Any]) -> Stored:
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(rows: Iterable[Stored], name: str = "rows.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
        return str(path)

    return write


def read(source: str, seed: int = 1, **settings: Any) -> Prepared:
    return prepare(DataSection(source=source, **settings), seed)


def questions(prepared: Prepared) -> list[str]:
    return [each["messages"][0]["content"] for each in prepared.train]


# Forms

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Name a fruit"},
    {"role": "assistant", "content": "Plum"},
]
SHAREGPT = {
    "conversations": [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Name a fruit"},
        {"from": "gpt", "value": " Plum\n"},
    ]
}


@pytest.mark.parametrize("form", ["auto", "sharegpt"])
def test_sharegpt_roles_become_those_of_chat_templates(write: Write, form: str) -> None:
    """A role called human or gpt would be unknown to every template. White space around a text is not learned."""
    prepared = read(write([SHAREGPT]), form=form)
    assert prepared.train["messages"][0] == CHAT
    assert prepared.held_out is None


@pytest.mark.parametrize("form", ["auto", "messages"])
def test_messages_are_read(write: Write, form: str) -> None:
    assert read(write([{"messages": CHAT}]), form=form).train["messages"][0] == CHAT


@pytest.mark.parametrize("form", ["auto", "alpaca"])
def test_alpaca_appends_the_input_to_the_instruction(write: Write, form: str) -> None:
    stored = [
        {"instruction": "Translate.", "input": "Baum", "output": "Tree"},
        {"instruction": "Name a fruit.", "input": "", "output": "Plum"},
        {"instruction": "Name a tree.", "output": "Oak"},
    ]
    prepared = read(write(stored), form=form)
    assert questions(prepared) == ["Translate.\n\nBaum", "Name a fruit.", "Name a tree."]
    assert prepared.train["messages"][0][1] == {"role": "assistant", "content": "Tree"}


def test_jsonl_json_and_parquet_hold_the_same(write: Write, tmp_path: Path) -> None:
    import datasets

    stored = [row(f"Question {i}?", f"Answer {i}.") for i in range(5)]
    jsonl = write(stored)
    (tmp_path / "rows.json").write_text(json.dumps(stored))
    before = set(tmp_path.iterdir())
    datasets.Dataset.from_list(stored).to_parquet(tmp_path / "rows.parquet")
    cards = [read(str(tmp_path / f"rows.{ending}")).card for ending in ("jsonl", "json", "parquet")]
    assert len({card.sha256 for card in cards}) == 1
    assert [card.name for card in cards] == ["rows.jsonl", "rows.json", "rows.parquet"]
    assert set(tmp_path.iterdir()) - before == {tmp_path / "rows.parquet"}

    write([*stored, row("One more?", "Yes.")])
    assert read(jsonl).card.rows == 6, "a changed file is read anew"


# Rows that cannot be used

UNUSABLE = {
    "unknown role tool": turns(("user", "a"), ("tool", "b"), ("assistant", "c")),
    "turns in the wrong order": turns(("user", "a"), ("user", "b"), ("assistant", "c")),
    "no answer to the last question": turns(("user", "a"), ("assistant", "b"), ("user", "c")),
    "no answer": turns(("system", "a"), ("user", "b")),
    "empty answer": turns(("user", "a"), ("assistant", " \n")),
    "empty question": turns(("user", ""), ("assistant", "b")),
    "empty system prompt": turns(("system", ""), ("user", "a"), ("assistant", "b")),
    "a turn that is not text": turns(("user", "a"), ("assistant", 7)),
    "a turn without role and content": {"messages": [{"from": "human", "value": "a"}]},
    "text that is not valid Unicode": turns(("user", "\ud83d"), ("assistant", "b")),
    "no list of turns": {"messages": "a"},
    "no messages": {"source": "b"},
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_an_unusable_row_is_counted_by_its_reason_and_left_out(write: Write, reason: str) -> None:
    prepared = read(write([UNUSABLE[reason], turns(("user", "good"), ("assistant", "yes")), UNUSABLE[reason]]))
    assert prepared.card.rows == 3
    assert prepared.card.unusable == {reason: 2}
    assert questions(prepared) == ["good"]


def test_a_system_prompt_belongs_at_the_start(write: Write) -> None:
    late = turns(("user", "a"), ("assistant", "b"), ("system", "c"), ("assistant", "d"))
    with pytest.raises(DataError, match=r"no usable row as messages data \(1 × turns in the wrong order\)"):
        read(write([late]))


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b'{"messages": []}\n\n{"messages": [}\n', "a.jsonl", r"Line 3 of .*a\.jsonl is not valid JSON: "),
        (b'{"messages": []}\n[1]\n', "a.jsonl", r"Line 2 of .*a\.jsonl is not a JSON object"),
        (b'{"messages": []}\n{"x": "\xff"}\n', "a.jsonl", r"Line 2 of .*a\.jsonl is not UTF-8"),
        (b'[\n{"messages": []},\n{]', "a.json", r"a\.json is not valid JSON at line 3: "),
        (b'{"a": 1}\n{"a": 2}\n', "a.json", r"a\.json is not valid JSON at line 2: .*name end in \.jsonl"),
        (b'{"data": []}', "a.json", r"a\.json is not a list of rows"),
        (b"PAR1 no", "a.parquet", r"a\.parquet is not a Parquet file that can be read"),
        (b"\n", "a.jsonl", r"a\.jsonl holds no rows"),
        (b"", "a.csv", r"a\.csv is not a data file: name one that ends in \.jsonl, \.json, \.parquet"),
    ],
)
def test_a_broken_file_is_told_with_the_place(tmp_path: Path, content: bytes, name: str, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read(str(tmp_path / name))


@pytest.mark.parametrize(
    ("stored", "form", "sentence"),
    [
        ({"text": "a", "score": 1}, "auto", r"has the columns text, score, which fit no known form \(sharegpt: conv"),
        ({"messages": CHAT}, "sharegpt", r"has the columns messages, but the form sharegpt needs conversations"),
        ({"messages": CHAT, **row("a", "b")}, "auto", r"fit the forms sharegpt and messages: say in data\.form which"),
        (row("a", "b", score=None), "alpaca", r"conversations, source, score, but the form alpaca needs instruction"),
    ],
)
def test_columns_that_do_not_fit_are_named(write: Write, stored: Stored, form: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read(write([stored]), form=form)


# Filters


def test_filters_apply_in_order_and_tell_what_they_left(write: Write) -> None:
    stored = [
        row("too poor", "one two three", score=3.5),
        row("no score", "one two three", score=None),
        row("elsewhere", "one two three", source="web"),
        row("too short", "one"),
        row("too long", "one two three four five"),
        row("good", "one two three", score=4),
        row(" GOOD", "One  two\nthree", score=5),
        row("good too", "one two", source="arena/advice", score=4.5),
    ]
    prepared = read(
        write(stored), min_score=4, sources=("arena/list", "arena/advice"), min_answer_words=2, max_answer_words=4
    )
    assert prepared.card.filters == (
        FilterStep("score at least 4", 6),
        FilterStep("source arena/list or arena/advice", 5),
        FilterStep("answers of at least 2 words", 4),
        FilterStep("answers of at most 4 words", 3),
        FilterStep("no exact duplicates", 2),
    )
    assert questions(prepared) == ["good", "good too"]
    assert prepared.card.sources == {"arena/list": 1, "arena/advice": 1}


def test_every_answer_of_a_conversation_must_have_the_length(write: Write) -> None:
    stored = turns(("user", "a"), ("assistant", "one"), ("user", "b"), ("assistant", "one two three"))
    source = write([stored, turns(("user", "c"), ("assistant", "one two"))])
    assert questions(read(source, min_answer_words=2)) == ["c"]
    assert questions(read(source, max_answer_words=2)) == ["c"]


LONG = (
    "Bread rises because yeast eats the sugar in the dough and gives off a gas. The gas cannot get out, since the "
    "dough is elastic, and so it makes bubbles that grow in the warmth of the kitchen until the oven sets them."
)


def test_duplicates_are_dropped_as_far_as_asked(write: Write) -> None:
    """A word changed in a longer text makes a near duplicate; the same words about something else do not."""
    stored = [
        row("Why does bread rise?", LONG),
        row("why does bread  rise?", LONG.upper()),
        row("Why does bread rise?", LONG.replace("kitchen", "room")),
        row("Why does bread rise?", "It is the yeast."),
        row("How does a kettle know that the water is boiling?", "Steam bends a strip of two metals in its handle."),
    ]
    source = write(stored)
    left = {kind: read(source, duplicates=kind).card for kind in ("keep", "drop exact", "drop near")}
    assert {kind: card.train_rows for kind, card in left.items()} == {"keep": 5, "drop exact": 4, "drop near": 3}
    assert left["drop near"].examples[0][1]["content"] == LONG, "the first of them stays"
    assert left["drop near"].filters[-1] == FilterStep("no near duplicates", 3)


def test_near_duplicates_are_those_that_comparing_every_pair_finds(write: Write) -> None:
    """All pairs compared by word triples, without hashing, for texts with ever more changes."""
    stored = []
    for base in range(40):
        words = [f"w{base}x{i}" for i in range(60)]
        for changes in (0, 1, 2, 3, 6, 9):
            stored.append(
                row("q", " ".join(["other" if i < changes * 6 and i % 6 == 3 else w for i, w in enumerate(words)]))
            )
    kept: list[set[tuple[str, ...]]] = []
    for each in stored:
        words = ["q", *each["conversations"][1]["value"].split()]
        triples = {tuple(words[i : i + 3]) for i in range(len(words) - 2)}
        if all(len(triples & other) / len(triples | other) < 0.7 for other in kept):
            kept.append(triples)
    assert 40 < len(kept) < len(stored)
    assert read(write(stored), duplicates="drop near").card.train_rows == len(kept)


def test_a_sample_is_drawn_by_the_seed(write: Write) -> None:
    source = write(row(f"Question {i}?", "Yes.") for i in range(100))
    first, again, other = (read(source, seed, sample=10) for seed in (1, 1, 2))
    assert first.card.train_rows == 10
    assert questions(first) == questions(again) != questions(other)
    assert first.card.sha256 == again.card.sha256 != other.card.sha256
    assert first.card.filters[-1] == FilterStep("sample of 10 (seed 1)", 10)
    assert questions(first) == sorted(questions(first), key=lambda text: int(text[9:-1])), "in the order of the file"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"min_score": 4.5}, r"Nothing of rows\.jsonl is left to train on: 'score at least 4\.5' took the last 3 rows"),
        ({"max_answer_words": 1}, r"'answers of at most 1 words' took the last 3 rows"),
        ({"held_out_rows": 3}, r"'3 rows held out \(seed 1\)' took the last 3 rows"),
        (
            {"sources": ("arena/lists",)},
            r"data\.sources names arena/lists, but rows\.jsonl has only rows from arena/list",
        ),
    ],
)
def test_settings_that_leave_nothing_are_told(write: Write, settings: dict[str, Any], sentence: str) -> None:
    source = write(row(f"Question {i}?", "Yes it is.") for i in range(3))
    with pytest.raises(DataError, match=sentence):
        read(source, **settings)


@pytest.mark.parametrize(("settings", "column"), [({"min_score": 4}, "score"), ({"sources": ("a",)}, "source")])
def test_a_filter_needs_its_column(write: Write, settings: dict[str, Any], column: str) -> None:
    with pytest.raises(DataError, match=rf"needs a column {column}, but rows\.jsonl has the columns messages\."):
        read(write([{"messages": CHAT}]), **settings)


# Held out


def test_held_out_rows_of_their_own_are_never_trained_on(write: Write) -> None:
    """They are not filtered; a row that differs in case and white space only is the same row."""
    held_out = write([row("Held out?", "Yes.", score=1.0), row("Alone?", "Yes.")], "held.jsonl")
    source = write([row("held OUT?", " Yes. "), *(row(f"Question {i}?", "Yes.") for i in range(3))])
    prepared = read(source, held_out=held_out, min_score=4)
    assert prepared.held_out is not None
    assert [each["messages"][0]["content"] for each in prepared.held_out] == ["Held out?", "Alone?"]
    assert questions(prepared) == ["Question 0?", "Question 1?", "Question 2?"]
    assert prepared.card.held_out_rows == 2
    assert prepared.card.filters[-1] == FilterStep("no row equal to a held-out one", 3)


def test_held_out_rows_are_split_off_by_the_seed(write: Write) -> None:
    """Also when duplicates are kept, no row is on both sides."""
    source = write([row(f"Question {i % 20}?", "Yes.") for i in range(40)])
    first, again, other = (read(source, seed, held_out_rows=5, duplicates="keep") for seed in (1, 1, 2))
    assert first.held_out is not None and again.held_out is not None and other.held_out is not None
    assert first.held_out["messages"] == again.held_out["messages"] != other.held_out["messages"]
    assert first.card.sha256 == again.card.sha256
    assert len(first.held_out) == first.card.held_out_rows == 5
    assert not {each["messages"][0]["content"] for each in first.held_out} & set(questions(first))
    assert [step.name for step in first.card.filters] == ["5 rows held out (seed 1)", "no row equal to a held-out one"]
    assert first.card.filters[0].rows_left == 35 > first.card.train_rows == len(first.train)


def test_a_held_out_row_that_cannot_be_used_is_refused(write: Write) -> None:
    """Else the loss would be that of other rows than the file's."""
    held_out = write([row("a", "b"), row("a", "")], "held.jsonl")
    with pytest.raises(DataError, match=r"held-out rows in held\.jsonl cannot all be used \(1 × empty answer\)"):
        read(write([row("c", "d")]), held_out=held_out)


# The card


def test_the_card_says_what_was_trained_on(write: Write, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Rows\n")
    stored = [row(f"Question {i}?", "word " * words) for i, words in enumerate((1, 9, 10, 25, 490, 5000))]
    card = read(write(stored)).card
    assert (card.name, card.rows, card.train_rows, card.held_out_rows) == ("rows.jsonl", 6, 6, 0)
    assert card.answer_words == (2, 1, 1, *[0] * 46, 2), "bins of ten words, fifty of them, the last one open"
    assert len(card.examples) == 3
    assert card.examples[0] == (
        {"role": "user", "content": "Question 0?"},
        {"role": "assistant", "content": "word"},
    )
    assert card.truncated is None
    assert card.license == "apache-2.0"
    assert card.sources == {"arena/list": 6}


def test_the_hash_is_that_of_the_conversations(write: Write) -> None:
    """Of canonical JSON, so that anyone can compute it again from the rows."""
    text = '[{"content":"é?","role":"user"},{"content":"Yes.","role":"assistant"}]\n'
    assert read(write([row("é?", "Yes.")])).card.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_the_card_is_stored_with_the_run(write: Write) -> None:
    """Everything in it can be written as JSON."""
    from pydantic import TypeAdapter

    from training.runlog import DataCard

    card = read(write([row("a?", "b"), row("", "c")]), held_out_rows=0).card
    form = TypeAdapter(DataCard)
    assert form.validate_json(form.dump_json(card)) == card


# Where data comes from


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    import datasets  # noqa: F401  # the stand-in changes where it looks

    with HubServer() as server:
        server.use(monkeypatch, tmp_path / "hf")
        yield server


def test_rows_come_from_the_hub(hub: HubServer) -> None:
    """Split and revision are the recipe's; the license is the card's."""
    lines = {name: (json.dumps(row(f"From {name}?", "Yes.")) + "\n").encode() for name in ("train", "test")}
    files = {f"{name}.jsonl": line for name, line in lines.items()}
    talk = hub.add("maker/talk", {**files, "README.md": b"---\nlicense: mit\n---\n"}, "dataset")
    first = talk.commits[0].sha
    talk.commit({"train.jsonl": lines["train"] * 2}, "twice")

    prepared = read("maker/talk", revision=first, held_out=None)
    assert questions(prepared) == ["From train?"]
    assert (prepared.card.name, prepared.card.rows, prepared.card.license) == ("maker/talk", 1, "mit")
    assert questions(read("maker/talk", split="test")) == ["From test?"]
    with pytest.raises(DataError, match=r"The data set maker/talk \(split dev\) cannot be read: Unknown split"):
        read("maker/talk", split="dev")


def test_data_is_asked_for_once(hub: HubServer) -> None:
    """Reading it does not repeat the look beforehand, and a commit is a commit for the rows and for their license."""
    hub.add("maker/talk", {"train.jsonl": json.dumps(row("a", "b")).encode()}, "dataset")
    section = DataSection(source="maker/talk")
    check_source(section)
    looks = len(hub.requests)
    hub.requests.clear()
    prepare(section, 1)
    info = "/api/datasets/maker/talk"
    assert looks == 1
    assert [request.path.partition("?")[0] for request in hub.requests].count(info) == 1


def test_data_that_is_not_there_is_told_before_anything_is_read(hub: HubServer, write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no data file .*nothing\.jsonl"):
        check_source(DataSection(source=str(tmp_path / "nothing.jsonl")))
    with pytest.raises(DataError, match=r"The hub knows no data set maker/nothing"):
        check_source(DataSection(source="maker/nothing"))
    with pytest.raises(DataError, match=r"The hub knows no data set maker/nothing: .* in data\.held_out;"):
        check_source(DataSection(source=write([]), held_out="maker/nothing"))


def test_held_out_rows_of_the_hub_are_those_of_the_same_split(hub: HubServer) -> None:
    files = {f"{name}.jsonl": json.dumps(row(f"From {name}?", "Yes.")).encode() for name in ("train", "test")}
    hub.add("maker/talk", {"test.jsonl": json.dumps(row("a", "b")).encode()}, "dataset")
    hub.add("maker/held", files, "dataset")
    held_out = read("maker/talk", split="test", held_out="maker/held").held_out
    assert held_out is not None
    assert held_out["messages"][0][0]["content"] == "From test?"


def test_an_id_of_the_hub_is_no_file_here(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe is resolved once, from its own folder; what lies in the current one does not matter any more."""
    hub.add("maker/talk.v2", {"train.jsonl": json.dumps(row("On the hub?", "Yes.")).encode()}, "dataset")
    (tmp_path / "maker").mkdir()
    (tmp_path / "maker" / "talk.v2").touch()
    monkeypatch.chdir(tmp_path)
    assert questions(read("maker/talk.v2")) == ["On the hub?"]


def test_our_own_conversations_are_all_usable() -> None:
    """The demo recipes train on them: none is lost to a filter, and none is in both files."""
    recipe = read_recipe(PROJECT_ROOT / "training/recipes/smollm2-r16.toml")
    card = prepare(recipe.data, recipe.training.seed).card
    assert (card.train_rows, card.held_out_rows, card.unusable, card.license) == (385, 60, {}, "apache-2.0")
    assert len(card.sources) == 9
