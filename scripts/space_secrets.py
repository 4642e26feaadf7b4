"""In a Space with ``hf_oauth: true``: write the file that lets its owners sign in.

    python -m scripts.space_secrets            # .streamlit/secrets.toml in the project's folder
    python -m scripts.space_secrets PATH       # elsewhere; STREAMLIT_SECRETS_FILES=PATH tells Streamlit where

The Space says in its environment who it is: OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET, OPENID_PROVIDER_URL and SPACE_HOST.
Where they are missing nothing is written, and nobody can sign in; likewise with PUBLIC=0, where all visitors are owners
anyway. COOKIE_SECRET keeps owners signed in over a restart; without it a random one holds until then.
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PATH = PROJECT_ROOT / ".streamlit" / "secrets.toml"
NEEDED = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OPENID_PROVIDER_URL", "SPACE_HOST")
SCOPES = ("openid", "profile")
"""What tells the name. A Space may ask for more on its own account, which is nothing to an owner who signs in."""


def is_private(environment: Mapping[str, str]) -> bool:
    """Whether all visitors are owners; a Space is public unless it says otherwise."""
    return environment.get("PUBLIC", "").lower() in ("0", "false", "no")


def as_toml(environment: Mapping[str, str]) -> str | None:
    """The section ``[auth]``; ``None`` when the environment is not that of a Space where people can sign in."""
    if is_private(environment) or not all(environment.get(name) for name in NEEDED):
        return None
    provider = environment["OPENID_PROVIDER_URL"].rstrip("/")
    values = {
        "redirect_uri": f"https://{environment['SPACE_HOST']}/oauth2callback",
        "cookie_secret": environment.get("COOKIE_SECRET") or secrets.token_urlsafe(32),
        "client_id": environment["OAUTH_CLIENT_ID"],
        "client_secret": environment["OAUTH_CLIENT_SECRET"],
        "server_metadata_url": f"{provider}/.well-known/openid-configuration",
    }
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]  # TOML's, as well
    return "\n".join(["[auth]", *lines, f"client_kwargs = {{ scope = {json.dumps(' '.join(SCOPES))} }}", ""])


def write(path: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Write the file, readable by its owner alone from its first byte on; returns whether there was anything to write.

    Raises ``OSError``.
    """
    text = as_toml(environment)
    if text is None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # an older file would keep the rights it has
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return True


def main(arguments: list[str]) -> int:
    """Says what was done, and no secret."""
    path = Path(arguments[0]) if arguments else DEFAULT_PATH
    try:
        written = write(path)
    except OSError as error:
        print(f"{path} can't be written, so nobody can sign in: {error.strerror or error}.", file=sys.stderr)
        return 1
    print(f"Owners can sign in: {path}" if written else "Nobody signs in: this is no public Space with hf_oauth: true.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
