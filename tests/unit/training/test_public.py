"""What of a run may leave this machine: names of files, but no folder and no person."""

import tomllib

import pytest

from training.public import public_recipe, without_paths


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/home/ada/lab/m.gguf", "m.gguf"),
        ("~/m.gguf", "m.gguf"),
        ("~/my data/my rows.jsonl", "my rows.jsonl"),
        ("~ada/rows.jsonl", "rows.jsonl"),
        ("./private/rows.jsonl", "rows.jsonl"),
        ("../rows.jsonl", "rows.jsonl"),
        ("/home/ada smith/models/Tiny/", "Tiny"),
        ("/home/ada smith", "~"),
        ("Read from /home/ada smith/lab/x.", "Read from x."),
        ("Read from /home/ada/my lab/a b/x.gguf, later.", "Read from x.gguf, later."),
        ("Read from ~/m.gguf or ~/my data/rows.jsonl", "Read from m.gguf or rows.jsonl"),
        ("Of /home/ada, in './it's mine/x', (/Users/eve/y)", "Of ~ in 'x', (y)"),
        ("/home/ada/x and /home/eve/y", "y"),
    ],
)
def test_a_path_is_cut_to_its_last_name(text: str, public: str) -> None:
    """However it begins, with blanks in it, alone or within a sentence."""
    assert without_paths(text) == public
    assert without_paths({text: [text]}) == {public: [public]}


@pytest.mark.parametrize(
    "text",
    [
        "maker/Tiny-1B", "https://a.org/b/c", "loss/step and/or 1/2", "~60 rows", "q_proj", "see a.org/b ...", "",
        "model\\.layers\\.[0-9]+", "embedded",
    ],
)  # fmt: skip
def test_what_is_no_path_stays(text: str) -> None:
    assert without_paths(text) == text


def test_a_public_recipe_names_files_alone() -> None:
    """Those in the home folder and in the project's, as run.json has them."""
    recipe = {
        "name": "mine",
        "base": {"model": "~/m.gguf"},
        "data": {"source": "~/my data/a.jsonl", "held_out": "./b/c"},
    }
    assert tomllib.loads(public_recipe(recipe).decode()) == {
        "name": "mine",
        "base": {"model": "m.gguf"},
        "data": {"source": "a.jsonl", "held_out": "c"},
    }
