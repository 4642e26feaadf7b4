"""What can go wrong between here and the hub, as sentences with their remedy."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

LOG_IN = "Make a token that may write at https://huggingface.co/settings/tokens and log in with it: `hf auth login`."


class SpaceError(Exception):
    """The Space can't be made or does not run; the message says why and what to do."""


@contextmanager
def explained(space: str) -> Iterator[None]:
    """Turn what ``huggingface_hub`` raises inside into a ``SpaceError``."""
    try:
        yield
    except LocalTokenNotFoundError:
        raise SpaceError(f"You are not logged in to the hub. {LOG_IN}") from None
    except OfflineModeIsEnabled:
        raise SpaceError("HF_HUB_OFFLINE is set, so the hub is not asked. Unset it: `unset HF_HUB_OFFLINE`.") from None
    except HFValidationError as error:
        raise SpaceError(f"The hub does not take this name: {error}") from None
    except HfHubHTTPError as error:
        raise SpaceError(_refused(space, error)) from error
    except httpx.HTTPError as error:
        raise SpaceError(
            f"The hub can't be reached ({type(error).__name__}). Check the connection and run the same command again: "
            "it goes on where this one ended."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:  # of a single file, for example
        reason = " ".join(str(error).split())
        raise SpaceError(f"It broke off. {reason} Run the same command again: it goes on where it ended.") from error


def _refused(space: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code
    said = f"The hub says: {error.server_message}" if error.server_message else ""
    if status == 401:
        return f"The hub does not know the token of this login, or it has expired. {LOG_IN} {said}".rstrip()
    if status == 402:
        return (
            f"Your plan on the hub does not allow the Space {space}: one that runs a program needs a paid plan, see "
            "https://huggingface.co/pricing. Without one, share a report, which a free static Space shows: "
            f"`python -m evaluation.report report.html --push {space}-report`. {said}".rstrip()
        )
    if status in (403, 404):
        owner = space.partition("/")[0]
        return (
            f"This login may not change {space}, or what it was to use. Is {owner} your name on the hub, or an "
            f"organization that you may write to, and may the token write? Otherwise take another name. {said}".rstrip()
        )
    if status == 429 or status >= 500:
        again = "Run the same command again in a few minutes."
        return f"The hub is busy or out of order (status {status}). {again} {said}".rstrip()
    return f"The hub refused with status {status}. {said or error}"
