"""What of a run may leave this machine: no path of it, and no row of the data.

A path says who trained where; of each, only the last name is kept, and of a home folder itself not even that. Rows are
not ours to pass on: many data sets state no license.
"""

import json
import os.path
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from training.recipe_toml import as_toml
from training.runlog import ADAPTER_FOLDER, RUN_FILE, Run

ADAPTER_CONFIG, RECIPE_FILE = "adapter_config.json", "recipe.toml"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_NAME = r"(?:[^\s/'\"]|\b'\b)+"
_PATH = re.compile(  # a blank is within a folder's name if that goes on to a slash; the last name may end there
    rf"(?<![\w:/.~])(?P<folders>(?:~[\w.-]*|\.\.?|/{_NAME})(?:/{_NAME}(?: (?!~|\.\.?/){_NAME})*)*)/(?P<name>{_NAME})"
)
_IS_PATH = re.compile(r"(?:~[\w.-]*|\.{0,2})/")
_HOMES = ("/home", "/Users")
_RUN = TypeAdapter(Run)


def without_paths(content: Any) -> Any:
    """Texts, lists and mappings of them with each path cut to its last name; web addresses and hub ids stay."""
    if isinstance(content, str):
        if _IS_PATH.match(content):
            return _last_name(*os.path.split(content.rstrip("/")))
        return _PATH.sub(lambda path: _last_name(path["folders"], path["name"]), content)
    if isinstance(content, Mapping):
        return {without_paths(key): without_paths(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [without_paths(item) for item in content]
    return content


def _last_name(folders: str, name: str) -> str:
    return "~" if folders in _HOMES else name


def public_record(folder: Path) -> bytes:
    """``run.json`` without the data's examples."""
    record = without_paths(json.loads((folder / RUN_FILE).read_text(encoding="utf-8")))
    if record.get("data"):
        record["data"]["examples"] = []
    return _json(record)


def public_run(run: Run) -> Run:
    """The run as a stranger may see it, but for the data's examples: of each path the last name."""
    return _RUN.validate_python(without_paths(_RUN.dump_python(run)))


def public_adapter_config(folder: Path, run: Run) -> bytes:
    """PEFT's settings with the base as people know it, not where it lay on this machine."""
    config = without_paths(json.loads((folder / ADAPTER_FOLDER / ADAPTER_CONFIG).read_text(encoding="utf-8")))
    if run.base is not None:
        config["base_model_name_or_path"] = run.base.model
    return _json(config)


def public_recipe(recipe: Mapping[str, Any]) -> bytes:
    """A resolved recipe as TOML, paths cut to their last names."""
    return as_toml(without_paths(recipe)).encode()


def _json(content: Any) -> bytes:
    return f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode("utf-8", "replace")
