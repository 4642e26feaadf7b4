"""Chat templates as model files carry them: Jinja from strangers, so compiled in a sandbox."""

import re

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


def compile_template(source: str) -> jinja2.Template:
    """Compile with the options and extensions that templates are written for. Raises ``jinja2.TemplateError``."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": False}
    # transformers' templates may mark the assistant's part; the mark matters for training only.
    return environment.from_string(re.sub(r"{%-?\s*(end)?generation\s*-?%}", "", source))
