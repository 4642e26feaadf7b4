"""The model card: what a run recorded, as others read it, and nothing else."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.finished_run import make_run
from training.model_card import loss_chart, model_card
from training.runlog import Base, Log, LogEntry, Run, read_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return read_run(make_run(tmp_path))


LOG = Log(
    (
        LogEntry(step=0, kind="eval", loss=2.6),
        *(LogEntry(step=step, kind="train", loss=3 - step / 4, tokens=step * 1000) for step in (1, 2, 3, 4)),
        LogEntry(step=4, kind="eval", loss=2.1, elapsed_s=180.0),
    )
)


def front_matter(card: str) -> dict[str, object]:
    matter: dict[str, object] = yaml.safe_load(card.split("---\n")[1])
    return matter


def code(card: str, language: str) -> str:
    return card.split(f"```{language}\n")[1].split("```")[0]


def test_the_hub_reads_base_data_and_license_from_the_front_matter(run: Run) -> None:
    """By these fields the hub links an adapter to its base and lists it among GGUF files."""
    assert front_matter(model_card(run, LOG)) == {
        "base_model": "maker/Tiny-1B",
        "datasets": ["maker/talk"],
        "library_name": "peft",
        "license": "llama3.2",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "gguf"],
    }


def test_files_of_ones_own_are_no_repositories_of_the_hub(run: Run) -> None:
    assert run.data is not None
    base = Base("tiny.Q4_1.gguf", "gguf", sha256="ef" * 32, license="My: own #1")
    card = model_card(replace(run, base=base, data=replace(run.data, name="rows.jsonl")), LOG)
    matter = front_matter(card)
    assert "base_model" not in matter
    assert "datasets" not in matter
    assert (matter["license"], matter["license_name"]) == ("other", "My: own #1")
    assert "ef" * 32 in card


@pytest.mark.parametrize(
    ("base", "loads", "runs"),
    [
        (Base("maker/Tiny-1B", "hub", revision="c0ffee"), '"maker/Tiny-1B", revision="c0ffee"', "base.gguf"),
        (Base("it's.gguf", "gguf"), '".", gguf_file="it\'s.gguf"', "it's.gguf"),
        (Base('my "tiny"', "folder"), '"my \\"tiny\\""', "base.gguf"),
    ],
)
def test_the_examples_name_the_base_and_the_adapter(run: Run, base: Base, loads: str, runs: str) -> None:
    card = model_card(replace(run, base=base), LOG, "ada/demo")
    python, shell = code(card, "python"), code(card, "sh").splitlines()
    compile(python, "card", "exec")
    assert f"AutoModelForCausalLM.from_pretrained({loads})" in python
    assert 'PeftModel.from_pretrained(base, "ada/demo")' in python
    assert 'AutoTokenizer.from_pretrained("ada/demo")' in python, "a GGUF's own would make other tokens"
    assert shlex.split(shell[0])[:4] == ["hf", "download", "ada/demo", "adapter.gguf"]
    assert shlex.split(shell[1]) == ["llama-cli", "-m", runs, "--lora", "adapter.gguf"]


def test_the_counts_of_the_data_and_their_reasons_are_told(run: Run) -> None:
    card = model_card(run, LOG)
    for row in ("read | 1,400", "left out: no answer | −7", "left after: score at least 4 | 1,300", "held out | 60"):
        assert f"| {row} |" in card


def test_data_without_a_stated_license_is_said_to_have_none(run: Run) -> None:
    """Its rows may not be passed on, and a reader must know before using them."""
    assert run.data is not None
    assert "- Data: **no license is stated for it**" in model_card(run, LOG)
    assert "- Data: apache-2.0" in model_card(replace(run, data=replace(run.data, license="apache-2.0")), LOG)


def test_the_results_are_first_and_last_losses(run: Run) -> None:
    """Written down by hand from the log above."""
    card = model_card(run, LOG)
    assert "- 4 steps, 4,000 tokens" in card
    assert "- Training loss: 2.7500 (step 1) to 2.0000 (step 4)" in card
    assert "- Held-out loss on 60 conversations: 2.6000 (step 0) to 2.1000 (step 4)" in card
    assert "| training took | 3.0 minutes |" in card


def test_texts_of_people_stay_texts(run: Run) -> None:
    """A name is no HTML, a bar no new column, a line break no new paragraph, and a path tells no folder."""
    card = model_card(replace(run, notes="see\n# [me](javascript:x) in /home/ada/lab/run.log, https://a.org/b/c"), LOG)
    body = card.split("---\n", 2)[2]
    assert "# Demo \\<b\\>\\*run\\*\\</b\\>" in body
    assert "short \\| answers" in body
    assert "see \\# \\[me\\](javascript:x) in run.log, https://a.org/b/c" in body
    assert not re.search(r"^# \[", body, re.MULTILINE)


def test_no_path_of_the_machine_is_in_the_card(run: Run, tmp_path: Path) -> None:
    assert str(tmp_path) in str(run.recipe)
    card = model_card(run, LOG)
    assert str(tmp_path) not in card
    assert "| data.source | my rows.jsonl |" in card


def test_what_was_not_recorded_is_said_or_left_out() -> None:
    """Nothing is made up for a run of which only the name is known."""
    card = model_card(Run(id="old", name="old", status="finished", origin="imported"), Log(()))
    assert front_matter(card)["tags"] == ["lora"]
    for sentence in ("not recorded", "No loss was logged", "its license was not recorded"):
        assert sentence in card
    for absent in ("None", "```", "loss.svg", "training took", "machine"):
        assert absent not in card


def test_the_chart_holds_every_logged_loss_and_asks_nobody() -> None:
    """A picture that stands alone: a mark for each finite loss, and no address to fetch anything from."""
    broken = LogEntry(step=5, kind="train", loss=float("nan"))
    svg = loss_chart(Log((*LOG.entries, broken)))
    assert svg is not None
    marks = [mark for mark in ElementTree.fromstring(svg).iter() if mark.get("aria-roledescription") == "point"]
    assert len(marks) == 4 + 2
    assert "Step: 4; Loss, nats per token: 2; of: training" in {mark.get("aria-label") for mark in marks}
    assert set(re.findall(r"https?://[^\"\s]+", svg)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_without_losses_there_is_no_chart() -> None:
    assert loss_chart(Log(())) is None
