"""llama.cpp's converters from Hugging Face's form to GGUF, in the version of the installed runtime.

llama-cpp-python installs the runtime without them, but its source distribution holds both. That is fetched once
(76 MB), and the part that is needed (16 MB) is kept in the cache.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

from training.settings import cache_dir

RUNTIME = "llama-cpp-python"
ADAPTER_SCRIPT, MODEL_SCRIPT = "convert_lora_to_gguf.py", "convert_hf_to_gguf.py"
_KEPT_FILES = {
    "LICENSE",
    ADAPTER_SCRIPT,
    MODEL_SCRIPT,
    # Vocabularies of well-known models, by which tests check the tokenizers that are made of GGUF files.
    "models/ggml-vocab-llama-bpe.gguf",
    "models/ggml-vocab-qwen2.gguf",
}
_KEPT_FOLDERS = {"conversion", "gguf-py/gguf"}
_RETRIES = 2


class ConverterError(Exception):
    """The converters cannot be had, or refuse; the message is a sentence for the user."""


def converter(cache: Path) -> Path:
    """The folder with llama.cpp's converters, fetched if this is the first call. Raises ``ConverterError``."""
    try:
        runtime = version(RUNTIME)
    except PackageNotFoundError:
        raise ConverterError(
            f"{RUNTIME} is not installed here, so nothing can be exported: install it first."
        ) from None
    folder = cache / f"llama.cpp-{runtime}"
    if folder.is_dir():
        return folder
    print(f"Fetching llama.cpp's converters, once: the source of {RUNTIME} {runtime}, 76 MB ...", file=sys.stderr)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="unfinished-") as unfinished:
            unpacked = Path(unfinished) / "unpacked"
            _unpack(_download(runtime, Path(unfinished)), unpacked)
            if not folder.is_dir():  # two may fetch at the same time; what the first one put there is not touched
                os.rename(unpacked, folder)
    except (OSError, EOFError, tarfile.TarError) as error:
        if not folder.is_dir():
            raise ConverterError(
                f"llama.cpp's converters could not be kept in {cache} ({error}). Make room there, or name another "
                f"folder in CACHE_DIR, and try again."
            ) from error
    return folder


def convert(script: str, *arguments: str | Path) -> None:
    """Run one of the converters. It reads local files only. Raises ``ConverterError``."""
    path = converter(cache_dir()) / script
    # The same variables would send these scripts to the hub, or make them use another gguf package than their own.
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_LOCAL_GGUF", "PYTHONSAFEPATH")}
    done = subprocess.run(
        [sys.executable, str(path), *map(str, arguments)],
        env=environment | {"HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise ConverterError(f"llama.cpp's {script} failed: {_last_line(done.stderr)}.")


def _download(runtime: str, folder: Path) -> Path:
    """The source distribution. pip knows the user's indexes and proxies, and what it downloaded before."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", RUNTIME, "--quiet"]
    command += ["--disable-pip-version-check", "--retries", str(_RETRIES), "--dest", str(folder)]
    done = subprocess.run(
        [*command, f"{RUNTIME}=={runtime}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode != 0 or not archives:
        raise ConverterError(
            f"llama.cpp's converters are needed for GGUF files, but pip could not fetch {RUNTIME} {runtime} "
            f"({_last_line(done.stderr)}). With a connection, `python -m training.export RUN` fetches them and exports."
        )
    return archives[0]


def _unpack(archive: Path, folder: Path) -> None:
    """Write the files of ``vendor/llama.cpp`` that are kept; no other kind of entry, and nothing outside ``folder``."""
    with tarfile.open(archive) as entries:
        for entry in entries:
            inside = PurePosixPath(entry.name).parts[1:]
            if not entry.isfile() or inside[:2] != ("vendor", "llama.cpp") or ".." in inside:
                continue
            path = PurePosixPath(*inside[2:])
            if str(path) in _KEPT_FILES or str(path.parent) in _KEPT_FOLDERS:
                content = entries.extractfile(entry)
                assert content is not None  # it is a file
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
    if not (folder / MODEL_SCRIPT).is_file():
        raise tarfile.TarError(f"{archive.name} does not hold them")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ").rstrip(".") if lines else "it said nothing"


if __name__ == "__main__":  # what set-up does, so that the first export need not wait
    try:
        converter(cache_dir())
    except ConverterError as missing:
        sys.exit(str(missing))
