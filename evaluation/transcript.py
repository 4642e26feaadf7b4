"""A conversation as a file to keep: Markdown to read, JSON with the records in full."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from evaluation.endpoints.words import remarks
from evaluation.records import FORMAT_VERSION, Host, Place, Response, Sampling
from evaluation.store import encodable, to_json_text

TITLE_CHARACTERS = 80
_HTML = re.compile(r"<[A-Za-z/!?]")
_MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>#|~&])")


def to_json(responses: Sequence[Response]) -> str:
    """Every response of a conversation, earlier attempts included, in the stored form."""
    records = [dataclasses.asdict(response) for response in responses]
    return to_json_text({"format": FORMAT_VERSION, "responses": records}, indent=2) + "\n"


def to_markdown(responses: Sequence[Response]) -> str:
    """A conversation to read: host and settings, then each round's message and answers with their figures.

    Of several attempts at an answer the newest is shown. Texts are quoted: whatever is in them, the quotation ends
    where they end. Raises ``ValueError`` when a response has no place in a conversation.
    """
    shown = newest_attempts(responses)
    if not shown:
        return "# Empty conversation\n"
    title = _inline(prompt_of(shown[0])[:TITLE_CHARACTERS]) or "Conversation"
    parts = [f"# {title}", *circumstances(shown)]
    for number, answers in groupby(shown, key=lambda response: _place(response).round):
        parts.append(f"## Round {number + 1}")
        prompt = None
        for answer in answers:
            if prompt_of(answer) != prompt:
                prompt = prompt_of(answer)
                parts += ["**User**", _quoted(prompt)]
            parts += [f"### {_inline(answer.model.name)}", _quoted(answer.text), figures_line(answer)]
    return encodable("\n\n".join(parts)) + "\n"


def newest_attempts(responses: Sequence[Response]) -> list[Response]:
    """The last attempt of each pane in each round, in the order of the screen. Raises ``ValueError`` when a response
    has no place in a conversation."""
    newest: dict[tuple[int, int], Response] = {}
    for response in sorted(responses, key=lambda r: (_place(r).attempt, r.submitted_at)):
        newest[_place(response).round, _place(response).pane] = response
    return [newest[position] for position in sorted(newest)]


def _place(response: Response) -> Place:
    if response.place is None:
        raise ValueError(f"Response {response.id} does not belong to a conversation.")
    return response.place


def prompt_of(response: Response) -> str:
    """The message that was answered."""
    return next((m.content for m in reversed(response.messages) if m.role == "user"), "")


def circumstances(shown: Sequence[Response]) -> Iterator[str]:
    """When, on what machine, with which system prompt and settings, as Markdown; what differs between answers is
    listed."""
    started = datetime.fromtimestamp(min(response.submitted_at for response in shown), UTC)
    hosts = dict.fromkeys(_host_line(response.host) for response in shown)
    yield "\n".join([f"- Date: {started:%Y-%m-%d %H:%M} UTC", *(f"- Host: {line}" for line in hosts)])
    for prompt in dict.fromkeys(m.content for response in shown for m in response.messages if m.role == "system"):
        yield "**System prompt**"
        yield _quoted(prompt)
    settings = dict.fromkeys((response.model.name, response.sampling) for response in shown)
    if len({sampling for _, sampling in settings}) == 1:
        yield f"Settings: {_settings_line(shown[0].sampling)}"
    else:
        yield "\n".join(f"- Settings of {_inline(name)}: {_settings_line(sampling)}" for name, sampling in settings)


def _host_line(host: Host) -> str:
    if host.cores is None or host.memory_bytes is None:
        return _inline(f"{host.cpu}, {host.engine}")
    memory_gib = host.memory_bytes / 2**30
    return _inline(f"{host.cpu}, {host.cores:g} cores, {memory_gib:.1f} GiB memory, {host.system}, {host.engine}")


def _settings_line(sampling: Sampling) -> str:
    line = (
        f"temperature {sampling.temperature:g} · top-k {sampling.top_k} · top-p {sampling.top_p:g} · "
        f"min-p {sampling.min_p:g} · repetition penalty {sampling.repeat_penalty:g} · seed {sampling.seed} · "
        f"at most {sampling.max_tokens} tokens"
    )
    stops = ", ".join(_inline(repr(stop)) for stop in sampling.stop)
    return f"{line} · stops at {stops}" if stops else line


def figures_line(response: Response) -> str:
    """What was measured on an answer, on one line of Markdown; what is not known is left out."""
    figures = [
        (response.time_to_first_token_s, "time to first token {:.2f} s"),
        (response.decode_tok_s, "decode speed {:.1f} tokens/s"),
        (response.completion_tokens, "{} tokens"),
        (response.words, "{} words"),
        (response.latency_s, "latency {:.2f} s"),
        (response.seconds_per_word, "{:.3f} s per word"),
        (response.prompt_tokens, "prompt {} tokens"),
        (response.cached_tokens, "{} of them reused"),
    ]
    known = [form.format(value) for value, form in figures if value is not None]
    beside = [f"{remark.label} {_inline(remark.value)}" for remark in remarks(response)]
    return " · ".join([*known, *beside, _ending(response)])


def _ending(response: Response) -> str:
    endings = {
        "stop": "finished",
        "length": f"cut off at {response.sampling.max_tokens} tokens",
        "context": "context full",
        "cancelled": "stopped",
        "error": "failed",
    }
    ending = endings[response.finish_reason]
    return f"{ending}: {_inline(response.error)}" if response.error else ending


def _quoted(text: str) -> str:
    """The text as a quotation. Text with HTML in it is shown verbatim, because an open tag or comment would swallow
    everything after it, quotation or not."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        return "> *(no text)*"
    if _HTML.search(text):
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        text = f"{fence}\n{text}\n{fence}"
    return "\n".join(f"> {line}" if line else ">" for line in text.split("\n"))


def _inline(text: str) -> str:
    """The text on one line, its Markdown signs taken literally."""
    return _MARKDOWN_SIGNS.sub(r"\\\1", " ".join(text.split()))
