"""What other programs call the figures of a log, and how they write numbers."""

import math
import re
from functools import lru_cache

LOSS_NAMES = ("loss", "train_loss", "Training Loss", "train/loss")
EVALUATION_LOSS_NAMES = ("eval_loss", "Validation Loss", "val_loss", "eval/loss")
STEP_NAMES = ("step", "steps", "global_step", "current_steps")
"""The usual spellings, for messages; ``field_of`` knows more."""

_NAMES = {
    "step": "step steps global_step current_step current_steps iteration iter",
    "total_steps": "total_steps max_steps",
    "loss": "loss training_loss loss_train loss_training",
    "eval_loss": "eval_loss evaluation_loss validation_loss val_loss valid_loss loss_eval loss_val loss_validation",
    "learning_rate": "learning_rate lr",
    "grad_norm": "grad_norm gradient_norm",
    "epoch": "epoch epochs current_epoch",
    "tokens": "tokens num_tokens total_tokens num_input_tokens_seen",
    "elapsed_s": "elapsed_s elapsed_time",
    "mean_token_accuracy": "mean_token_accuracy",
    "eval_mean_token_accuracy": "eval_mean_token_accuracy",
    "entropy": "entropy",
    "eval_entropy": "eval_entropy",
}
_FIELDS = {name: field for field, names in _NAMES.items() for name in names.split()}

MOST = 2**53
"""Above it a float no longer holds every count."""

# Not NaN: a loss that is written so has diverged.
_UNKNOWN = {"", "-", "–", "no log", "none", "null", "n/a", "na"}
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
_CLOCK = re.compile(r"(?:(\d+) days?, )?(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")


@lru_cache(maxsize=10_000)
def field_of(name: str) -> str | None:
    """What a column, key or tag stands for: ``loss`` for ``Training Loss``, ``train/loss``, ``my run - train/loss``."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.rpartition(" - ")[2].casefold()).strip("_")
    return _FIELDS.get(plain) or _FIELDS.get(plain.removeprefix("train_"))


def number(value: object) -> float | None:
    """A value as a number, also from text and with a decimal comma; ``None`` when it is unknown or no number."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        value = value.strip()
        if value.casefold() in _UNKNOWN:
            return None
        if "," in value:
            # Of two different signs the last one is the decimal sign: 1.234,5 and 1,234.5.
            other = "." if value.rfind(",") > value.rfind(".") else ","
            value = value.replace(other, "").replace(",", ".")
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    except OverflowError:
        return math.inf


def whole(value: object) -> int | None:
    """A value as a count, also with separated thousands; ``None`` when it is not one."""
    if isinstance(value, str) and _THOUSANDS.fullmatch(value.strip()):
        value = value.replace(",", "")
    figure = number(value)
    return int(figure) if figure is not None and 0 <= figure <= MOST and figure.is_integer() else None


def seconds(value: object) -> float | None:
    """A duration, as a number of seconds or as ``1:02:03``, ``02:03``, ``1 day, 1:02:03``."""
    if isinstance(value, str) and (clock := _CLOCK.fullmatch(value.strip())):
        days, hours, minutes, rest = (float(part or 0) for part in clock.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + rest
    return number(value)


def is_unknown(value: object) -> bool:
    """Whether a value says that there is none, unlike one that cannot be read."""
    return value is None or (isinstance(value, str) and value.strip().casefold() in _UNKNOWN)
