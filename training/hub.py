"""The Hugging Face hub: whether a repository can be used, and how a finished run is handed to it.

    commit = check_model("unsloth/Llama-3.2-1B-Instruct")     # before anything heavy is loaded
    url = push(Path("results/runs/demo-20260101-120000"), "user/demo", private=True)

The hub's address (``HF_ENDPOINT``), the cache (``HF_HOME``), the offline switch (``HF_HUB_OFFLINE``) and the login
(``HF_TOKEN`` or ``hf auth login``) are those of ``huggingface_hub``. The token goes into requests to the hub and
nowhere else.
"""

import json
import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from training.model_card import CHART_FILE, loss_chart, model_card
from training.public import (
    ADAPTER_CONFIG,
    RECIPE_FILE,
    TOKENIZER_FILES,
    public_adapter_config,
    public_recipe,
    public_record,
)
from training.runlog import (
    ADAPTER_FILE,
    ADAPTER_FOLDER,
    ADAPTER_WEIGHTS,
    LOG_FILE,
    RUN_FILE,
    Run,
    RunError,
    read_log,
    read_run,
)

Kind = Literal["model", "dataset"]
TIMEOUT_S = 10.0
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_LOCAL = {"model": "name a local folder or a GGUF file", "dataset": "name a local file"}
_NO_HUB = (ValueError, TypeError, KeyError)
"""What an answer raises that is no JSON, or not what a hub says."""
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class HubError(Exception):
    """The hub cannot give or take something; the message says which repository, why and what to do."""


def check_model(repo_id: str, revision: str | None = None, setting: str = "base.model") -> str | None:
    """Commit of a model that can be downloaded, or that is complete in the local cache.

    Raises ``HubError``, which tells the user to mend ``setting``.
    """
    return _check("model", repo_id, revision, setting)


def check_dataset(repo_id: str, revision: str | None = None, setting: str = "data.source") -> str | None:
    """Commit of a data set that can be downloaded, or that was prepared here before.

    Raises ``HubError``, which tells the user to mend ``setting``.
    """
    return _check("dataset", repo_id, revision, setting)


def license_of(kind: Kind, repo_id: str, revision: str | None = None) -> str | None:
    """The license that a repository's card states, from the hub or the local cache; ``None`` when it states none."""
    import httpx
    import yaml
    from huggingface_hub import RepoCard, hf_hub_download

    try:
        card = RepoCard.load(hf_hub_download(repo_id, "README.md", repo_type=kind, revision=revision))
    except (OSError, ValueError, yaml.YAMLError, httpx.HTTPError):  # no card, not a card's form, or no connection
        return None
    stated = card.data.get("license")
    if stated == "other":
        stated = card.data.get("license_name") or stated
    return ", ".join(map(str, stated)) if isinstance(stated, list) else stated


def push(folder: Path, repo_id: str, private: bool) -> str:
    """Put a finished run's adapter into a model repository, which is made if needed, in one commit.

    Its card, loss chart, recipe, log and record go along, but no row of the data and no path of this machine. Returns
    the repository's address. Raises ``HubError``.
    """
    import httpx
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HFValidationError

    if repo_id.count("/") != 1:
        raise HubError(f"{repo_id} is not the name of a repository to push to: write USER/NAME.")
    run = _finished_run(folder)
    token = _token()
    if token is None:
        raise HubError(f"Pushing to the hub needs a token that may write: {LOG_IN}.")
    try:
        files = _published_files(folder, run, repo_id)
    except (RunError, OSError, ValueError) as error:
        raise HubError(f"The run {run.id} cannot be pushed, because a file of it cannot be read: {error}") from None
    api = HfApi(token=token)
    try:
        address = api.create_repo(repo_id, private=private, exist_ok=True)
        there = api.model_info(repo_id, timeout=TIMEOUT_S)
        if private and not there.private:
            raise HubError(
                f"The repository {repo_id} is there already and everyone can read it, so nothing was pushed: "
                "make it private in its settings, name another one, or push without asking for privacy."
            )
        # Of an earlier push; an old adapter.gguf beside new weights would be another adapter.
        optional = {ADAPTER_FILE, CHART_FILE, *TOKENIZER_FILES}
        stale = {file.rfilename for file in there.siblings or ()} & optional - files.keys()
        api.create_commit(
            repo_id,
            [
                *(CommitOperationAdd(name, content) for name, content in files.items()),
                *(CommitOperationDelete(name) for name in sorted(stale)),
            ],
            commit_message=f"Adapter of the run {run.id}",
        )
    except HFValidationError:
        raise HubError(f"{repo_id} is not the name of a repository: write USER/NAME.") from None
    except (OSError, ValueError, RuntimeError, httpx.HTTPError) as error:
        raise HubError(_why_not_pushed(error, repo_id, token)) from None
    return str(address)


def _check(kind: Kind, repo_id: str, revision: str | None, setting: str) -> str | None:
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, RevisionNotFoundError

    if os.path.isdir(repo_id):  # transformers and datasets would read that folder
        raise HubError(
            f"{setting} is the {_noun(kind)} {repo_id} on the hub, but the current folder holds a folder of that name, "
            f"which would be read instead: start from another folder, or write ./{repo_id} if you mean that one."
        )
    api = HfApi(token=_token())
    try:
        info = api.repo_info(repo_id, repo_type=kind, revision=revision, timeout=TIMEOUT_S)
        if info.gated:  # everyone sees its card, but not everyone its files
            api.auth_check(repo_id, repo_type=kind)
        return info.sha
    except HFValidationError:
        raise HubError(
            f"{repo_id} is not the name of a {_noun(kind)} on the hub: write {setting} as user/name, or {_LOCAL[kind]}."
        ) from None
    except RevisionNotFoundError:
        raise HubError(
            f"The {_noun(kind)} {repo_id} has no revision {revision}: name a commit, branch or tag that its page "
            f"{_page(kind, repo_id, api.endpoint)} lists, or leave the revision out."
        ) from None
    except (HfHubHTTPError, httpx.TransportError, OfflineModeIsEnabled, *_NO_HUB) as error:
        commit = _cached_model(repo_id, revision) if kind == "model" else _cached_dataset(repo_id, revision)
        if commit is not None:
            return commit
        raise HubError(_why_not_found(error, kind, repo_id, setting, api.endpoint)) from None


def _why_not_found(error: Exception, kind: Kind, repo_id: str, setting: str, endpoint: str) -> str:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    which, has_token = f"the {_noun(kind)} {repo_id}", _token() is not None
    page, host = _page(kind, repo_id, endpoint), urlsplit(endpoint).netloc or endpoint
    cached = f"and {which} is not completely in the local cache"
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, {cached}: unset it once to download it, or {_LOCAL[kind]} as {setting}."
    if isinstance(error, GatedRepoError):
        if has_token:
            return f"{_upper(which)} is gated and your token gives no access: ask for it at {page}, then try again."
        return f"{_upper(which)} is gated: {LOG_IN}, and ask for access at {page}."
    if isinstance(error, RepositoryNotFoundError):
        login = "that your token may read it" if has_token else LOG_IN
        return (
            f"The hub knows no {_noun(kind)} {repo_id}: check the spelling (user/name) in {setting}; "
            f"if it is private, which looks the same from outside, {'check ' if has_token else ''}{login}."
        )
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status == 401:
            return f"The hub does not accept your token, so {which} cannot be read: {LOG_IN} anew."
        return (
            f"The hub at {host} answers with the error {status}, {cached}: try again later, "
            f"or {_LOCAL[kind]} as {setting}."
        )
    if isinstance(error, _NO_HUB):
        return f"What answers at {host} is not a hub, {cached}: check the network's login page, proxy and HF_ENDPOINT."
    return (
        f"The hub at {host} cannot be reached, {cached}: connect once to download it, or {_LOCAL[kind]} as {setting}."
    )


def _why_not_pushed(error: Exception, repo_id: str, token: str) -> str:
    import httpx
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):  # of the upload of a large file
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so nothing can be pushed to {repo_id}: unset it."
    if isinstance(error, httpx.TransportError):
        host = urlsplit(constants.ENDPOINT).netloc
        return f"The hub at {host} cannot be reached, so nothing was pushed to {repo_id}: connect and try again."
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403) or isinstance(error, RepositoryNotFoundError):
            return (
                f"Your token may not write to {repo_id}: check the user's or organization's name, and give the token "
                "the permission to write, or log in with another one."
            )
        if status >= 500 or status == 429:
            return f"The hub answers with the error {status}, so nothing was pushed to {repo_id}: try again later."
    detail = " ".join(str(error).split()).replace(token, "<token>")
    return f"The hub did not take the run into {repo_id}: {detail}"


def _token() -> str | None:
    """From the environment or the hub's own login. Raises ``HubError`` for one that no request could carry."""
    from huggingface_hub import get_token

    token = get_token()
    if token is not None and not (token.isascii() and token.isprintable()):
        raise HubError(f"The token of the hub has characters that no token has: {LOG_IN} anew.")
    return token


def _cached_model(repo_id: str, revision: str | None) -> str | None:
    """Commit of a model whose configuration, tokenizer and weights are all in the local cache."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repo_id, "config.json", revision=revision)
    if not isinstance(config, str):
        return None
    snapshot = Path(config).parent
    shards: set[str] = set()
    for name in _WEIGHTS:
        index = snapshot / f"{name}.index.json"
        if index.exists():
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            break
        if (snapshot / name).exists():
            shards = {name}
            break
    needed = {"tokenizer_config.json", *shards}
    return snapshot.name if shards and all((snapshot / name).exists() for name in needed) else None


def _cached_dataset(repo_id: str, revision: str | None) -> str | None:
    """Commit that ``datasets`` would load without a connection: the one that it prepared last."""
    from huggingface_hub import constants

    cache = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets").expanduser()
    owner, _, name = repo_id.rpartition("/")
    snake_case = re.sub(r"([a-z\d])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)).lower()
    prepared = (cache / (f"{owner}___{snake_case}" if owner else snake_case)).glob("*/*/*/dataset_info.json")
    latest = max((path.parent for path in prepared), key=lambda path: path.stat().st_mtime, default=None)
    if latest is None:
        return None
    folder = Path(constants.HF_HUB_CACHE) / f"datasets--{repo_id.replace('/', '--')}"
    known = folder / "refs" / (revision or "main")
    wanted = known.read_text().strip() if known.is_file() else revision
    return latest.name if wanted in (None, latest.name) else None


def _finished_run(folder: Path) -> Run:
    try:
        run = read_run(folder)
    except RunError as error:
        raise HubError(str(error)) from None
    if run.origin != "trained":
        raise HubError(f"The run {run.id} was imported, so its adapter was not made here: push runs trained here.")
    if run.status != "finished":
        raise HubError(
            f"The run {run.id} is {run.status}, not finished: let it end, or finish it with --resume {run.id}."
        )
    if not (folder / ADAPTER_FOLDER / ADAPTER_WEIGHTS).is_file():
        missing = folder / ADAPTER_FOLDER
        raise HubError(f"The run {run.id} has no adapter in {missing}: train it again, or name another run.")
    return run


def _published_files(folder: Path, run: Run, repo_id: str) -> dict[str, Path | bytes]:
    """What the repository will hold, by name. PEFT reads an adapter from a repository's root."""
    log = read_log(folder)
    chart = loss_chart(log)
    adapter = folder / ADAPTER_FOLDER
    return {
        "README.md": model_card(run, log, repo_id).encode(),
        **({CHART_FILE: chart.encode()} if chart else {}),
        ADAPTER_CONFIG: public_adapter_config(folder, run),
        ADAPTER_WEIGHTS: adapter / ADAPTER_WEIGHTS,
        **{name: adapter / name for name in TOKENIZER_FILES if (adapter / name).is_file()},
        **({ADAPTER_FILE: folder / ADAPTER_FILE} if (folder / ADAPTER_FILE).is_file() else {}),
        RECIPE_FILE: public_recipe(run.recipe),
        RUN_FILE: public_record(folder),
        LOG_FILE: folder / LOG_FILE,
    }


def _noun(kind: Kind) -> str:
    return "model" if kind == "model" else "data set"


def _upper(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _page(kind: Kind, repo_id: str, endpoint: str) -> str:
    return f"{endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"
