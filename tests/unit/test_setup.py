"""``make app`` on a machine that is not ready: each case ends in a sentence that says what to do."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parents[2]
NO_COMPILER = (
    "bash",
    "make",
    "dirname",
    "env",
    "grep",
    "cut",
    "sha256sum",
    "mkdir",
    "rm",
    "touch",
    "cat",
    "tail",
    "sed",
    "sleep",
    "nproc",
    "flock",
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that set-up reads, in a folder without a ``.venv``."""
    folder = tmp_path / "clone"
    shutil.copytree(PROJECT_ROOT / "scripts", folder / "scripts")
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "training/requirements.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT_ROOT / name, folder / name)
    return folder


def make(folder: Path, target: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a terminal of its own, and not as part of the ``make test`` around us."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "PYTHON")}
    return subprocess.run(
        ["make", target], cwd=folder, env=inherited | environment, capture_output=True, text=True, timeout=100
    )


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def mark_installed(folder: Path) -> None:
    """What a complete installation leaves behind, apart from the packages."""
    requirements = (folder / "requirements.txt").read_bytes()
    (folder / ".venv/installed-app").write_text(f"{hashlib.sha256(requirements).hexdigest()}  -\n")


def test_a_python_that_is_too_old_is_named_with_the_versions_that_work(clone: Path, tmp_path: Path) -> None:
    old = script(tmp_path / "python3.9", "echo 3.9")
    result = make(clone, "app", PYTHON=str(old))
    assert result.returncode != 0
    assert f"needs Python 3.11, 3.12 or 3.13. {old} is Python 3.9." in result.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_its_venv_module_names_the_package_to_install(clone: Path, tmp_path: Path) -> None:
    """Debian ships ``venv`` apart from Python."""
    bare = script(tmp_path / "python3", 'case "$2" in *ensurepip*) exit 1;; *) echo 3.12;; esac')
    assert "sudo apt-get install python3.12-venv" in make(clone, "app", PYTHON=str(bare)).stderr


def test_without_a_compiler_and_a_wheel_the_compiler_to_install_is_named(clone: Path, tmp_path: Path) -> None:
    """No wheel can be had, here for want of pip, which takes seconds to install, and no compiler is on the path. The
    next run starts over."""
    python = script(tmp_path / "python", f'[ "$2" != venv ] || set -- "$@" --without-pip\nexec "{sys.executable}" "$@"')
    for tool in NO_COMPILER:
        if where := shutil.which(tool):
            (tmp_path / "bin").mkdir(exist_ok=True)
            (tmp_path / "bin" / tool).symlink_to(where)
    bare = {"PATH": str(tmp_path / "bin"), "PYTHON": str(python), "CXX": ""}
    first = make(clone, "app", **bare)
    assert "sudo apt-get install build-essential" in first.stderr
    assert "Traceback" not in first.stdout + first.stderr
    assert "did not finish; starting over" in make(clone, "app", **bare).stdout


def test_a_second_start_runs_no_pip(clone: Path) -> None:
    """The stamp alone decides: a Python that can only tell its version is enough."""
    script(clone / ".venv/bin/python", 'case "$1" in -c) echo 3.11;; *) echo "called with $*" >&2; exit 9;; esac')
    mark_installed(clone)
    result = make(clone, "setup")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_changed_requirements_are_installed(clone: Path) -> None:
    script(clone / ".venv/bin/python", 'case "$1" in -c) echo 3.11;; esac')
    mark_installed(clone)
    with (clone / "requirements.txt").open("a") as requirements:
        requirements.write("# newer\n")
    assert "Installing the packages of requirements.txt ... done" in make(clone, "setup").stdout
    assert make(clone, "setup").stdout == ""


def test_a_port_in_use_is_answered_with_the_command_for_another(clone: Path) -> None:
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    mark_installed(clone)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        assert f"PORT={port + 1} make app" in make(clone, "app", PORT=str(port)).stderr
    assert "PORT=many is not a port" in make(clone, "app", PORT="many").stderr
