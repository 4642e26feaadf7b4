"""What the hub says of a repository, before anything is downloaded."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from huggingface_hub import HfApi, ModelInfo, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import GatedRepoError
from huggingface_hub.utils import build_hf_headers, paginate

from evaluation.hub import HubError, problems
from evaluation.hub.files import FileKind, HubFile, files_of, named_as_adapter
from evaluation.hub.fits import Fit, judge
from evaluation.hub.header import TIMEOUT_S, read_header
from evaluation.hub.references import Reference, is_repo_id
from evaluation.models.files import quoted

__all__ = [
    "FileKind", "Fit", "FoundRepository", "HubFile", "HubRepository", "chosen_file", "fit", "look_up", "search"
]  # fmt: skip

_FIELDS = ["cardData", "downloads", "gated", "lastModified", "likes"]
_MOST_HEADERS = 8
"""Headers that are read to tell models from adapters; of further files the name decides."""
_MOST_NAMES = 12


@dataclass(frozen=True)
class FoundRepository:
    """A result of a search."""

    repo_id: str
    downloads: int | None
    likes: int | None
    gated: bool
    license: str | None
    updated_at: float | None
    """UTC s since 1970."""


@dataclass(frozen=True)
class HubRepository:
    """A repository that can be seen."""

    repo_id: str
    commit: str
    license: str | None
    """Name or identifier of its license, plain text."""
    license_url: str | None
    gated: bool
    accessible: bool
    """Whether its files may be downloaded with the present login."""
    why_not: str | None
    """When not accessible: what to do, as a sentence."""
    base_model: str | None
    """What its card says it was made from."""
    downloads: int | None
    likes: int | None
    updated_at: float | None
    files: tuple[HubFile, ...]
    """Usable ones first, by size."""
    page_url: str


def search(words: str, limit: int = 20) -> list[FoundRepository]:
    """GGUF repositories of the hub, most downloaded first. Raises ``HubError``."""
    wanted = {"search": words.strip(), "filter": "gguf", "sort": "downloads", "limit": limit, "expand": _FIELDS}
    address = f"{constants.ENDPOINT}/api/models"
    try:  # as HfApi.list_models does, which waits for ever
        pages = paginate(address, wanted, build_hf_headers(), timeout=TIMEOUT_S)
        found = [ModelInfo(**item) for item in islice(pages, limit)]  # type: ignore[no-untyped-call]
    except problems.EXPECTED as error:
        raise HubError(problems.why(error)) from None
    return [
        FoundRepository(info.id, info.downloads, info.likes, bool(info.gated), _license(info), _updated_at(info))
        for info in found
        if is_repo_id(info.id)
    ]


def look_up(reference: Reference) -> HubRepository:
    """What can be downloaded from a repository. Raises ``HubError``: offline, unknown or removed, not a model, ..."""
    asked = reference.repo_id
    try:
        info = HfApi().model_info(asked, revision=reference.revision, files_metadata=True, timeout=TIMEOUT_S)
        if not re.fullmatch(r"[0-9a-f]{40}", info.sha or ""):
            raise ValueError("no commit")
        files = files_of(info.siblings or ())
    except problems.EXPECTED as error:
        raise HubError(problems.why(error, asked)) from None
    repo_id, commit = (info.id if is_repo_id(info.id) else asked), str(info.sha)  # another one where it was renamed
    if info.disabled:
        raise HubError(problems.disabled(repo_id))
    if not files:
        raise HubError(
            f"{repo_id} has no GGUF file and no LoRA adapter: search for a GGUF conversion of it, which others may "
            "have published under a similar name."
        )
    why_not = _why_not_accessible(info, repo_id, commit, files[0]) if info.gated else None
    files = _with_adapters(info, repo_id, commit, files, readable=why_not is None)
    files.sort(key=lambda file: (file.kind == "unusable", file.size_bytes, file.path))
    return HubRepository(
        repo_id=repo_id,
        commit=commit,
        license=_license(info),
        license_url=_license_url(info, repo_id, commit),
        gated=bool(info.gated),
        accessible=why_not is None,
        why_not=why_not,
        base_model=_base_model(info),
        downloads=info.downloads,
        likes=info.likes,
        updated_at=_updated_at(info),
        files=tuple(files),
        page_url=problems.page_url(repo_id),
    )


def chosen_file(repository: HubRepository, reference: Reference) -> HubFile | None:
    """The file that the reference means, by its path or its quantization, upper and lower case being the same; ``None``
    when it names none. Raises ``HubError`` for one that is not there, with those that are."""
    if reference.file is None:
        return None
    wanted, stated = reference.file.casefold(), quoted(reference.file)
    ways: list[Callable[[HubFile], bool]] = [
        lambda file: file.path == reference.file,
        lambda file: file.path.casefold() == wanted,
        lambda file: wanted in (_name(file).casefold(), _name(file).casefold().removesuffix(".gguf")),
        lambda file: file.kind != "unusable" and (file.quantization or "").casefold() == wanted,
        lambda file: file.kind != "unusable" and _name(file).casefold().endswith(f"-{wanted}.gguf"),  # UD-Q4_K_XL
    ]
    for means in ways:
        match [file for file in repository.files if means(file)]:
            case [file] if file.kind == "unusable":
                raise HubError(f"{file.path} can't be used. {file.reason}")
            case [file]:
                return file
            case [_, *_] as several:
                raise HubError(f"{stated} can mean several files of {repository.repo_id}: name {_listed(several)}.")
    usable = [file for file in repository.files if file.kind != "unusable"]
    instead = f"it has {_listed(usable)}" if usable else "nor another one that can be used"
    raise HubError(f"{repository.repo_id} has no file {stated}; {instead}.")


def fit(repository: HubRepository, file: HubFile) -> Fit:
    """From the size and, read from the first kilobytes of the file, its KV cache. Never raises."""
    readable = repository.accessible and file.kind in ("model", "adapter")
    return judge(file, read_header(repository.repo_id, repository.commit, file.path) if readable else None)


def _why_not_accessible(info: ModelInfo, repo_id: str, commit: str, file: HubFile) -> str | None:
    """Everyone sees what a gated repository has, but not everyone gets it."""
    try:  # HfApi.auth_check waits for ever
        get_hf_file_metadata(hf_hub_url(repo_id, file.path, revision=commit), timeout=TIMEOUT_S)
    except GatedRepoError:
        return problems.gated(repo_id)
    except problems.EXPECTED as error:
        raise HubError(problems.why(error, repo_id)) from None
    return None


def _with_adapters(info: ModelInfo, repo_id: str, commit: str, files: list[HubFile], readable: bool) -> list[HubFile]:
    """Tell LoRAs from models, where the card or a name hints at one, by their headers."""
    relation = getattr(info.card_data, "base_model_relation", None)
    of_adapters = info.library_name == "peft" or relation == "adapter" or "lora" in (info.tags or ())
    hinted = [file for file in files if file.kind == "model" and (of_adapters or named_as_adapter(file))]
    adapters = set()
    for number, file in enumerate(hinted):
        header = read_header(repo_id, commit, file.path) if readable and number < _MOST_HEADERS else None
        if header.kind == "adapter" if header else named_as_adapter(file):
            adapters.add(file)
    return [replace(file, kind="adapter") if file in adapters else file for file in files]


def _license(info: ModelInfo) -> str | None:
    stated = _of_card(info, "license")
    if stated == "other":
        stated = _of_card(info, "license_name") or stated
    return stated


def _license_url(info: ModelInfo, repo_id: str, commit: str) -> str | None:
    link = getattr(info.card_data, "license_link", None)
    if not isinstance(link, str) or not link.strip():
        return None
    if re.match(r"https?://", link):
        return link if re.fullmatch(r"[!-~]+", link) else None
    return f"{problems.page_url(repo_id)}/blob/{commit}/{quote(link.strip())}"


def _base_model(info: ModelInfo) -> str | None:
    peft = (info.config or {}).get("peft") or {}
    return _of_card(info, "base_model") or _plain(peft.get("base_model_name_or_path"))


def _of_card(info: ModelInfo, key: str) -> str | None:
    return _plain(getattr(info.card_data, key, None))


def _plain(stated: Any) -> str | None:
    """A card is written by hand: text, a list of them, or anything else."""
    texts = stated if isinstance(stated, list) else [stated]
    return ", ".join(quoted(text) for text in texts if isinstance(text, str) and text.strip()) or None


def _updated_at(info: ModelInfo) -> float | None:
    return info.last_modified.timestamp() if info.last_modified else None


def _name(file: HubFile) -> str:
    return PurePosixPath(file.path).name


def _listed(files: list[HubFile]) -> str:
    more = [f"{len(files) - _MOST_NAMES} more"] if len(files) > _MOST_NAMES else []
    return ", ".join([*(file.path for file in files[:_MOST_NAMES]), *more])
