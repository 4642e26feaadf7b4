"""Reads the Dockerfile: the part of its language that ours is written in, and anything else is refused.

    steps = read_dockerfile(PROJECT_ROOT / "Dockerfile")
    copied_from_context(steps)          # ["requirements.txt", "dashboard", ...]

Known are FROM [AS], ENV, WORKDIR, COPY [--from], RUN as a shell command, USER, EXPOSE, HEALTHCHECK and CMD as a list.
"""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from string import Template

KNOWN = ("FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "CMD")


class DockerfileError(Exception):
    """The file says something this module does not understand; the message names the line."""


@dataclass(frozen=True)
class Step:
    """One instruction, its continued lines joined."""

    word: str
    """Its name in capitals, for example ``RUN``."""
    text: str
    """What follows the name."""
    line: int
    """Where it begins, counted from 1."""

    def copied(self) -> tuple[str | None, list[str], str]:
        """Of a COPY: the stage it copies from (``None``: from the context), the sources, and where they go."""
        words = shlex.split(self.text)
        stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
        if len(words) < 2 or any(word.startswith("--") or set(word) & set("*?[<") for word in words):
            raise DockerfileError(f"Line {self.line}: only COPY [--from=STAGE] SOURCE... TARGET is understood here.")
        *sources, target = words
        return stage, sources, target

    def variables(self, known: dict[str, str]) -> dict[str, str]:
        """Of an ENV: names and values, ``$NAME`` in a value replaced by one that is known."""
        pairs = [word.partition("=") for word in shlex.split(self.text)]
        return {name: Template(value).substitute(known) for name, _, value in pairs}

    def command(self) -> list[str]:
        """Of a CMD or HEALTHCHECK: program and arguments."""
        listed = re.search(r"\[.*\]$", self.text)
        if listed is None:
            raise DockerfileError(f'Line {self.line}: only the form ["program", "argument"] is understood here.')
        return [str(word) for word in json.loads(listed[0])]


def read_dockerfile(path: Path) -> list[Step]:
    """All steps in order. Raises ``DockerfileError`` at the first that is not understood."""
    steps, begun, words = [], 0, ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("#") or not (line.strip() or words):
            continue
        begun = begun or number
        words += line.strip().removesuffix("\\").rstrip() + " "
        if not line.rstrip().endswith("\\"):
            word, _, text = words.strip().partition(" ")
            if word not in KNOWN:
                raise DockerfileError(
                    f"Line {begun} of {path}: {word} is not understood here, only {', '.join(KNOWN)}."
                )
            steps.append(Step(word, text.strip(), begun))
            begun, words = 0, ""
    return steps


def copied_from_context(steps: list[Step]) -> list[str]:
    """Files and folders of the project that any stage takes."""
    copies = [step.copied() for step in steps if step.word == "COPY"]
    return [source for stage, sources, _ in copies if stage is None for source in sources]
