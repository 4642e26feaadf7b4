"""A run's trend in words (Markdown): whether it learned, whether it is over, how much longer it would take."""

import math
from itertools import pairwise

from evaluation.leaderboard.wording import counted, listed
from evaluation.runs.noise import FEWEST
from evaluation.runs.number_words import decimals, number
from evaluation.runs.trend import Part, Trend
from evaluation.statistics import Interval

QUARTERS = ("first", "second", "third", "last")


def headline(trend: Trend | None, diverged: bool = False, held_out_fell: bool = False) -> str:
    """The shortest answer to "is it learning?"; ``diverged``: its last losses are no finite numbers;
    ``held_out_fell``: what ``held_out_words.fell_clearly`` says, which counts where the training loss tells nothing."""
    if diverged:
        return "The run diverged"
    if trend is None:
        return "Nothing to tell yet"
    recent = trend.recent_direction
    but = ", but the held-out loss fell" if held_out_fell else ""
    if _ends(trend.change) is None:
        return f"Too few {_steps(trend)} to tell{but}"
    if trend.direction == recent == "unclear" and but and not trend.constant:
        return f"The training loss is too noisy to tell{but}"
    if trend.direction == "unclear":
        return "Nothing can be seen" if recent == "unclear" else f"Nothing over the whole run; the last half {recent}"
    if trend.direction == "rises":
        return "The loss rises" + (", after a fall at the start" if trend.start else "")
    fell = "The loss fell at the start" if trend.start else "A small decline" if _small(trend) else "The loss falls"
    if recent == "unclear":
        return f"{fell}; in the last half nothing more can be seen" if trend.start else fell
    return f"{fell}, {'and still falls' if recent == 'falls' else 'but rises'} in the last half"


def sentences(trend: Trend | None) -> list[str]:
    """What the headline rests on, most important first: early against late, the slope, is it over and how
    much longer, steps above the threshold."""
    if trend is None:
        return ["No training loss is logged yet."]
    if _ends(trend.change) is None:
        few = (
            f"A loss is known of {counted(trend.steps, _step(trend))}: a trend can be told from noise from {FEWEST} on."
        )
        return [few, _above(trend)]
    if trend.constant:
        return [f"The loss stays at {_loss(trend, trend.quarters[-1].mean)}.", _above(trend)]
    said = (_start(trend), _change(trend), _line(trend), _recent(trend), _above(trend), _pulled_in(trend))
    return [sentence for sentence in said if sentence]


def _small(trend: Trend) -> bool:
    """Whether the decline is less than what single steps scatter by."""
    return trend.change is not None and trend.scatter is not None and abs(trend.change.median) < trend.scatter


def _start(trend: Trend) -> str | None:
    if trend.start is None:
        return None
    first, last = trend.start
    return (
        f"At the start the loss falls from {_loss(trend, first.mean)} (mean of {_span(first)}) to "
        f"{_loss(trend, last.mean)} ({_span(last)})."
    )


def _change(trend: Trend) -> str:
    ends = _ends(trend.change)
    if ends is None:
        return ""
    middle, low, high = ends
    first, last = (_loss(trend, trend.quarters[place].mean) for place in (0, -1))
    amount = f"{_signed(ends)} nats per token"
    means = f"The mean goes from {first} in the first quarter to {last} in the last"
    if low <= 0 <= high:
        return f"{means}; noise alone can make such a change: {amount}."
    if middle > 0:
        return f"{means}, {amount}."
    small = (
        ""
        if trend.start or not _small(trend)
        else f" Single {_steps(trend)} scatter by {_loss(trend, trend.scatter or 0)}."
    )
    return f"{means}, {amount}{'' if trend.start else f', {_where(trend)}'}.{small}"


def _where(trend: Trend) -> str:
    """In which quarter most of a decline lies."""
    means = [part.mean for part in trend.quarters]
    falls = [before - after for before, after in pairwise(means)]
    most = falls.index(max(falls))
    if falls[most] < sum(falls) / 2:
        return "spread over the run"
    return "most of it by the second quarter" if most == 0 else f"most of it in the {QUARTERS[most + 1]} quarter"


def _line(trend: Trend) -> str | None:
    ends = _ends(trend.slope)
    if ends is None:
        return None
    flat = ends[1] <= 0 <= ends[2]
    none = ", which may be none at all" if flat else ""
    said = f"A straight line through all {counted(trend.steps, _step(trend))}: {_rate(trend, ends)}{none}."
    if trend.direction != "unclear" or ends[1] >= 0:
        return said
    hidden = -ends[1] * (trend.quarters[-1].last_step - trend.quarters[0].first_step)
    return f"{said} A steady fall by up to {number(hidden, decimals(hidden))} from end to end could hide in the noise."


def _recent(trend: Trend) -> str:
    half = f"in the last half ({_span(*trend.quarters[2:])})"
    ends, known = _ends(trend.recent_slope), "how many further steps would lower the loss by 1%"
    if ends is None:
        return f"Whether it is over cannot be said, nor {known}: {half} there are fewer than {FEWEST} {_steps(trend)}."
    rate = _rate(trend, ends)
    if trend.recent_direction == "rises":
        return f"It **rises** {half}: {rate}. At this rate further steps would not lower the loss."
    if trend.recent_direction == "unclear":
        more = "nothing" if trend.direction == "unclear" else "nothing more"
        return f"{half[0].upper()}{half[1:]} {more} can be told from noise: {rate}. So it cannot be said {known}."
    return f"It {'**still falls**' if trend.direction == 'falls' else 'falls'} {half}: {rate}. {_longer(trend)}"


def _longer(trend: Trend) -> str:
    needed = _ends(trend.steps_for_one_percent)
    if needed is None:
        return "How many further steps would lower it by 1% means nothing, as it is not above 0."
    if needed[0] < 1:
        return "At this rate one further step lowers it by more than 1%."
    about, fewest, most = (max(1, round(float(f"{value:.1e}"))) for value in needed)
    return f"At this rate about {counted(about, 'further step')} ({fewest:,} to {most:,}) would lower it by 1%."


def _above(trend: Trend) -> str:
    above = f"{_steps(trend).capitalize()} above {_threshold(trend)}"
    parts, total = trend.quarters, f"{sum(part.above for part in trend.quarters):,} of {trend.steps:,}"
    if len(parts) < len(QUARTERS):
        return f"{above}: {total}."
    if len({part.steps for part in parts}) == 1:
        counts = listed([f"{part.above:,}" for part in parts])
        return f"{above} in each quarter of {parts[0].steps:,}: {counts}; {total} in all."
    shares = listed([f"{part.above / part.steps:.0%}" for part in parts])
    return f"{above} in each quarter: {shares}; {total} in all."


def _pulled_in(trend: Trend) -> str | None:
    if not trend.pulled_in:
        return None
    if trend.pulled_in == 1:
        return f"1 {_step(trend)} lies far from the {_steps(trend)} around it and counts here as less far."
    return f"{trend.pulled_in:,} {_steps(trend)} lie far from those around them and count here as less far."


def _step(trend: Trend) -> str:
    """What a loss is known of."""
    return "logged step" if trend.sparse else "step"


def _steps(trend: Trend) -> str:
    return f"{_step(trend)}s"


def _span(*parts: Part) -> str:
    return f"steps {parts[0].first_step:,}–{parts[-1].last_step:,}"


def _rate(trend: Trend, slope: tuple[float, float, float]) -> str:
    """Per a power of ten of steps, not above those of the run, so that the figure can be imagined."""
    steps = trend.quarters[-1].last_step - trend.quarters[0].first_step + 1
    per = 10 ** int(math.log10(steps))
    middle, low, high = (value * per for value in slope)
    return f"{_signed((middle, low, high))} nats per token per {per:,} steps"


def _ends(interval: Interval | None) -> tuple[float, float, float] | None:
    """Middle, low and high; ``None`` where there were too few steps for an interval."""
    if interval is None or interval.low is None or interval.high is None:
        return None
    return interval.median, interval.low, interval.high


def _signed(ends: tuple[float, float, float]) -> str:
    """``−0.12 (95%: −0.22 to −0.02)``."""
    places = decimals(ends[2] - ends[1])
    middle, low, high = (number(value, places, "+") for value in ends)
    return f"{middle} (95%: {low} to {high})"


def _loss(trend: Trend, loss: float) -> str:
    """With as many decimals as the change of the loss, at least three."""
    ends = _ends(trend.change)
    return number(loss, max(3, decimals(ends[2] - ends[1]) if ends else 3))


def _threshold(trend: Trend) -> str:
    return f"{trend.threshold:g}".replace("-", "−")
