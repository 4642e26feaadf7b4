"""The data card's charts as they are drawn: read back from the SVG."""

import re

import altair as alt
import pytest

from dashboard.downloads import to_svg
from dashboard.training.card_frames import answer_lengths, sources, stages
from evaluation.charts.data_card import bars_chart, words_chart
from training.runlog import DataCard, FilterStep

GREEN = "#10a37f"
CARD = DataCard(
    name="talk.jsonl",
    rows=1400,
    unusable={"no answer": 5, "role tool": 2},
    filters=(FilterStep("score at least 4", 1300), FilterStep("no exact duplicates", 1300)),
    train_rows=1240,
    sources={f"source {number}": number for number in range(1, 16)},
    answer_words=(3, 0, 7),
)


def drawn(chart: alt.TopLevelMixin) -> tuple[list[str], list[str], list[float]]:
    """Texts, what the bars say to a screen reader, and their widths."""
    svg = to_svg(chart.to_dict()).decode()
    bars = re.findall(r'aria-label="([^"]*)"[^>]*aria-roledescription="bar" d="M[^h]*h([\d.]+)', svg)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return texts, [label for label, _ in bars], [float(width) for _, width in bars]


def test_every_filter_with_what_it_left_and_took() -> None:
    """From the rows read to those trained on, each number beside its name and each bar as long as its number."""
    frame = stages(CARD, GREEN)
    assert frame["text"].tolist() == ["1,400", "1,393 (−7)", "1,300 (−93)", "1,300", "1,240 (−60)"]
    texts, _, widths = drawn(bars_chart(frame))
    assert "score at least 4: 1,300 (−93)" in texts
    assert [width / widths[0] for width in widths] == pytest.approx([rows / 1400 for rows in frame["rows"]], abs=1e-3)
    assert frame["color"].tolist()[-1] == GREEN and GREEN not in frame["color"].tolist()[:-1]


def test_sources_of_which_there_are_many_end_in_the_others() -> None:
    """The twelve largest, then the three smallest in one bar; nothing is lost."""
    frame = sources(CARD, GREEN)
    assert frame["name"].tolist()[:2] == ["source 15", "source 14"] and len(frame) == 13
    assert frame.iloc[-1][["name", "rows", "text"]].tolist() == ["3 others", 1 + 2 + 3, "6 (5%)"]
    assert frame["rows"].sum() == sum(CARD.sources.values())
    assert "source 15: 15 (12%)" in drawn(bars_chart(frame))[0]
    assert sources(DataCard("talk.jsonl", 3), GREEN).empty


def test_lengths_have_an_open_last_bin() -> None:
    """Bins of ten words, empty ones included; the last says that it has no end."""
    frame = answer_lengths(CARD)
    assert frame["range"].tolist() == ["0–9", "10–19", "20 or more"]
    _, bars, _ = drawn(words_chart(frame, GREEN))
    assert any("20 or more" in bar and "Answers: 7" in bar for bar in bars)
    assert answer_lengths(DataCard("talk.jsonl", 3)).empty
