"""One answer of an endpoint, whatever comes of it."""

from collections.abc import Sequence
from contextlib import suppress

from evaluation.endpoints import Endpoint
from evaluation.endpoints.answer import Answer
from evaluation.endpoints.client import ask
from evaluation.endpoints.faults import ended_early, sentence
from evaluation.endpoints.probe import served_models
from evaluation.endpoints.refusal import Refused
from evaluation.records import FinishReason, Message, Sampling


async def outcome(
    endpoint: Endpoint,
    messages: Sequence[Message],
    sampling: Sampling,
    benchmark: bool,
    refused: set[str],
    stall_s: float,
    answer: Answer,
) -> tuple[FinishReason, str | None]:
    """Let the endpoint write ``answer``; how that ended, and a sentence when it failed. Parameters as in
    ``client.ask``."""
    try:
        await ask(endpoint, messages, sampling, benchmark, refused, stall_s, answer)
    except Exception as error:
        if answer.finish_reason is None:  # otherwise the answer was there before
            reason: FinishReason = "context" if isinstance(error, Refused) and error.context_is_full else "error"
            served: tuple[str, ...] = ()
            if isinstance(error, Refused) and error.status == 404:
                with suppress(Exception):  # then the sentence does without
                    served = await served_models(endpoint)
            return reason, sentence(endpoint, error, stall_s, bool(answer.pieces), served)
    if answer.finish_reason is None:
        return "error", ended_early(endpoint, answer.finish, bool(answer.pieces))
    return answer.finish_reason, None
