"""``python -m evaluation.models add``: from what was typed to a model that is here."""

import shlex
import sys

from evaluation.hub import HubError
from evaluation.hub.downloads import BUSY, Downloads
from evaluation.hub.references import parse_reference
from evaluation.hub.repositories import HubFile, HubRepository, chosen_file, fit, look_up
from evaluation.models.terminal import Line, agreed, plain, table
from evaluation.sizes import shown_size

COMMAND = "python -m evaluation.models"
LOOK_S = 0.2


def add(text: str, downloads: Downloads, yes: bool, anyway: bool) -> int:
    """Returns the exit status; ``anyway`` takes what can't run here, too. Raises ``HubError``."""
    reference = parse_reference(text)
    if reference is None:
        raise HubError(
            f"{plain(text)!r} is not the name of a repository: write owner/name, owner/name:file or an address. "
            f"To search for words: {COMMAND} search {shlex.quote(text)}"
        )
    repository = look_up(reference)
    file = chosen_file(repository, reference)
    usable = [each for each in repository.files if each.kind != "unusable"]
    if file is None and len(usable) != 1:
        return _list_files(repository, usable)
    file = file or usable[0]
    judged = fit(repository, file)
    _describe(repository, file, judged.sentence, downloads.replaced(repository, file))
    if not repository.accessible:
        raise HubError(repository.why_not or f"The files of {repository.repo_id} may not be downloaded.")
    if judged.fits is False and not anyway:
        raise HubError("It can't run on this machine, so it was not downloaded. With --anyway it is.")
    if not yes and not agreed("Download it?"):
        print("Nothing was downloaded. With --yes it is not asked.")
        return 2
    return _download(downloads, repository, file)


def _list_files(repository: HubRepository, usable: list[HubFile]) -> int:
    for file in repository.files:
        if file.kind == "unusable":
            print(f"{plain(file.path)}: {plain(file.reason or 'It cannot be used.')}")
    if not usable:
        raise HubError(f"{repository.repo_id} has no file that can be used here: choose another repository.")
    print(f"{repository.repo_id} has {len(usable)} files that can be used. Choose one:")
    rows = [(file.quantization, shown_size(file.size_bytes), _command(repository, file)) for file in usable]
    print(table(("QUANTIZATION", "SIZE", "COMMAND"), rows, numbers=(1,)))
    return 2


def _describe(repository: HubRepository, file: HubFile, memory: str, replaced: str | None) -> None:
    kinds = {"adapter": "LoRA adapter", "peft": "LoRA adapter in PEFT's form, to be converted"}
    facts = {
        "Repository": f"{repository.repo_id} ({repository.page_url})",
        "File": f"{file.path}, {shown_size(file.size_bytes)}, {kinds.get(file.kind) or file.quantization or 'GGUF'}",
        "License": " ".join(filter(None, (repository.license or "not stated", repository.license_url))),
        "Access": "gated: its owner asks for your consent on the page" if repository.gated else "open",
        "Made from": repository.base_model,
        "Memory": memory,
        "Note": replaced,
    }
    for name, fact in facts.items():
        if fact:
            print(f"{name + ':':<12}{plain(fact)}")


def _download(downloads: Downloads, repository: HubRepository, file: HubFile) -> int:
    resume = f"To go on from there: {_command(repository, file)}"
    download = downloads.start(repository, file)
    line = Line()
    try:
        while download.state in BUSY:
            line.tell(download)
            download = downloads.wait(download.id, LOOK_S)
    except KeyboardInterrupt:
        downloads.cancel(download.id)
        line.close()
        print(f"Stopped; what was downloaded is kept. {resume}", file=sys.stderr)
        return 130
    line.close()
    if download.state == "done":
        print(f"{download.target} is ready.")
        return 0
    print(plain(download.error or "The download was stopped."), file=sys.stderr)
    if download.done_bytes:
        print(resume, file=sys.stderr)
    return 1


def _command(repository: HubRepository, file: HubFile) -> str:
    return f"{COMMAND} add {shlex.quote(f'{repository.repo_id}:{file.path}')}"
