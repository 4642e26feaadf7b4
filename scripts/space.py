"""Puts the app on a Docker Space of the Hugging Face hub, or updates it there, and waits until it runs.

    python -m scripts.space you/arena --dry-run                                          # what would be uploaded
    python -m scripts.space you/arena --private
    python -m scripts.space you/arena --storage datasets/you/records --secret HF_TOKEN   # records outlive restarts

Secrets are taken from environment variables of the same name, and only those that are named. The login is that of
``huggingface_hub``: ``hf auth login``, or ``HF_TOKEN``.
"""

import argparse
import os
import re
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, SpaceInfo, Volume
from huggingface_hub.errors import RepositoryNotFoundError

from scripts.image.dockerfile import DockerfileError
from scripts.space_errors import SpaceError, explained
from scripts.space_files import FilesError, SpaceFiles, space_files, told
from scripts.space_run import Say, say_where, wait, wake
from scripts.start_space import LOST, VOLUME

PROJECT_ROOT = Path(__file__).resolve().parent.parent
MARK, NEW_SPACE = "scripts/start_space.py", {".gitattributes", "README.md"}
"""A file that tells our Spaces from others, whose files are not to be replaced; and what an empty one holds."""


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    space: str
    """``user/name``."""
    storage: str | None = None
    """``datasets/user/name`` or ``buckets/user/name``; ``None`` leaves what is attached."""
    owners: str | None = None
    """Names on the hub, separated by commas; by default who is logged in."""
    secrets: tuple[str, ...] = ()
    """Names of environment variables."""
    private: bool = False


def publish(wish: Wish, files: SpaceFiles, say: Say = print, poll_s: float = 2.0) -> None:
    """Create or update the Space and return when it runs. Raises ``SpaceError``."""
    with explained(wish.space):
        given = _secrets(wish)
        api = HfApi()
        user = _who(api)
        existing = _existing(api, wish)
        _check_storage(api, wish, existing, given)
        api.create_repo(wish.space, repo_type="space", space_sdk="docker", private=wish.private or None, exist_ok=True)
        if existing is not None and wish.private and not existing.private:
            api.update_repo_settings(wish.space, private=True, repo_type="space")
        _set_secrets(api, wish.space, given, say)
        _set_variables(api, wish, user, say)
        _attach(api, wish, say)
        new, commit = _upload(api, wish.space, files, say)
        wake(api, wish.space, new, say)
        wait(api, wish.space, commit, say, poll_s)
        if LOST in say_where(api, wish.space, say) and wish.storage:
            raise SpaceError(
                f"The Space runs, but it can't keep its records in {wish.storage}: they {LOST}. Its log says why. "
                "A data set needs no volume: --storage datasets/user/name --secret HF_TOKEN."
            )


def _secrets(wish: Wish) -> dict[str, str]:
    if missing := [name for name in wish.secrets if not os.environ.get(name)]:
        raise SpaceError(f"The environment variable {missing[0]} is not set: `export {missing[0]}=...` first.")
    return {name: os.environ[name] for name in wish.secrets}


def _who(api: HfApi) -> str:
    """Name of who is logged in."""
    answer = api.whoami()
    if answer.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise SpaceError(
            "The token of this login may only read. Make one that may write at https://huggingface.co/settings/tokens "
            "and log in with it: `hf auth login`."
        )
    return str(answer["name"])


def _existing(api: HfApi, wish: Wish) -> SpaceInfo | None:
    try:
        info = api.space_info(wish.space)
    except RepositoryNotFoundError:
        return None
    if info.sdk not in (None, "docker"):
        raise SpaceError(f"{wish.space} is there already, as a {info.sdk} Space, and stays so. Take another name.")
    there = {file.rfilename for file in info.siblings or []}
    if there - NEW_SPACE and MARK not in there:
        raise SpaceError(f"{wish.space} is there already, with another program in it. Take another name, or delete it.")
    return info


def _check_storage(api: HfApi, wish: Wish, existing: SpaceInfo | None, given: dict[str, str]) -> None:
    """A data set takes records only while it is private, from a Space with a token; told before anything is made."""
    if wish.storage is None or wish.storage.startswith("buckets/"):
        return
    name = wish.storage.removeprefix("datasets/")
    with suppress(RepositoryNotFoundError):
        if not api.dataset_info(name).private:
            raise SpaceError(
                f"The data set {name} is public, and the app puts no conversations where everybody can read them: make "
                "it private in its settings on the hub, or name another one."
            )
    if "HF_TOKEN" not in given and (existing is None or "HF_TOKEN" not in api.get_space_secrets(wish.space)):
        raise SpaceError(
            f"To write to {wish.storage}, the Space needs a token as its secret HF_TOKEN. Make one at "
            "https://huggingface.co/settings/tokens that may write to this data set only, `export HF_TOKEN=...`, "
            "and name it: --secret HF_TOKEN (with make: SECRETS=HF_TOKEN)."
        )


def _set_secrets(api: HfApi, space: str, given: dict[str, str], say: Say) -> None:
    """Those that were named, and once a random one that keeps owners signed in over a restart."""
    if "COOKIE_SECRET" not in {*given, *api.get_space_secrets(space)}:
        given = {**given, "COOKIE_SECRET": secrets.token_urlsafe(32)}
    for name, value in given.items():
        api.add_space_secret(space, name, value)
        say(f"Secret {name} is set.")


def _set_variables(api: HfApi, wish: Wish, user: str, say: Say) -> None:
    """Only what differs: each change restarts a Space that runs. Owners set by hand stay."""
    there = {name: variable.value for name, variable in api.get_space_variables(wish.space).items()}
    wanted = {"OWNERS": wish.owners or there.get("OWNERS") or user}
    if wish.storage and wish.storage.startswith("datasets/"):
        wanted["RESULTS_DATASET"] = wish.storage.removeprefix("datasets/")
    for name, value in wanted.items():
        if there.get(name) != value:
            api.add_space_variable(wish.space, name, value)
            say(f"Variable {name} is {value}.")


def _attach(api: HfApi, wish: Wish, say: Say) -> None:
    if wish.storage is None:
        return
    kind, _, name = wish.storage.partition("/")
    if kind == "datasets":
        api.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
        return
    api.create_bucket(name, private=True, exist_ok=True)
    mounted = api.get_space_runtime(wish.space).volumes or []
    others = [volume for volume in mounted if volume.mount_path != str(VOLUME)]
    if not any(volume.type == "bucket" and volume.source == name for volume in mounted if volume not in others):
        api.set_space_volumes(wish.space, [*others, Volume(type="bucket", source=name, mount_path=str(VOLUME))])
        say(f"The bucket {name} is mounted at {VOLUME}.")


def _upload(api: HfApi, space: str, files: SpaceFiles, say: Say) -> tuple[bool, str]:
    """One commit with everything, without what is no longer there. Whether anything was new, and the commit."""
    before = api.space_info(space).sha
    stale = set(api.list_repo_files(space, repo_type="space")) - {*files.paths, ".gitattributes"}
    say("Uploading " + " ".join(told(files)))
    commit = api.create_commit(
        space,
        [
            *(CommitOperationAdd(path, source) for path, source in files.paths.items()),
            *(CommitOperationDelete(path) for path in sorted(stale)),
        ],
        commit_message=f"Finetune Arena {files.commit}{' with changes' if files.changed else ''}",
        repo_type="space",
    ).oid
    return commit != before, commit


def _name(kind: str) -> Callable[[str], str]:
    """A check for an argument of the form ``[kinds/]user/name``."""
    part = r"[\w-][\w.-]*"

    def check(text: str) -> str:
        if not re.fullmatch(kind + f"{part}/{part}", text):
            forms = "datasets/user/name or buckets/user/name" if kind else "user/name"
            raise argparse.ArgumentTypeError(f"{text!r} is not of the form {forms}")
        return text

    return check


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.space", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space", type=_name(""), help="its name on the hub: user/name")
    parser.add_argument(
        "--storage", type=_name("(?:datasets|buckets)/"), metavar="KIND/USER/NAME",
        help="where records outlive a restart: datasets/user/name or buckets/user/name, made where it is new",
    )  # fmt: skip
    parser.add_argument("--owners", metavar="NAMES", help="who may change things, separated by commas (default: you)")
    parser.add_argument(
        "--secret", action="append", default=[], metavar="NAME",
        help="environment variable that becomes a secret of the Space; may be given several times",
    )  # fmt: skip
    parser.add_argument("--private", action="store_true", help="only you, and those you invite, see the Space")
    parser.add_argument("--dry-run", action="store_true", help="list the files that would be uploaded, and do nothing")
    asked = parser.parse_args(arguments)
    try:
        files = space_files(PROJECT_ROOT)
        if asked.dry_run:
            print(*files.paths, *told(files), sep="\n")
            return
        publish(Wish(asked.space, asked.storage, asked.owners, tuple(asked.secret), asked.private), files)
    except (SpaceError, FilesError, DockerfileError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(f"\nStopped waiting. What was begun goes on: https://huggingface.co/spaces/{asked.space}")


if __name__ == "__main__":
    main()
