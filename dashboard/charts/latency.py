"""Where the time of a round went, beside how much was said."""

import altair as alt
import pandas as pd

WORDS_COLOR = "#8b909a"
BAR_STEP_PX = 17
MARGIN_PX = 32


def latency_chart(answers: pd.DataFrame) -> alt.LayerChart:
    """Per answer a bar of its latency, split into prompt (pale) and decoding (full), over a bar of its words.

    ``answers`` has one row per answer: ``pane`` (its label, unique), ``color``, ``prompt_s``, ``decode_s`` (busy
    seconds) and ``words``. The two bars have scales of their own: a slow model's upper bar is the longer one, a
    talkative model has both long.
    """
    rows = answers.assign(
        latency_s=answers["prompt_s"] + answers["decode_s"],
        time_row="time",
        words_row="words",
    )
    rows["time_label"] = [f"{seconds:.1f} s" for seconds in rows["latency_s"]]
    rows["words_label"] = [f"{words:,} word{'' if words == 1 else 's'}" for words in rows["words"]]
    # A fine-tune differs from its base at the end of the name, which must not be the part cut off.
    axis = alt.Axis(
        labelExpr="split(replace(datum.label, ' + ', '|+ '), '|')", labelLimit=170, ticks=False, domain=False
    )
    base = alt.Chart(rows).encode(
        y=alt.Y("pane:N", sort=list(rows["pane"]), title=None, axis=axis),
        tooltip=[
            alt.Tooltip("pane", title="Answer"),
            alt.Tooltip("prompt_s", title="Prompt, s", format=".2f"),
            alt.Tooltip("decode_s", title="Decoding, s", format=".2f"),
            alt.Tooltip("words", title="Words"),
        ],
    )
    time = base.encode(yOffset=_offset("time_row"), color=alt.Color("color:N", scale=None, legend=None))
    words = base.encode(yOffset=_offset("words_row"), x=_length("words", rows["words"].max()))
    seconds = _length("latency_s", rows["latency_s"].max())
    prompt_bar = time.mark_bar(opacity=0.4).encode(x=_length("prompt_s", rows["latency_s"].max()))
    decode_bar = time.mark_bar().encode(x=seconds, x2="prompt_s")
    return (
        alt.layer(
            alt.layer(prompt_bar, decode_bar, _label(base, "time_row", seconds, "time_label")),
            alt.layer(words.mark_bar(color=WORDS_COLOR), _label(base, "words_row", words.encoding.x, "words_label")),
        )
        .resolve_scale(x="independent")
        .properties(height=2 * BAR_STEP_PX * len(rows) + MARGIN_PX)
        .configure_view(stroke=None)
    )


def _offset(row: str) -> alt.YOffset:
    return alt.YOffset(f"{row}:N", scale=alt.Scale(domain=["time", "words"], paddingInner=0.15))


def _length(field: str, longest: float) -> alt.X:
    """A bar's length; a fourth of the width stays free for the label behind the longest bar."""
    return alt.X(
        f"{field}:Q", title=None, axis=None, scale=alt.Scale(domain=[0, max(longest, 1e-9) * 1.35], nice=False)
    )


def _label(base: alt.Chart, row: str, x: alt.X, text: str) -> alt.Chart:
    return base.mark_text(align="left", dx=5, fontSize=11, color=WORDS_COLOR).encode(
        yOffset=_offset(row), x=x, text=text
    )
