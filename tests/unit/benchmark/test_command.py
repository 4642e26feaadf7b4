"""The command line: what its words mean, and what it says to wrong ones."""

from pathlib import Path

import pytest

from evaluation.benchmark.__main__ import main
from evaluation.benchmark.choose import ChoiceError, choose_models
from evaluation.settings import PUBLISHED_DIR
from evaluation.sizes import duration
from tests.fake_engine import chat_model
from tests.finished_run import make_run
from tests.trainer import trained_by_another
from training.runlog import RunWriter

MODELS = [
    chat_model("SmolLM2 135M"),
    chat_model("SmolLM2 135M", "r16"),
    chat_model("SmolLM2 135M", "r32"),
    chat_model("Qwen 1.5B"),
]


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["all"], ["SmolLM2 135M", "SmolLM2 135M + r16", "SmolLM2 135M + r32", "Qwen 1.5B"]),
        (["smollm2 135m"], ["SmolLM2 135M"]),  # a whole name, though it is also a part of others
        (["R32", "qwen"], ["SmolLM2 135M + r32", "Qwen 1.5B"]),
        (["smollm2-135m-r16", "r16"], ["SmolLM2 135M + r16"]),  # by key; twice is once
    ],
)
def test_words_for_models(words: list[str], chosen: list[str]) -> None:
    """Upper and lower case are the same."""
    assert [model.name for model in choose_models(words, MODELS)] == chosen


def test_words_that_do_not_say_which_model() -> None:
    """Every such word gets a sentence with the names it may mean; ``base`` is clear where there is only one."""
    with pytest.raises(ChoiceError) as error:
        choose_models(["base", "llama", "135m +", "r16", ""], MODELS)
    base, llama, part, empty = str(error.value).splitlines()
    assert base.startswith("'base' may be any of several models") and base.endswith("SmolLM2 135M, Qwen 1.5B.")
    assert llama.startswith("No model is called 'llama'. There are: SmolLM2 135M, ")
    assert part.endswith("They are: SmolLM2 135M + r16, SmolLM2 135M + r32.") and "''" in empty
    assert [model.name for model in choose_models(["base"], MODELS[:3])] == ["SmolLM2 135M"]


def test_all_faults_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence each, exit status 2, and nothing is left behind."""
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": 5}\n')
    arguments = ["--models", "nobody", "--prompts", "study", str(broken), "nowhere.txt", "--repeats", "0"]
    assert main([*arguments, "--temperature", "9", "--max-tokens", "0", "--seed", "-1", "--again"]) == 2
    said = capsys.readouterr().err
    for word in ("nobody", "broken.jsonl", "nowhere.txt", "--repeats", "--temperature", "--max-tokens", "--seed"):
        assert word in said
    assert "--again goes with --resume" in said and not (tmp_path / "results").exists()
    assert main([]) == 2
    assert "--models" in (said := capsys.readouterr().err) and "everyday, study" in said
    assert main(["--resume", "x", "--models", "all", "--max-tokens", "4"]) == 2
    assert capsys.readouterr().err.startswith("--models, --max-tokens: not with --resume")
    assert main(["--resume", "x"]) == 1
    assert "There is no benchmark x" in capsys.readouterr().err


def test_nothing_is_measured_beside_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its times would be those of a busy machine. Nothing is begun."""
    writer = RunWriter.amend(make_run(tmp_path, name="seafarer"))
    writer.update(status="running")
    with trained_by_another(writer.folder):
        for arguments in (["--models", "SmolLM2 135M Instruct", "--prompts", "study"], ["--resume", "begun"]):
            assert main(arguments) == 1
            assert "seafarer is being trained on this machine" in capsys.readouterr().err
    writer.release()
    assert not (tmp_path / "results" / "benchmarks").exists()


def test_list(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows the words that can be used."""
    monkeypatch.setenv("PUBLISHED_DIR", str(PUBLISHED_DIR))
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    assert "SmolLM2 135M Instruct" in said and "everyday, study" in said
    assert "finished, 860 of 860 answers" in said, "the benchmark that comes along"


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.4, 89, 91, 3599, 6000)] == [
        "0 s",
        "89 s",
        "2 min",
        "1 h 0 min",
        "1 h 40 min",
    ]
