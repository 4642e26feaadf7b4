"""After an upload: the Space built, started, and found running or not."""

import time
from collections.abc import Callable
from contextlib import suppress

import httpx
from huggingface_hub import HfApi, SpaceRuntime
from huggingface_hub.errors import HfHubHTTPError

from scripts.space_errors import SpaceError
from scripts.start_space import SAYS

LOG_LINES = 20
TIMEOUT_S = 3600.0
"""Longest build and start that is waited for."""
OLD_STAGE_S = 60.0
"""After an upload, the hub may for this long still tell of what was there before."""
RUNNING, ASLEEP = "RUNNING", ("PAUSED", "STOPPED", "SLEEPING")
FAILED = ("BUILD_ERROR", "CONFIG_ERROR", "RUNTIME_ERROR")

Say = Callable[[str], None]


def wake(api: HfApi, space: str, new: bool, say: Say) -> None:
    """The hub builds by itself after an upload, but not a Space that sleeps, nor once more what has failed."""
    stage = api.get_space_runtime(space).stage
    if stage in ASLEEP or (not new and stage in FAILED):
        api.restart_space(space)
        say("Nothing was new; the Space is started again." if not new else "The Space is started again.")


def wait(api: HfApi, space: str, commit: str, say: Say, poll_s: float) -> None:
    """Return when this commit runs, each new stage told meanwhile. Raises ``SpaceError`` when it fails."""
    start, told_stage = time.monotonic(), None
    while (waited_s := time.monotonic() - start) < TIMEOUT_S:
        runtime = api.get_space_runtime(space)
        stage = str(getattr(runtime.stage, "value", runtime.stage))
        if stage != told_stage:
            say(f"{stage.replace('_', ' ').lower()} ({waited_s:.0f} s)")
            told_stage = stage
        if runtime.raw.get("sha") in (None, commit) or waited_s > OLD_STAGE_S:
            if stage == RUNNING:
                return
            if stage in FAILED:
                raise SpaceError(_failure(api, space, stage, runtime))
        time.sleep(poll_s)
    raise SpaceError(f"The Space still does not run after {TIMEOUT_S / 60:.0f} minutes. Look at {_page(api, space)}")


def _failure(api: HfApi, space: str, stage: str, runtime: SpaceRuntime) -> str:
    lines = [] if stage == "CONFIG_ERROR" else _log(api, space, build=stage == "BUILD_ERROR")
    reason = [message] if (message := runtime.raw.get("errorMessage")) else []
    log = "".join(f"\n    {line}" for line in [*lines[-LOG_LINES:], *reason])
    what = stage.replace("_", " ").lower()
    return f"The Space does not run ({what}). The last it said:{log}\nAll of it: {_page(api, space)}"


def say_where(api: HfApi, space: str, say: Say) -> str:
    """The addresses. Returns what the Space itself says of where its records go, as far as the hub gives its log."""
    said = [line.removeprefix(SAYS) for line in _log(api, space) if line.startswith(SAYS)]
    if said:
        say(f"The Space says: {said[-1]}")
    say(f"It runs: {_page(api, space)}")
    if host := api.space_info(space).host:
        say(f"By itself, which is also where to sign in: {host}")
    return said[-1] if said else ""


def _log(api: HfApi, space: str, build: bool = False) -> list[str]:
    """The lines there are by now; none where the hub does not give them."""
    with suppress(HfHubHTTPError, httpx.HTTPError):
        return [line.rstrip() for line in api.fetch_space_logs(space, build=build)]
    return []


def _page(api: HfApi, space: str) -> str:
    return f"{api.endpoint}/spaces/{space}"
