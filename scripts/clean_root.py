"""Shows without Docker that the image builds, starts and serves: its steps are carried out in an empty root folder.

    sudo .venv/bin/python -m scripts.clean_root /var/tmp/arena
    sudo .venv/bin/python -m scripts.clean_root /var/tmp/arena --wheels FOLDER    # with a ready-made llama-cpp-python

The steps are read from the Dockerfile. ``FROM python:3.11-slim-bookworm`` becomes a minimal Debian bookworm, made by
debootstrap, with Debian's own Python 3.11: the same system and C library, but neither Docker's layers nor that image's
build of Python are covered. COPY takes what `make space` uploads, RUN runs under chroot as root, and CMD as the user
that the file names, with no more environment than ENV gives and what a Space adds. A browser opens the page and asks
the embedded model a question, and SIGTERM ends the app: once without a volume, once with one at /data that the app may
write, and once with one that it may not.

Needs root, debootstrap, Chromium, and what `make test` installs.
"""

import argparse
import shutil
import sys
from pathlib import Path

from scripts.image.build import Builder, BuildError
from scripts.image.check import CheckError, check
from scripts.image.chroot import needs_root
from scripts.image.dockerfile import DockerfileError, read_dockerfile
from scripts.space_files import FilesError, space_files

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.clean_root", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the roots are made, about 3 GB; nobody else's folder")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="ready-made packages, preferred to the index")
    parser.add_argument(
        "--bind", type=Path, action="append", default=[], metavar="PATH",
        help="file or folder that pip's configuration names, to be seen while RUN runs; may be given several times",
    )  # fmt: skip
    parser.add_argument("--mirror", default="http://deb.debian.org/debian", help="of Debian (default: %(default)s)")
    asked = parser.parse_args(arguments)
    if reason := needs_root() or _lacking("debootstrap", "unshare", "chroot"):
        sys.exit(reason)
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    binds, wheels = [path.resolve() for path in asked.bind], asked.wheels and asked.wheels.resolve()
    try:
        steps = read_dockerfile(PROJECT_ROOT / "Dockerfile")
        builder = Builder(folder, space_files(PROJECT_ROOT).paths, asked.mirror, binds, wheels)
        check(builder.build(steps), folder)
    except (DockerfileError, FilesError, BuildError, CheckError) as error:
        sys.exit(str(error))


def _lacking(*programs: str) -> str | None:
    missing = [name for name in programs if shutil.which(name) is None]
    return f"{' and '.join(missing)} can't be found; on Debian: sudo apt-get install debootstrap" if missing else None


if __name__ == "__main__":
    main()
