"""What the image starts: it says where records go, writes the secrets for signing in, and becomes the app.

    python -m scripts.start_space

``RESULTS_DIR`` and ``MODELS_DIR`` are taken as they are set; otherwise they lie on the volume at ``/data``, if one is
mounted there and can be written, and else in the user's home.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from scripts.space_secrets import is_private

VOLUME = Path("/data")
PORT = 8501
UPLOAD_MB = "20"
"""Of one file; it is held in memory, and the machine is small."""
SAYS = "Finetune Arena: "
"""Begins each line for the log, so that `make space` finds them there."""
LOST = "are lost at a restart"


def main() -> None:
    folders, sentence = choose_folders(os.environ, VOLUME)
    os.environ.update(folders)
    print(SAYS + sentence, flush=True)
    secrets = Path.home() / ".streamlit" / "secrets.toml"  # Streamlit looks there too, and the project is read-only
    subprocess.run([sys.executable, "-m", "scripts.space_secrets", str(secrets)])  # says itself what it can't do
    # In place of this process: the signal that ends a container has to reach the app.
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", *server_options(os.environ)])


def choose_folders(environment: Mapping[str, str], volume: Path) -> tuple[dict[str, str], str]:
    """``RESULTS_DIR`` and ``MODELS_DIR``, and a sentence for the log that says how long records live there."""
    reason = why_not_written(volume) if volume.is_dir() else None
    on_volume = volume.is_dir() and reason is None
    home = volume if on_volume else Path(environment.get("HOME") or Path.home())
    folders = {
        name: environment.get(name) or str(home / folder)
        for name, folder in (("RESULTS_DIR", "results"), ("MODELS_DIR", "models"))
    }
    results, dataset = folders["RESULTS_DIR"], environment.get("RESULTS_DATASET")
    sentence = f"records are kept in {results}"
    if dataset:
        sentence += f" and in the data set {dataset}."
    elif Path(results).is_relative_to(volume) and on_volume:
        sentence += f", on the volume at {volume}."
    else:
        sentence += f" and {LOST}: set RESULTS_DATASET, or mount a volume at /data that can be written."
    if reason:
        sentence += f" The volume at {volume} is not used: user {os.getuid()} cannot write there ({reason})."
    return folders, sentence


def why_not_written(folder: Path) -> str | None:
    """Why records can't be kept there; ``None`` when they can. Tried as records are written: one line after another,
    the file opened for each and looked at, which some network file systems refuse the second time."""
    probe = folder / f".probe-{uuid.uuid4().hex}"
    try:
        for _ in range(2):
            descriptor = os.open(probe, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                os.write(descriptor, b"\n")
                os.fsync(descriptor)
                os.pread(descriptor, 1, 0)
            finally:
                os.close(descriptor)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        with suppress(OSError):
            probe.unlink()
    return None


def server_options(environment: Mapping[str, str]) -> list[str]:
    """Options of ``streamlit run``. Within the page of a Space the app is in a frame, under another address."""
    options = ["--server.address", "0.0.0.0", "--server.port", str(PORT)]
    options += ["--server.maxUploadSize", environment.get("STREAMLIT_SERVER_MAX_UPLOAD_SIZE") or UPLOAD_MB]
    if "SPACE_ID" in environment and is_private(environment):  # nobody signs in, and the frame may get no cookie
        options += ["--server.enableXsrfProtection", "false"]
    elif "SPACE_ID" in environment:  # only there, because such a cookie wants https
        options += ["--server.xsrfCookieSameSite", "none"]
    if host := environment.get("SPACE_HOST"):
        options += ["--server.corsAllowedOrigins", f"https://{host}"]
    return options


if __name__ == "__main__":
    main()
