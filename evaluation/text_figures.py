"""What can be counted in an answer's text, without a model and without knowing the language.

- **Words** are what ``str.split()`` makes of the text.
- **Sentences**: one ends at ``. ! ? …`` before white space, at ``。 ！ ？``, and with its line, so that headings and
  list items count. Not at an abbreviation or initial (``e.g.``, ``Dr.``, ``J.``), not at the number of a list item, and
  not where the text goes on with a small letter. Code in fences has none.
- **Repeated runs of four words**: share of those that occurred before in the same answer, small and capital letters
  alike, without the punctuation around words. A high share is what readers see as a model that goes round in circles.
- **Markdown**: share of the lines, blank ones left out, that carry any: heading, list item, quote, table row, rule,
  fenced code, or within the line bold, italic, code or a link.
"""

import re
import string
from collections.abc import Iterator

from evaluation.records import TextFigures

_ABBREVIATIONS = frozenset({"approx", "ca", "cf", "dr", "fig", "mr", "mrs", "ms", "prof", "st", "vs"})
_DOTTED = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")
_END = re.compile(r"[.!?…。！？]++[\"'*_)\]”’»）」』]*+")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_BLOCK = re.compile(r"\s*(?:#{1,6}\s|[-*+]\s|\d{1,3}[.)]\s|>|\|.*\|\s*$|-{3,}\s*$|(?:\*\s*){3,}$)")
_SIGN = re.compile(r"[*_`\[]")
_INLINE = re.compile(
    r"\*\*[^*\s][^*]*\*\*"
    r"|(?<![\w*])\*[^*\s](?:[^*]*[^*\s])?\*(?![\w*])"
    r"|(?<!\w)__?[^_\s][^_]*__?(?!\w)"
    r"|`[^`]+`"
    r"|\[[^\]]{1,300}\]\([^)]{1,2000}\)"
)
_NUMBER = re.compile(r"\s*\d{1,3}[.)]\s")
_PUNCTUATION = string.punctuation + "“”„‘’«»…–—•。，、！？：；（）「」『』"
_SAYS_SOMETHING = re.compile(r"\w")


def text_figures(text: str) -> TextFigures:
    """See the module for what is counted."""
    words = len(text.split())
    lines = list(_lines(text))
    sentences = sum(_sentences(line) for line, fenced in lines if not fenced)
    marked = sum(1 for line, fenced in lines if fenced or _is_marked(line))
    return TextFigures(
        words=words,
        sentences=max(sentences, 1 if words else 0),
        repeated_4grams=_repeated_4grams(text),
        markdown=marked / len(lines) if lines else None,
    )


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """The lines that are not blank, and whether they are fenced code; the fences are part of it."""
    inside = False
    for line in text.splitlines():
        fence = bool(_FENCE.match(line))
        if line.strip():
            yield line, inside or fence
        inside ^= fence


def _sentences(line: str) -> int:
    number = _NUMBER.match(line)
    line = line[number.end() :] if number else line
    count, rest = 0, 0
    for end in _END.finditer(line):
        if _ends_a_sentence(line, end):
            count, rest = count + 1, end.end()
    return count + bool(_SAYS_SOMETHING.search(line, rest))


def _ends_a_sentence(line: str, end: re.Match[str]) -> bool:
    if end[0][0] in "。！？":
        return True
    following = line[end.end() : end.end() + 3]
    if following and not following[0].isspace():
        return False
    next_letter = following.strip()[:1]
    if next_letter.islower():
        return False
    word = line[max(0, end.start() - 12) : end.start()].split()[-1:]
    return not (end[0] == "." and next_letter and word and _is_abbreviated(word[0].lstrip(_PUNCTUATION)))


def _is_abbreviated(word: str) -> bool:
    initial = len(word) == 1 and word.isupper() and word != "I"
    return initial or word.casefold() in _ABBREVIATIONS or bool(_DOTTED.fullmatch(word))


def _is_marked(line: str) -> bool:
    return bool(_BLOCK.match(line) or (_SIGN.search(line) and _INLINE.search(line)))


def _repeated_4grams(text: str) -> float | None:
    words = [word for each in text.casefold().split() if (word := each.strip(_PUNCTUATION))]
    runs = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else None
