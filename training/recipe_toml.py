"""A resolved recipe as the TOML file that it could have come from."""

import json
import re
from collections.abc import Mapping
from typing import Any


def as_toml(settings: Mapping[str, Any]) -> str:
    """Sections of plain values, such as ``run.json`` keeps, as TOML; what is ``None`` is left out, as it is there."""
    sections = {name: value for name, value in settings.items() if isinstance(value, Mapping)}
    alone = {name: value for name, value in settings.items() if name not in sections}
    parts = [_lines(alone), *(f"[{_key(name)}]\n{_lines(section)}" for name, section in sections.items())]
    return "\n".join(part for part in parts if part)


def _lines(section: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {toml_value(value)}\n" for key, value in section.items() if value is not None)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else toml_value(name)


def toml_value(value: Any) -> str:
    """As it stands to the right of an equals sign, on one line."""
    if isinstance(value, Mapping):
        inner = (f"{_key(key)} = {toml_value(each)}" for key, each in value.items() if each is not None)
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml_value(each) for each in value if each is not None)}]"
    if isinstance(value, float):
        return repr(value)  # nan and inf are called so there too
    # JSON's strings, whole numbers and booleans are written the same in TOML
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")
