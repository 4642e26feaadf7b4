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
from pathlib import Path

VOLUME = Path("/data")
PORT = 8501
SAYS = "Finetune Arena: "
"""Begins each line for the log, so that `make space` finds them there."""


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
        sentence += " and are lost at a restart: set RESULTS_DATASET, or mount a volume at /data that can be written."
    if reason:
        sentence += f" The volume at {volume} is not used: user {os.getuid()} cannot write there ({reason})."
    return folders, sentence


def why_not_written(folder: Path) -> str | None:
    """Why records can't be kept there; ``None`` when they can. Tried as records are written: one line after another,
    the file opened for each, which some network file systems refuse the second time."""
    probe = folder / f".probe-{uuid.uuid4().hex}"
    try:
        for _ in range(2):
            with probe.open("ab") as file:
                file.write(b"\n")
                file.flush()
                os.fsync(file.fileno())
        probe.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return None


def server_options(environment: Mapping[str, str]) -> list[str]:
    """Options of ``streamlit run``. Within the page of a Space the app is in a frame, under another address."""
    options = ["--server.address", "0.0.0.0", "--server.port", str(PORT)]
    if "SPACE_ID" in environment:  # only there, because such a cookie wants https
        options += ["--server.xsrfCookieSameSite", "none"]
    if host := environment.get("SPACE_HOST"):
        options += ["--server.corsAllowedOrigins", f"https://{host}"]
    return options


if __name__ == "__main__":
    main()
