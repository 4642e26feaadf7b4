"""The image: what its Dockerfile says agrees with the rest of the project, and what it starts chooses its folders."""

import errno
import os
import re
from pathlib import Path

import pytest
import yaml

from scripts.image.build import BASES
from scripts.image.dockerfile import DockerfileError, Step, copied_from_context, read_dockerfile
from scripts.start_space import LOST, PORT, choose_folders, server_options

PROJECT_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return read_dockerfile(PROJECT_ROOT / "Dockerfile")


def test_pinned_facts_agree(steps: list[Step]) -> None:
    """Version of llama-cpp-python, port, Python and user are written down more than once."""
    card = yaml.safe_load((PROJECT_ROOT / "space" / "README.md").read_text(encoding="utf-8").split("---")[1])
    by_word = {step.word: step for step in steps}
    requirement = re.search(r"^llama-cpp-python==\S+", (PROJECT_ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert requirement and any(step.text.endswith(f" {requirement[0]}") for step in steps if step.word == "RUN")
    assert card["app_port"] == int(by_word["EXPOSE"].text) == PORT
    assert f":{PORT}/_stcore/health" in by_word["HEALTHCHECK"].text
    assert card["sdk"] == "docker" and card["hf_oauth"] is True
    assert len(card["short_description"]) <= 60, "the hub takes no longer one"
    assert any(step.word == "RUN" and "--uid 1000 user" in step.text for step in steps)
    assert by_word["USER"].text == "user"
    assert all(step.text.partition(" AS ")[0] in BASES for step in steps if step.word == "FROM")


def test_everything_that_is_copied_is_there_and_nothing_private(steps: list[Step]) -> None:
    copied = copied_from_context(steps)
    assert all((PROJECT_ROOT / source).exists() for source in copied)
    assert not {"results", "models", "tests", ".streamlit", "."} & set(copied), "they hold what an owner keeps at home"


def test_what_is_not_understood_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM a\n# note\nADD http://x /y\n")
    with pytest.raises(DockerfileError, match=r"Line 3 .* ADD"):
        read_dockerfile(path)
    path.write_text("FROM a\nRUN one && \\\n    two\nCOPY *.py /app/\n")
    steps = read_dockerfile(path)
    assert (steps[1].text, steps[1].line, steps[2].line) == ("one && two", 2, 4)
    with pytest.raises(DockerfileError, match="Line 4"):
        copied_from_context(steps)


def test_records_go_to_a_volume_that_can_be_written(tmp_path: Path) -> None:
    """Otherwise to the home, and the log says that they are lost, and why; what an owner has set is left alone."""
    home, volume = tmp_path / "home", tmp_path / "data"
    folders, sentence = choose_folders({"HOME": str(home)}, volume)
    assert folders == {"RESULTS_DIR": str(home / "results"), "MODELS_DIR": str(home / "models")}
    assert "lost at a restart" in sentence
    volume.mkdir()
    folders, sentence = choose_folders({"HOME": str(home), "MODELS_DIR": "/elsewhere"}, volume)
    assert folders == {"RESULTS_DIR": str(volume / "results"), "MODELS_DIR": "/elsewhere"}
    assert "on the volume" in sentence and "lost" not in sentence
    assert not list(volume.iterdir()), "the attempt leaves nothing"
    _, sentence = choose_folders({"HOME": str(home), "RESULTS_DATASET": "you/records"}, tmp_path / "none")
    assert "data set you/records" in sentence and "lost" not in sentence


def test_a_volume_that_cannot_be_written_is_not_used(tmp_path: Path) -> None:
    """As a storage bucket that belongs to root. Root itself may write there, so the folder stands on a read-only
    file system: /proc."""
    folders, sentence = choose_folders({"HOME": str(tmp_path)}, Path("/proc"))
    assert folders["RESULTS_DIR"] == str(tmp_path / "results")
    assert "The volume at /proc is not used" in sentence and "lost at a restart" in sentence


@pytest.mark.parametrize("refused", ["open", "fsync", "pread"])
def test_a_volume_that_takes_only_some_of_it_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """Records are written, forced to the disk and looked at through one open file. The attempt leaves nothing."""
    volume = tmp_path / "data"
    volume.mkdir()

    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "Not supported")

    monkeypatch.setattr(os, refused, refuse)
    folders, sentence = choose_folders({"HOME": str(tmp_path)}, volume)
    assert folders["RESULTS_DIR"] == str(tmp_path / "results")
    assert "(Not supported)" in sentence and LOST in sentence
    assert not list(volume.iterdir())


@pytest.mark.parametrize(("given", "megabytes"), [({}, "20"), ({"STREAMLIT_SERVER_MAX_UPLOAD_SIZE": "5"}, "5")])
def test_an_upload_is_small(given: dict[str, str], megabytes: str) -> None:
    """It is held in memory; who runs the image may say otherwise."""
    options = server_options(given)
    assert options[options.index("--server.maxUploadSize") + 1] == megabytes


def test_a_space_gets_what_its_frame_needs() -> None:
    """Uploads from another site's frame need such a cookie; at home, without https, it would break them. Browsers that
    refuse it there hinder nobody where all visitors are owners and none signs in."""
    assert "--server.xsrfCookieSameSite" not in server_options({})
    options = server_options({"SPACE_ID": "you/arena", "SPACE_HOST": "you-arena.hf.space"})
    assert options[options.index("--server.xsrfCookieSameSite") + 1] == "none"
    assert "--server.enableXsrfProtection" not in options
    private = server_options({"SPACE_ID": "you/arena", "PUBLIC": "0"})
    assert private[private.index("--server.enableXsrfProtection") + 1] == "false"
    assert options[options.index("--server.corsAllowedOrigins") + 1] == "https://you-arena.hf.space"
    assert options[options.index("--server.address") + 1] == "0.0.0.0"
