"""Which files of a repository could be used here, told by their names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from huggingface_hub.hf_api import RepoSibling

from evaluation.hub.references import is_harmless
from evaluation.models.names import quantization_in

FileKind = Literal["model", "adapter", "peft", "unusable"]

PEFT_WEIGHTS = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"
_PICKLED = "adapter_model.bin"
_PART = re.compile(r"-\d{5}-of-\d{5}$")
_LORA = re.compile(r"(?:^|[-_. ])(?:q?lora|adapter)(?:[-_. ]|$)", re.IGNORECASE)
_IMAGE_PART = re.compile(r"(?:^|[-_. ])mmproj(?:[-_. ]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class HubFile:
    """One file that could be used: a GGUF file, or the weights of a PEFT adapter."""

    path: str
    """In the repository."""
    size_bytes: int
    sha256: str | None
    """Of its content, as the hub states it; ``None`` for small files that are not in LFS."""
    kind: FileKind
    """``adapter``: a LoRA as GGUF; ``peft``: a LoRA as PEFT wrote it, which the converter turns into GGUF."""
    quantization: str | None
    reason: str | None = None
    """Why it is unusable, as a sentence (image part, one part of a split model, ...)."""


def files_of(siblings: Sequence[RepoSibling]) -> list[HubFile]:
    """The GGUF files and PEFT adapters among a repository's files, in its order.

    Whether a GGUF is a model or an adapter stands within it only; here every usable one counts as a model.
    """
    paths = {sibling.rfilename for sibling in siblings}
    files = []
    for sibling in siblings:
        path, size_bytes = PurePosixPath(sibling.rfilename), sibling.lfs.size if sibling.lfs else sibling.size
        # Git has no paths that lead out of a repository, so what names one is no hub's answer.
        if size_bytes is None or not is_harmless(sibling.rfilename):
            continue
        kind: FileKind
        if path.suffix.lower() == ".gguf":
            reason = _why_no_gguf(path)
            kind = "unusable" if reason else "model"
        elif path.name in (PEFT_WEIGHTS, _PICKLED):
            reason = _why_no_peft(path, paths)
            kind = "unusable" if reason else "peft"
        else:
            continue
        sha256 = sibling.lfs.sha256 if sibling.lfs else None
        files.append(HubFile(str(path), size_bytes, sha256, kind, _quantization(path), reason))
    return files


def named_as_adapter(file: HubFile) -> bool:
    """Whether its name says that a GGUF file is a LoRA; merged models have such names, too."""
    return bool(_LORA.search(PurePosixPath(file.path).stem))


def _quantization(path: PurePosixPath) -> str | None:
    return quantization_in(_PART.sub("", path.stem)) or quantization_in(path.parent.name)


def _why_no_gguf(path: PurePosixPath) -> str | None:
    if _PART.search(path.stem):
        return "It is one part of a split model: choose a smaller quantization, which comes in one file."
    if _IMAGE_PART.search(path.stem):
        return "It is the image part (mmproj) of a model, not a chat model: choose the model itself."
    if "imatrix" in path.stem.casefold() and _quantization(path) is None:
        return "It is what a quantization was calibrated with (imatrix), not a model: choose the model itself."
    return None


def _why_no_peft(path: PurePosixPath, paths: set[str]) -> str | None:
    if path.name == _PICKLED:
        return "It is an adapter in a form that can run code when it is read: look for one in safetensors."
    if str(path.parent / PEFT_CONFIG) not in paths:
        return f"It is an adapter without its {PEFT_CONFIG}, which tells how to use it: look for a whole one."
    return None
