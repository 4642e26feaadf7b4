"""What the stand-in for the hub knows about a repository and its files, in the hub's own words."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from tests.hub_server import Commit, Repository

LARGE = (".safetensors", ".gguf", ".bin", ".parquet", ".arrow", ".model", ".png", ".zip")
DATE = "2026-01-01T00:00:00.000Z"
BRIEF = ("likes", "private", "downloads", "tags", "createdAt")
"""What a list tells of each repository when it is not asked for more."""


def about(repository: "Repository", commit: "Commit | None", query: Mapping[str, list[str]]) -> dict[str, Any]:
    """A repository at a commit, or, without one, as an entry of a list; ``expand`` asks for certain fields."""
    shown = commit or repository.commits[-1]
    fields = {
        "author": repository.id.partition("/")[0], "sha": shown.sha, "lastModified": DATE,
        "createdAt": repository.created_at, "private": repository.private, "disabled": repository.disabled,
        "gated": "manual" if repository.gated else False, "downloads": repository.downloads, "likes": repository.likes,
        "tags": tags(repository), "cardData": card_data(shown.files), "config": _config(shown.files),
        "siblings": [_sibling(path, content, "blobs" in query) for path, content in sorted(shown.files.items())],
    }  # fmt: skip
    wanted = query.get("expand") or (fields.keys() if commit or "full" in query else BRIEF)
    identity = {"_id": repository.commits[0].sha[:24], "id": repository.id}
    return identity | {name: value for name, value in fields.items() if name in wanted}


def tags(repository: "Repository") -> list[str]:
    """Those of its card, and those that the hub finds by itself."""
    card = card_data(repository.files) or {}
    endings = {path.rpartition(".")[2] for path in repository.files} & {"gguf", "safetensors"}
    license = card.get("license")
    stated = [f"license:{license}"] if isinstance(license, str) else []
    return [*map(str, card.get("tags") or ()), *sorted(endings), *stated]


def card_data(files: Mapping[str, bytes]) -> Any:
    with suppress(yaml.YAMLError):
        return front_matter(files.get("README.md", b"").decode())
    return None


def front_matter(card: str) -> Any:
    parts = card.split("---", 2)
    return yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else {}


def is_large(path: str, content: bytes) -> bool:
    return path.endswith(LARGE) or b"\0" in content[:512]


def git_oid(content: bytes) -> str:
    """How git names a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(path: str, content: bytes) -> dict[str, Any]:
    """A file as trees list it; of a large one, git keeps a pointer."""
    listed: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
    if is_large(path, content):
        sha256 = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n".encode()
        listed["oid"] = git_oid(pointer)
        listed["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": len(pointer)}
    return listed


def _sibling(path: str, content: bytes, with_blobs: bool) -> dict[str, Any]:
    if not with_blobs:
        return {"rfilename": path}
    listed = entry(path, content)
    lfs = listed.get("lfs")
    stored = {"lfs": {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}} if lfs else {}
    return {"rfilename": path, "size": listed["size"], "blobId": listed["oid"], **stored}


def _config(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Of an adapter the hub tells which model it changes."""
    with suppress(KeyError, ValueError):
        adapter = json.loads(files["adapter_config.json"])
        return {"peft": {"base_model_name_or_path": adapter["base_model_name_or_path"]}}
    return {}
