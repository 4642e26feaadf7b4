"""The page itself: one file that asks nobody for anything, which its own content security policy makes sure of."""

import base64
import hashlib
from functools import cache
from pathlib import Path

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.leaderboard import words
from evaluation.report import method
from evaluation.report.board import definitions, table
from evaluation.report.charts import leaderboard_charts
from evaluation.report.contents import Contents
from evaluation.report.conversations import talk
from evaluation.report.texts import moment, paragraphs, sentence
from evaluation.report.training import training
from evaluation.store import encodable

TEMPLATES = Path(__file__).with_name("template")


def report_page(contents: Contents) -> str:
    """The report as HTML."""
    view = contents.view
    rows = view.measured.board.rows if view else ()
    colors = {row.adapter_run or row.model_key: view.colors[row.model_key] for row in rows} if view else {}
    trained = training(contents.runs, contents.logs, colors)
    shown = table(view) if view and rows else None
    charts = leaderboard_charts(view) if view else []
    draws = trained.chart is not None or any(chart.spec for chart in charts)
    scripts = [*([_libraries()] if draws else []), _script()]
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            contents=contents,
            created=moment(contents.created_at),
            view=view,
            host_name=words.host_names([view.host], None)[view.host.key] if view else "",
            counted=words.counted(view.measured.board, view.measured.cells) if view else "",
            verdict=[sentence(each) for each in view.measured.sentences] if view else [],
            published_note=paragraphs(words.PUBLISHED_NOTE) if view and view.host.published else None,
            table=shown,
            charts=charts,
            findings=[(each.question, paragraphs(each.answer)) for each in contents.findings],
            training=trained,
            talks=[talk(id, responses, view.colors if view else {}) for id, responses in contents.conversations],
            machine=method.machine(view.host) if view else [],
            asked=method.asked(view, contents.benchmarks) if view else [],
            definitions=definitions(shown.figures) if shown else [],
            statistics=method.STATISTICS,
            versions=method.versions(trained.software),
            style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
            draws=draws,
            scripts=[Markup(each) for each in scripts],
            script_hashes=[_hash(each) for each in scripts],
        )
    )
    return encodable(html)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _libraries() -> str:
    """Vega, Vega-Lite and Vega-Embed, once for all charts."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle


@cache
def _script() -> str:
    return (TEMPLATES / "report.js").read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """How a content security policy names a script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
