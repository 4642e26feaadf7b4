"""Prompt sets: what comes along is sound and unseen in training, and a user's file is read or refused line by line."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaluation.prompt_sets import PromptSet, PromptSetError, known_sets, load_prompt_set, parse_prompt_set
from evaluation.records import Message
from evaluation.settings import PROJECT_ROOT

SKY = "Why is the sky blue?"
GRAM_WORDS = 5


def lines(*entries: object) -> bytes:
    """JSONL: strings as they are, anything else as JSON."""
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in entries).encode()


def of(*entries: object) -> PromptSet:
    return parse_prompt_set("mine.jsonl", lines(*entries), jsonl=True)


def asked(prompt_set: PromptSet) -> dict[str, list[tuple[str, str]]]:
    """Id → (role, content) of its messages."""
    return {each.id: [(turn.role, turn.content) for turn in each.messages] for each in prompt_set.prompts}


def refusal(content: bytes, jsonl: bool = True) -> str:
    with pytest.raises(PromptSetError) as caught:
        parse_prompt_set("mine", content, jsonl)
    return str(caught.value)


class TestSetsThatComeAlong:
    def test_study_asks_what_was_published(self) -> None:
        """The three questions to the letter, so that their answers stand beside the published ones."""
        prompts = load_prompt_set("study").prompts
        assert [each.messages for each in prompts] == [
            (Message("user", text),)
            for text in ("Explain the Pythagorean theorem.", SKY, "What is the meaning of life?")
        ]
        assert [each.id for each in prompts] == ["pythagoras", "sky", "meaning"]
        assert all(each.reference for each in prompts)

    def test_everyday_is_forty_in_seven_kinds(self) -> None:
        """Each with an id that begins with its kind, a short reference answer, and long input that is long."""
        everyday = load_prompt_set("everyday")
        kinds = {"explanation": 6, "reasoning": 6, "arithmetic": 6, "rewriting": 6, "extraction": 6}
        assert Counter(each.kind for each in everyday.prompts) == kinds | {"advice": 5, "long input": 5}
        assert everyday.warnings == ()
        for each in everyday.prompts:
            assert each.kind is not None and each.id.startswith(each.kind.split()[0] + "-")
            assert each.reference is not None and 20 <= len(each.reference.split()) <= 120, each.id
            assert (len(each.messages[0].content.split()) > 250) == (each.kind == "long input"), each.id

    def test_nothing_of_them_is_in_the_training_data(self) -> None:
        """A text and the whole training data share at most a stock phrase: under 5% of the text's runs of five words,
        for otherwise its answer loss would measure memory. A training row itself shares all of them."""
        turns = [turn["value"] for row in training_rows() for turn in row["conversations"]]
        seen = set().union(*map(grams, turns))
        assert len(turns) > 800 and shared(turns[0], seen) == 1
        for prompt_set in map(load_prompt_set, known_sets()):
            for each in prompt_set.prompts:
                for text in (*(turn.content for turn in each.messages), each.reference or ""):
                    assert shared(text, seen) < 0.05, each.id

    def test_results_of_the_arithmetic(self) -> None:
        """Every equation in a reference answer to an arithmetic prompt holds, and each has one but the clock times."""
        for each in load_prompt_set("everyday").prompts:
            if each.kind == "arithmetic" and each.id != "arithmetic-timesheet":
                found = equations(each.reference or "")
                assert found and all(abs(value - sides[0]) < 1e-3 for sides in found for value in sides), each.id


def training_rows() -> list[dict[str, Any]]:
    folder = PROJECT_ROOT / "training" / "data"
    return [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text("utf-8").splitlines()]


def grams(text: str) -> set[tuple[str, ...]]:
    """Every five words in a row, without case and punctuation; of a shorter text its words."""
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[i : i + GRAM_WORDS]) for i in range(max(1, len(words) - GRAM_WORDS + 1))}


def shared(text: str, seen: set[tuple[str, ...]]) -> float:
    """Share of the text's runs of words that are in ``seen``."""
    own = grams(text)
    return len(own & seen) / len(own)


def equations(text: str) -> list[list[float]]:
    """The values of the sides of each equation in the text: 3 × 4 = 24 ÷ 2 gives [12, 12]."""
    number = r"\d+(?:\.\d+)?"
    plain = re.sub(r"(?<=\d) (?:kg|litres|tiles)\b", "", text).translate(str.maketrans("×÷−≈", "*/-="))
    found = re.findall(rf"{number}(?: ?[-+*/=] ?{number})+", plain)
    return [[eval(side) for side in each.split("=")] for each in found if "=" in each]


class TestReading:
    def test_every_key_of_a_jsonl_file(self) -> None:
        """A system prompt comes first, earlier turns are kept, and what has no id is named by its line."""
        turns = [("user", "Hi"), ("assistant", "Hello!"), ("user", "And now?")]
        prompt_set = of(
            {"id": "sky", "kind": "explanation", "system": "Be brief.", "prompt": SKY, "reference": "It scatters."},
            "",
            {"messages": [{"role": role, "content": content} for role, content in turns], "kind": None},
        )
        assert asked(prompt_set) == {"sky": [("system", "Be brief."), ("user", SKY)], "line-3": turns}
        assert [(each.kind, each.reference) for each in prompt_set.prompts] == [
            ("explanation", "It scatters."),
            (None, None),
        ]

    def test_text_file(self) -> None:
        """One prompt a line, also when it looks like JSON, has Windows line ends and a byte order mark."""
        content = "\ufeffWhy is\u2028the sky blue?\r\n\r\n  [1] Grüße?  \r\n".encode()
        prompt_set = parse_prompt_set("mine.txt", content, jsonl=False)
        assert asked(prompt_set) == {
            "line-1": [("user", "Why is\u2028the sky blue?")],
            "line-3": [("user", "[1] Grüße?")],
        }

    def test_json_of_other_programs(self) -> None:
        """Windows line ends with a byte order mark, and a file that is one list over several lines."""
        windows = b"\xef\xbb\xbf" + lines({"prompt": "a"}, {"prompt": "b"}).replace(b"\n", b"\r\n")
        assert list(asked(parse_prompt_set("w", windows, jsonl=True))) == ["line-1", "line-2"]
        listed = json.dumps([{"prompt": "a"}, {"prompt": "b"}], indent=2).encode()
        assert list(asked(parse_prompt_set("l", listed, jsonl=True))) == ["item-1", "item-2"]

    def test_a_prompt_twice_is_asked_once(self) -> None:
        """With a warning that names both lines; the same words under another system prompt are another prompt."""
        prompt_set = of(
            {"prompt": SKY, "reference": "a"},
            {"messages": [{"role": "user", "content": SKY}], "reference": "a"},
            {"prompt": SKY, "system": "Be brief."},
            {"id": "again", "prompt": SKY, "reference": "b"},
        )
        assert list(asked(prompt_set)) == ["line-1", "line-3"]
        assert prompt_set.warnings == (
            "line 2 asks the same as line 1 and is left out.",
            "line 4 asks the same as line 1 with another reference and is left out.",
        )

    def test_hash_is_of_the_prompts(self) -> None:
        """The same prompts written differently under another name have the same one, a changed reference another."""
        first = of({"id": "a", "prompt": "Grüße?", "reference": "b"})
        same = parse_prompt_set("other", '\n{"reference":"b","id":"a", "prompt":"Grüße?"}'.encode(), jsonl=True)
        assert first.sha256 == same.sha256 != of({"id": "a", "prompt": "Grüße?", "reference": "c"}).sha256

    def test_by_path(self, tmp_path: Path) -> None:
        """The ending says whether it is JSON. The file's whole name is kept: it may be called like a set of ours."""
        (tmp_path / "study.JSONL").write_bytes(lines({"prompt": "a"}))
        (tmp_path / "notes.md").write_text('{"prompt": "a"}\n')
        assert load_prompt_set(str(tmp_path / "study.JSONL")).name == "study.JSONL"
        assert asked(load_prompt_set(str(tmp_path / "study.JSONL"))) == {"line-1": [("user", "a")]}
        assert asked(load_prompt_set(str(tmp_path / "notes.md"))) == {"line-1": [("user", '{"prompt": "a"}')]}


class TestRefusal:
    @pytest.mark.parametrize(
        ("entry", "says"),
        [
            ('{"prompt": "a"', ["not JSON", "column"]),
            ("[" * 100_000, ["not JSON"]),
            ("9" * 5000, ["not JSON"]),
            (["a"], ["a list and not an object"]),
            ({"promt": "a"}, ['no key "promt"', "Did you mean prompt?", "neither a prompt nor messages"]),
            ({"prompt": "a", "zzz": 1}, ['no key "zzz"', "Known are prompt"]),
            ({"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, ["both a prompt and messages"]),
            ({"prompt": None}, ["neither a prompt nor messages"]),
            ({"prompt": ["a"], "id": 7}, ["prompt is a list and not text", "id is a number and not text"]),
            ({"prompt": " \n"}, ["prompt is empty"]),
            ({"prompt": "a", "reference": ""}, ["reference is empty"]),
            ('{"prompt": "\\ud800"}', ["half a character"]),
            ({"messages": "a"}, ["messages is text"]),
            ({"messages": []}, ["messages is empty"]),
            ({"messages": ["a"]}, ["message 1 is text and not an object"]),
            ({"messages": [{"role": "human", "content": "a"}]}, ['the role of message 1 is "human"']),
            ({"messages": [{"content": "a"}]}, ["the role of message 1 is missing"]),
            ({"messages": [{"role": "user", "text": "a"}]}, ['no key "text"', "content of message 1 is missing"]),
            ({"messages": [{"role": "assistant", "content": "a"}]}, ["last message is the assistant's"]),
            (
                {"system": "a", "messages": [{"role": "system", "content": "b"}, {"role": "user", "content": "c"}]},
                ["message 1 is a second or late system prompt"],
            ),
        ],
    )
    def test_a_line_at_fault(self, entry: object, says: list[str]) -> None:
        """Named with all that is wrong with it, beside lines that are right."""
        message = refusal(lines({"prompt": "fine"}, entry, {"prompt": "fine too"}))
        assert message.startswith("mine cannot be used.\nline 2: ")
        assert all(each in message for each in says) and "line 1" not in message and "line 3" not in message

    def test_all_faults_at_once(self) -> None:
        """In the order of the lines, ids that are there twice among them; a long list is cut."""
        message = refusal(lines({"id": "a", "prompt": "x"}, "{", {"id": "a", "prompt": "y"}, {"prompt": 1}))
        assert [each.split(":")[0] for each in message.splitlines()[1:]] == ["line 2", "line 3", "line 4"]
        assert 'the id "a" belongs to line 1 already' in message
        assert refusal(lines(*["{"] * 5000)).splitlines()[-1] == "and 4,980 more."

    def test_faults_of_the_whole_file(self) -> None:
        """Not UTF-8, nothing in it, too large, too many: each in a sentence."""
        assert "line 2: this is not UTF-8" in refusal("sky\nGrüße".encode("latin-1"), jsonl=False)
        assert "line 1: this is not UTF-8" in refusal("sky".encode("utf-16"), jsonl=False)
        assert "holds no prompt" in refusal(b"")
        assert "holds no prompt" in refusal(b"\xef\xbb\xbf \r\n\n", jsonl=False)
        assert "holds no prompt" in refusal(b"[]")
        assert "larger than 10 MB" in refusal(b"a" * 10_000_001, jsonl=False)
        assert "holds 10,001 prompts" in refusal(b"a\n" * 10_001, jsonl=False)

    @pytest.mark.parametrize("name", ["everydy", "", "no/such/file.jsonl", ".", "a\0b", "x" * 5000, "~nobody-here/x"])
    def test_no_such_set(self, name: str) -> None:
        """The sets that there are, and the nearest; whatever is given as a name."""
        with pytest.raises(PromptSetError) as caught:
            load_prompt_set(name)
        assert ("everyday and study" in str(caught.value)) or "cannot be read" in str(caught.value)
        assert ("Did you mean everyday?" in str(caught.value)) == (name == "everydy")
