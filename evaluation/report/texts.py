"""Texts as HTML: sentences of this program, and what models and users wrote, in which nothing may run or be fetched."""

from collections.abc import Iterable
from datetime import UTC, datetime

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

HEADINGS_BELOW = 3
"""Headings of an answer stand below those of the page."""

LISTED = 12
"""Names in a sentence; more would hide it."""

_sentences = MarkdownIt("commonmark", {"html": False})
_answers = (
    MarkdownIt("commonmark", {"html": False, "breaks": True})
    .enable(["table", "strikethrough"])
    .disable(["image", "link", "autolink", "reference"])
)


def sentence(markdown: str) -> Markup:
    """A sentence made here, in line."""
    return Markup(_sentences.renderInline(markdown))


def paragraphs(markdown: str) -> Markup:
    """Paragraphs and lists made here."""
    return Markup(_sentences.render(markdown))


def answer(text: str) -> Markup:
    """What a model or a user wrote: Markdown without HTML, pictures and links, all of which are spelled out."""
    tokens = _answers.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = _lowered(token)
    return Markup(_answers.renderer.render(tokens, _answers.options, {}))


def _lowered(heading: Token) -> str:
    return f"h{min(6, int(heading.tag[1:]) + HEADINGS_BELOW)}"


def few(names: Iterable[str]) -> str:
    """``a, b and 3 more``."""
    found = list(names)
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return f"{', '.join(found[:LISTED])}{more}"


def moment(seconds_utc: float) -> str:
    """``3 Nov 2026, 14:05 UTC``; a day and time that everywhere mean the same."""
    when = datetime.fromtimestamp(seconds_utc, UTC)
    return f"{when.day} {when:%b %Y, %H:%M} UTC"
