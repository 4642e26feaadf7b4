"""The leaderboard's charts and files, as they are drawn: read back from the SVG, the PNG and the tables."""

import re
from collections import Counter
from io import BytesIO
from math import nan
from xml.etree import ElementTree

import pandas as pd
import pytest
import streamlit as st

from dashboard.downloads import to_csv, to_parquet, to_png, to_svg
from dashboard.leaderboard import reading
from evaluation.charts.colors import model_colors
from evaluation.charts.differences import differences_chart
from evaluation.charts.latency import latency_chart
from evaluation.charts.length import length_chart
from evaluation.charts.pareto import pareto_chart

BASE, TUNED, OTHER = "Small 135M Instruct", "Small 135M Instruct + concise", "Other"
BLUE, ORANGE, GREEN = "#3b82f6", "#f08c1a", "#10a37f"
MODELS = pd.DataFrame({"label": [BASE, TUNED, OTHER], "color": [BLUE, ORANGE, GREEN]})


class Drawing:
    """A chart as SVG."""

    def __init__(self, chart) -> None:
        self.svg = to_svg(chart.to_dict()).decode()
        self.texts = [text for text in ElementTree.fromstring(self.svg).itertext() if text.strip()]

    def marks(self, kind: str) -> list[str]:
        """What the marks of a kind (``bar``, ``circle``, ``rule mark``, ``point``) say to a screen reader."""
        return re.findall(rf'aria-label="([^"]*)"[^>]*aria-roledescription="{kind}"', self.svg)


def test_latency_shows_the_unknown_as_unknown() -> None:
    """A model whose parts are unknown has one bar with its whole latency; unknown words are called so and have no
    length. The end of a fine-tune's name, in which it differs from its base, is there in full."""
    models = pd.DataFrame(
        {
            "pane": [BASE, TUNED, OTHER],
            "color": [BLUE, ORANGE, GREEN],
            "prompt_s": [0.5, nan, 0.25],
            "decode_s": [1.0, 38.0, 0.75],
            "words": [100.0, nan, 1.0],
        }
    )
    drawing = Drawing(latency_chart(models, "Model"))
    for text in ("1.50 s", "38.0 s", "1.00 s", "100 words", "unknown", "1 word", "+ concise"):
        assert text in drawing.texts
    assert not any("NaN" in text or "null" in text for text in drawing.texts)


def test_pareto_draws_only_what_is_known() -> None:
    """Whiskers stand where there is an interval, the memory where it was measured, and the line joins the front."""
    models = MODELS.assign(
        cost=[2.0, 3.0, 3.5],
        cost_low=[1.9, nan, 3.4],
        cost_high=[2.1, nan, 3.6],
        quality=[1.0, 0.9, 1.1],
        quality_low=[0.98, nan, 1.0],
        quality_high=[1.02, nan, 1.2],
        memory_mb=[200.0, nan, 400.0],
        front=[True, True, False],
    )
    drawing = Drawing(pareto_chart(models, "Latency at 150 words, s", "Bits per byte"))
    for text in (f"{BASE} · 200 MB", TUNED, f"{OTHER} · 400 MB", "Latency at 150 words, s", "Bits per byte"):
        assert text in drawing.texts
    assert len(drawing.marks("rule mark")) == 4
    assert len(drawing.marks("circle")) == 2 and len(drawing.marks("point")) == 1
    line = re.search(r'aria-roledescription="line mark"[^>]* d="([^"]*)"', drawing.svg)
    assert line and len(re.findall("[ML]", line[1])) == 3  # two models: across, then down
    without = Drawing(pareto_chart(models.assign(front=False), "Latency at 150 words, s", "Bits per byte"))
    assert not without.marks("line mark") and len(without.marks("circle")) == 2


def test_differences_show_each_prompt_and_all_together() -> None:
    """A point per pair, a diamond per model, an interval of either where there is one, and zero within the picture."""
    pairs = pd.DataFrame(
        {
            "model_key": ["t"] * 3 + ["o"] * 2,
            "prompt_key": ["a", "b", "c", "a", "b"],
            "label": [TUNED] * 3 + [OTHER] * 2,
            "color": [ORANGE] * 3 + [GREEN] * 2,
            "prompt": ["Why?", "How?", "When?", "Why?", "How?"],
            "value": [5.0, 6, 7, 8, 9],
            "baseline_value": [1.0] * 5,
            "difference": [4.0, 5, 6, 7, 8],
            "answers": [5] * 5,
            "baseline_answers": [4] * 5,
            "low": [-3.5, 4.5, nan, nan, nan],
            "high": [4.5, 5.5, nan, nan, nan],
        }
    )
    overall = pd.DataFrame(
        {
            "label": [TUNED, OTHER],
            "color": [ORANGE, GREEN],
            "median": [5.0, 7.5],
            "low": [4.0, nan],
            "high": [6.0, nan],
            "n": [3, 2],
        }
    )
    drawing = Drawing(differences_chart(pairs, overall, "Latency, s: difference"))
    points = drawing.marks("circle")
    assert len(points) == 5 and sum("Prompt: Why?" in point for point in points) == 2
    assert len(drawing.marks("point")) == 2
    assert len(drawing.marks("rule mark")) == 4  # zero, two intervals of points and one of a diamond
    assert "its interval: −3.500 to 4.500; Answers: 5; The baseline's answers: 4" in drawing.svg
    assert "0" in drawing.texts and "+ concise" in drawing.texts


def test_every_answer_is_a_point_in_its_models_color() -> None:
    """The legend names the models in the given order, each in the color it has on every page."""
    answers = pd.DataFrame(
        {
            "model_key": ["o", "b", "t", "b"],
            "prompt_key": ["a", "a", "a", "b"],
            "id": ["1", "2", "3", "4"],
            "label": [OTHER, BASE, TUNED, BASE],
            "prompt": "Why?",
            "words": [10.0, 20, 30, 40],
            "latency_s": [1.0, 2, 3, 4],
        }
    )
    drawing = Drawing(length_chart(answers, MODELS))
    assert len(drawing.marks("circle")) == 4
    assert drawing.svg.count(f'fill="{BLUE}"') == 3  # two points and the legend's
    assert [text for text in drawing.texts if text in (BASE, TUNED, OTHER)] == [BASE, TUNED, OTHER]


def test_a_click_names_the_answer_that_was_clicked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the chart tells of a point is enough to open that answer beside the baseline's."""
    point = {"model_key": "t", "prompt_key": "a", "id": "3"}
    answers = pd.DataFrame([point]).assign(label=TUNED, prompt="Why?", words=30.0, latency_s=3.0)
    (param,) = length_chart(answers, MODELS).to_dict()["params"]
    told = {field: point[field] for field in param["select"]["fields"]}
    state = {"chart": {"selection": {param["name"]: [told]}}}
    monkeypatch.setattr(st, "session_state", state)
    reading.on_click("b")("chart")
    assert state[reading.WANTED] == reading.Wanted("a", ("t", "b"), "3")


def test_colors_run_out_evenly() -> None:
    """A ninth model shares one color with one other; those that every page knows keep theirs whoever else is there."""
    known, others = [f"known-{number}" for number in range(5)], [f"other-{number}" for number in range(12)]
    colors = model_colors(known, others)
    assert sorted(Counter(colors.values()).values()) == [2] * 7 + [3]
    assert len(set(model_colors(known, others[:4]).values())) == 8
    assert {key: colors[key] for key in known} == model_colors(known)


def test_pictures_can_be_put_on_paper() -> None:
    """PNG and SVG are on white, and the PNG has twice the pixels of the SVG."""
    answers = MODELS.rename(columns={"label": "pane"}).assign(prompt_s=0.1, decode_s=1.0, words=10)
    spec = latency_chart(answers).to_dict()
    svg = ElementTree.fromstring(to_svg(spec))
    png = to_png(spec)
    assert png.startswith(b"\x89PNG") and int.from_bytes(png[16:20], "big") == 2 * int(float(svg.attrib["width"]))
    assert any(each.attrib.get("fill") == "white" for each in svg.iter())


@pytest.mark.parametrize(
    ("write", "read"), [(to_csv, pd.read_csv), (to_parquet, pd.read_parquet)], ids=["csv", "parquet"]
)
def test_tables_come_back_as_they_were(write, read) -> None:
    """Numbers are kept to the last digit and unknown stays unknown; text with commas, quotes and lines is one value."""
    table = pd.DataFrame({"model": ['A, "b"\n', "空"], "median": [1 / 3, nan], "n": [3, 40]})
    back = read(BytesIO(write(table)))
    pd.testing.assert_frame_equal(back, table, check_exact=True, check_dtype=False)
