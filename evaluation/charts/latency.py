"""Where the time went, beside how much was said: slow, or long?"""

import altair as alt
import pandas as pd

from evaluation.charts.parts import QUIET_COLOR, model_axis

BAR_STEP_PX = 17
MARGIN_PX = 32
UNKNOWN = "unknown"


def latency_chart(answers: pd.DataFrame, each: str = "Answer") -> alt.LayerChart:
    """Per row a bar of its latency, split into prompt (pale) and decoding (full), over a bar of its words.

    ``answers`` has one row per answer, or per model with its medians, as ``each`` says: ``pane`` (its label, unique),
    ``color``, ``prompt_s``, ``decode_s`` (busy seconds) and ``words``. The two bars have scales of their own: a slow
    model's upper bar is the longer one, a talkative model has both long. Where ``prompt_s`` is NaN, ``decode_s`` is all
    of the latency, drawn in a middle shade; NaN words have no bar.
    """
    split = answers["prompt_s"].notna()
    rows = answers.assign(
        decode_s=answers["decode_s"].where(split),
        bar_from_s=answers["prompt_s"].fillna(0),
        bar_to_s=(answers["prompt_s"].fillna(0) + answers["decode_s"]).fillna(0),
        bar_words=answers["words"].fillna(0),
        bar_opacity=[1.0 if known else 0.65 for known in split],
        time_row="time",
        words_row="words",
    )
    rows["time_label"] = [_seconds(seconds) for seconds in answers["prompt_s"].fillna(0) + answers["decode_s"]]
    rows["words_label"] = [_words(words) for words in answers["words"]]
    base = alt.Chart(rows).encode(
        y=alt.Y("pane:N", sort=list(rows["pane"]), title=None, axis=model_axis()),
        tooltip=[
            alt.Tooltip("pane", title=each),
            alt.Tooltip("time_label", title="Latency"),
            alt.Tooltip("prompt_s", title="Prompt, s", format=".2f"),
            alt.Tooltip("decode_s", title="Decoding, s", format=".2f"),
            alt.Tooltip("words_label", title="Length"),
        ],
    )
    time = base.encode(yOffset=_offset("time_row"), color=alt.Color("color:N", scale=None, legend=None))
    words = base.encode(yOffset=_offset("words_row"), x=_length("bar_words", rows["bar_words"].max()))
    seconds = _length("bar_to_s", rows["bar_to_s"].max())
    prompt_bar = time.mark_bar(opacity=0.4).encode(x=_length("bar_from_s", rows["bar_to_s"].max()))
    decode_bar = time.mark_bar().encode(
        x=seconds, x2="bar_from_s", opacity=alt.Opacity("bar_opacity:Q", scale=None, legend=None)
    )
    return (
        alt.layer(
            alt.layer(prompt_bar, decode_bar, _label(base, "time_row", seconds, "time_label")),
            alt.layer(words.mark_bar(color=QUIET_COLOR), _label(base, "words_row", words.encoding.x, "words_label")),
        )
        .resolve_scale(x="independent")
        .properties(height=2 * BAR_STEP_PX * len(rows) + MARGIN_PX)
        .configure_view(stroke=None)
    )


def _seconds(seconds: float) -> str:
    return UNKNOWN if pd.isna(seconds) else f"{seconds:,.{1 if seconds >= 10 else 2}f} s"


def _words(words: float) -> str:
    return UNKNOWN if pd.isna(words) else f"{words:,.0f} word{'' if words == 1 else 's'}"


def _offset(row: str) -> alt.YOffset:
    return alt.YOffset(f"{row}:N", scale=alt.Scale(domain=["time", "words"], paddingInner=0.15))


def _length(field: str, longest: float) -> alt.X:
    """A bar's length; a fourth of the width stays free for the label behind the longest bar."""
    return alt.X(
        f"{field}:Q", title=None, axis=None, scale=alt.Scale(domain=[0, max(longest, 1e-9) * 1.35], nice=False)
    )


def _label(base: alt.Chart, row: str, x: alt.X, text: str) -> alt.Chart:
    return base.mark_text(align="left", dx=5, fontSize=11, color=QUIET_COLOR).encode(
        yOffset=_offset(row), x=x, text=text
    )
