"""Carries out the Dockerfile's steps in root folders, one for each of its stages."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts.image.chroot import command_in
from scripts.image.dockerfile import DockerfileError, Step

BASES = {"python:3.11-slim-bookworm": "bookworm"}
"""What FROM may name, and the Debian that stands for it."""
BASE_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
LOG_LINES = 25
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class BuildError(Exception):
    """A step failed; the message has the end of what it printed."""


@dataclass
class Stage:
    """One FROM and what follows it."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    folder: str = "/"
    user: str = "root"
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


class Builder:
    """Carries out a Dockerfile below ``folder``."""

    def __init__(
        self, folder: Path, files: dict[str, Path], mirror: str, binds: list[Path], wheels: Path | None
    ) -> None:
        """``files`` are the build's context by path; ``binds`` and ``wheels`` are there while RUN runs."""
        self.folder, self.files, self.mirror = folder, files, mirror
        self.outside = dict(_network_settings())
        self.binds = {path: str(path) for path in binds}
        for name in ("PIP_CERT", *CERTIFICATES):
            if (path := Path(self.outside.get(name) or "/nowhere")).is_file():
                self.binds[path] = str(path)
        if wheels:
            self.binds[wheels] = "/wheels"
            self.outside["PIP_FIND_LINKS"] = f"/wheels {self.outside.get('PIP_FIND_LINKS', '')}".strip()
        self.stages: dict[str, Stage] = {}

    def build(self, steps: list[Step]) -> Stage:
        """Every stage in order; the last is the image. Raises ``DockerfileError`` and ``BuildError``."""
        (self.folder / "build.log").unlink(missing_ok=True)
        for step in steps:
            print(f"-- {step.word} {step.text}", end="", flush=True)
            begun = time.monotonic()
            if step.word == "FROM":
                stage = self._begin(step)
            else:
                self._do(step, stage)
            print(f"  ({took_s:.0f} s)" if (took_s := time.monotonic() - begun) > 1 else "", flush=True)
        return stage

    def _begin(self, step: Step) -> Stage:
        base, _, name = step.text.partition(" AS ")
        if base not in BASES:
            raise DockerfileError(f"Line {step.line}: nothing here stands for {base}, only for {', '.join(BASES)}.")
        root = self.folder / (name or "image")
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "--archive", self._base(BASES[base]), root], check=True)
        stage = self.stages[name] = Stage(root)
        return stage

    def _base(self, suite: str) -> Path:
        """A minimal Debian with Python, made once."""
        base = self.folder / suite
        if not base.exists():
            unfinished = base.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            options = ["--variant=minbase", f"--include={BASE_PACKAGES}", suite]
            self._logged(["debootstrap", *options, str(unfinished), self.mirror])
            (unfinished / "usr/local/bin/python").symlink_to("/usr/bin/python3")
            shutil.rmtree(unfinished / "var/cache/apt/archives", ignore_errors=True)
            unfinished.rename(base)
        return base

    def _do(self, step: Step, stage: Stage) -> None:
        match step.word:
            case "ENV":
                stage.environment |= step.variables(stage.environment)
            case "WORKDIR":
                stage.folder = step.text
                (stage.root / step.text.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "USER":
                stage.user = step.text
            case "COPY":
                self._copy(step, stage)
            case "RUN":
                self._run(step.text, stage)
            case "CMD":
                stage.command = step.command()
            case "HEALTHCHECK":
                stage.health = step.command()

    def _run(self, text: str, stage: Stage) -> None:
        resolver = stage.root / "etc/resolv.conf"
        shutil.copyfile("/etc/resolv.conf", resolver)
        environment = {"HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", **self.outside, **stage.environment}
        user = owner_of(stage.root, stage.user)
        self._logged(
            command_in(
                stage.root,
                ["sh", "-c", text],
                environment=environment,
                folder=stage.folder,
                user=user,
                binds=self.binds,
            )
        )
        for target in self.binds.values():  # the empty places they were mounted on
            place = stage.root / target.lstrip("/")
            if place.is_file() and not place.stat().st_size:
                place.unlink()
            elif place.is_dir() and not any(place.iterdir()):
                place.rmdir()

    def _logged(self, command: list[str]) -> None:
        log = self.folder / "build.log"
        with log.open("ab") as output:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        if done.returncode:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
            raise BuildError(f"\n{last}\nThis step failed with status {done.returncode}. All it printed is in {log}.")

    def _copy(self, step: Step, stage: Stage) -> None:
        source_stage, sources, target = step.copied()
        into = stage.root / os.path.join(stage.folder, target).lstrip("/")
        for source in sources:
            if source_stage is not None:
                subprocess.run(["cp", "--archive", f"{self.stages[source_stage].root}{source}", into], check=True)
                continue
            for path, file in self.files.items():
                if path == source:
                    place = into / Path(path).name if target.endswith("/") else into
                elif path.startswith(f"{source}/"):
                    place = into / path.removeprefix(f"{source}/")
                else:
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
                place.chmod(0o755 if os.access(file, os.X_OK) else 0o644)


def owner_of(root: Path, user: str) -> str:
    """``uid:gid`` of a user of that system."""
    for line in (root / "etc/passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if user in (name, uid):
            return f"{uid}:{gid}"
    raise DockerfileError(f"The image has no user {user}.")


def _network_settings() -> Iterator[tuple[str, str]]:
    """How this machine reaches the package index: proxies, certificates, and pip's configuration as variables."""
    for name in (*PROXIES, *CERTIFICATES):
        for variable in (name, name.lower()):
            if value := os.environ.get(variable):
                yield variable, value
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    for line in listed.splitlines():
        setting, _, value = line.partition("=")
        yield "PIP_" + setting.rpartition(".")[2].upper().replace("-", "_"), value.strip("'\"").replace("\\n", " ")
