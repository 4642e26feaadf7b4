"""The records that runs leave behind, format version 1.

Records hold what was observed (raw times, counts, text); every figure shown to a user is a property derived from
them here, so that the arena, the leaderboard and a notebook agree. Unknown is ``None``, never zero.
``results/README.md`` describes the stored form.
"""

import math
from dataclasses import dataclass
from typing import Literal

FORMAT_VERSION = 1

Role = Literal["system", "user", "assistant"]
Origin = Literal["arena", "benchmark", "published", "imported"]
FinishReason = Literal["stop", "length", "context", "cancelled", "error"]
"""``stop``: the model ended or a stop string came; ``length``: max_tokens; ``context``: the context is full;
``cancelled``: the user stopped it or left; ``error``: no (complete) answer, see ``Response.error``."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. The same settings, messages and model give the same text."""

    temperature: float = 0.7
    """0 always takes the most likely token."""
    top_k: int = 40
    """Only the k most likely tokens; 0 keeps all."""
    top_p: float = 0.95
    """Only the most likely tokens that together hold this probability; 1 keeps all."""
    min_p: float = 0.05
    """Only tokens at least this likely relative to the most likely one; 0 keeps all."""
    repeat_penalty: float = 1.0
    """Divides the logits of tokens among the last 64; 1 changes nothing."""
    seed: int = 0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these strings."""


@dataclass(frozen=True)
class ModelRef:
    """Which weights and template answered, by content, so that renaming a file changes nothing."""

    key: str
    """Stable key of base + adapter, from their content hashes."""
    name: str
    """Display name at the time."""
    base_sha256: str | None
    quantization: str
    template_sha256: str | None
    adapter_run: str | None = None
    """Id of the training run (its folder's name under ``results/runs/`` or ``results/published/runs/``)."""
    adapter_sha256: str | None = None
    adapter_scale: float | None = None
    size_bytes: int | None = None
    """Of the files it is made of: base and adapter."""


@dataclass(frozen=True)
class Host:
    """Fingerprint of the machine: figures of different hosts are never mixed."""

    key: str
    """Hash of the other fields; no host name, no user name."""
    cpu: str
    """Of an endpoint, whose processor is unknown, the address that answers: ``api.example.com``."""
    cores: float | None
    """Cores this process may really use (affinity and container quota); unknown of an endpoint."""
    memory_bytes: int | None
    """Memory this process may really use (container limit); unknown of an endpoint."""
    system: str
    engine: str
    """Engine and version, for example ``llama-cpp-python 0.3.36``."""


@dataclass(frozen=True)
class Place:
    """Where in the arena a response stands."""

    conversation: str
    """ULID of the conversation."""
    round: int
    """0-based number of the user's message."""
    pane: int
    """0-based pane."""
    attempt: int = 0
    """0 for the first answer to this message, then one more per regeneration or edit."""


@dataclass(frozen=True)
class Cell:
    """Which cell of which benchmark a response fills, and what else the machine did meanwhile."""

    benchmark: str
    """Id of the benchmark: its folder's name under ``results/benchmarks/`` or ``results/published/benchmarks/``."""
    prompt_set: str
    prompt: str
    """Id of the prompt in its set."""
    repeat: int
    """From 0."""
    kind: str | None = None
    """What the prompt asks for, for example ``arithmetic``."""
    warm_up: bool = False
    """The first answer after the model was loaded: it tells the load time and is no measurement of anything else."""
    others_cores: float | None = None
    """Cores that other programs kept busy while the answer was written, on average."""
    stolen_cores: float | None = None
    """Cores that the hypervisor gave to other machines meanwhile, on average."""
    disturbed: bool = False
    """Whether the two left the model fewer cores than it has threads; see ``evaluation.benchmark.disturbance``."""


@dataclass(frozen=True)
class ServerFigures:
    """What an endpoint says of its own work on an answer; what it does not say is ``None``.

    Its ``usage`` counts tokens, ``timings`` (llama-server) are seconds on the server's clock, without the network and
    without waiting there. The figures of a ``Response`` are those of the client's clock, which every server has.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_s: float | None = None
    decode_s: float | None = None
    refused_settings: tuple[str, ...] = ()
    """Fields of ``Response.sampling`` that the server does not take, so that it used settings of its own there."""
    arrivals: int | None = None
    """In how many parts the answer came here, each some time after the one before. This machine counts them."""

    @property
    def came_as_written(self) -> bool:
        """Whether the answer came about token by token, at least one part for two tokens. Otherwise something on the
        way gathers tokens, and the time from the first to the last part is not the time of writing them."""
        return self.arrivals is not None and 2 * self.arrivals >= (self.completion_tokens or 0)


@dataclass(frozen=True)
class TextFigures:
    """What can be counted in an answer. Derived from its text, and stored with it only so that a leaderboard need not
    read a million texts; ``evaluation.text_figures`` counts and defines them."""

    words: int
    sentences: int
    repeated_4grams: float | None
    """Share of its runs of four words that occurred in it before, 0 to 1; ``None`` below four words."""
    markdown: float | None
    """Share of its lines that carry Markdown, 0 to 1; ``None`` without a line."""


@dataclass(frozen=True)
class Response:
    """One answer, also a stopped or failed one. Times are UTC seconds since 1970, durations seconds.

    Of a ``published`` answer little is known: how long its user waited, and sometimes its number of words. Its text
    is empty, its clock starts at 0 when it was asked for, and of its sampling only ``temperature`` and ``max_tokens``
    are stated.
    """

    id: str
    """ULID."""
    origin: Origin
    host: Host
    model: ModelRef
    messages: tuple[Message, ...]
    """What the model was asked: system prompt, earlier turns, and the message answered here."""
    sampling: Sampling
    template_date: str | None
    """ISO date given to templates that write today's date into the prompt."""
    text: str
    finish_reason: FinishReason
    submitted_at: float
    ended_at: float
    error: str | None = None
    """A sentence for the user when ``finish_reason`` is ``error`` or ``context``."""
    started_at: float | None = None
    """When the model first worked on it (after queue and load)."""
    first_token_at: float | None = None
    prompt_busy_s: float | None = None
    """Seconds of computing from the start to the first token."""
    decode_busy_s: float | None = None
    """Seconds of computing from the first to the last token."""
    load_s: float | None = None
    """Seconds this answer waited for its model to load; ``None`` when the model was in memory."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    """Of the prompt tokens, those reused from an earlier turn."""
    completion_tokens: int | None = 0
    """Tokens of the answer, the end-of-turn token not counted; of an endpoint's as the server counts, perhaps with
    it."""
    stated_words: int | None = None
    """Words of a published answer, as its publication has them; its text is not at hand."""
    shared: bool | None = None
    """Whether another answer was being computed on this host in the meantime."""
    threads: int | None = None
    context_length: int | None = None
    peak_memory_bytes: int | None = None
    """Largest resident set of the model's process so far."""
    place: Place | None = None
    cell: Cell | None = None
    text_figures: TextFigures | None = None
    """``None`` in records from before they were stored, and when published."""
    server: ServerFigures | None = None
    """Of an endpoint's answer: what the server itself says of it; then all times above are the client's, the network
    and any waiting at the server included. ``None`` when this machine computed the answer."""
    format: int = FORMAT_VERSION

    @property
    def cold(self) -> bool | None:
        """Whether the model had to be loaded for this answer."""
        return None if self.origin == "published" else self.load_s is not None

    @property
    def time_to_first_token_s(self) -> float | None:
        """Submit to first token, waiting and loading included: what the user sat through."""
        return None if self.first_token_at is None else self.first_token_at - self.submitted_at

    @property
    def latency_s(self) -> float | None:
        """Busy seconds from prompt to last token: what the answer takes when the model has the machine alone.

        Of a published answer the time from submit to end, in which any waiting and loading is included.
        """
        if self.origin == "published":
            return self.ended_at - self.submitted_at
        if self.prompt_busy_s is None or self.decode_busy_s is None:
            return None
        return self.prompt_busy_s + self.decode_busy_s

    @property
    def waiting_s(self) -> float | None:
        """Seconds from submit to end in which this answer was not being computed."""
        if self.latency_s is None or self.origin == "published":
            return None
        return max(0.0, self.ended_at - self.submitted_at - self.latency_s)

    @property
    def decode_tok_s(self) -> float | None:
        """(completion tokens - 1) / busy seconds from first to last token; the first token belongs to the prompt.
        Unknown where the tokens of an endpoint did not come as they were written, see ``ServerFigures``."""
        if self.completion_tokens is None or self.completion_tokens < 2 or not self.decode_busy_s:
            return None
        if self.server is not None and not self.server.came_as_written:
            return None
        return (self.completion_tokens - 1) / self.decode_busy_s

    @property
    def prompt_tok_s(self) -> float | None:
        """Prompt tokens really read (not reused) / busy seconds to the first token."""
        if self.prompt_tokens is None or self.cached_tokens is None or not self.prompt_busy_s:
            return None
        return (self.prompt_tokens - self.cached_tokens) / self.prompt_busy_s

    @property
    def words(self) -> int | None:
        """``len(text.split())``; of a published answer what was stated."""
        return self.stated_words if self.origin == "published" else len(self.text.split())

    @property
    def seconds_per_word(self) -> float | None:
        """Latency / words."""
        return self.latency_s / self.words if self.latency_s is not None and self.words else None


@dataclass(frozen=True)
class AnswerLoss:
    """How unlikely a model finds a reference answer to a prompt: a measure of quality without a judge.

    The mean negative log-likelihood of the reference's tokens, each given the prompt and the tokens before it. The
    end-of-turn token is not counted.
    """

    id: str
    """ULID."""
    host: Host
    model: ModelRef
    messages: tuple[Message, ...]
    """The prompt."""
    reference: str
    """The answer that was not written by the model."""
    template_date: str
    measured_at: float
    """UTC seconds since 1970."""
    benchmark: str
    """As in :class:`Cell`."""
    prompt_set: str
    prompt: str
    loss_nats: float | None
    """Sum over the reference's tokens; ``None`` when it could not be measured, see ``error``."""
    reference_tokens: int | None
    error: str | None = None
    """A sentence for the user."""
    format: int = FORMAT_VERSION

    @property
    def answer_loss_nats(self) -> float | None:
        """Nats per token: compares models with the same tokenizer."""
        if self.loss_nats is None or not self.reference_tokens:
            return None
        return self.loss_nats / self.reference_tokens

    @property
    def bits_per_byte(self) -> float | None:
        """Bits per byte of UTF-8: compares models whose tokenizers differ."""
        size = len(self.reference.encode(errors="replace"))
        return None if self.loss_nats is None or not size else self.loss_nats / math.log(2) / size
