"""What is said of an endpoint's answer beside its figures: whose clock they come from, and what the server says."""

from typing import NamedTuple

from evaluation.records import Response

SETTINGS = {
    "temperature": "temperature",
    "top_k": "top-k",
    "top_p": "top-p",
    "min_p": "min-p",
    "repeat_penalty": "repetition penalty",
    "seed": "seed",
}


class Remark(NamedTuple):
    """A labelled value and what it means."""

    label: str
    value: str
    meaning: str


def remarks(response: Response) -> list[Remark]:
    """None on an answer that was computed here."""
    server = response.server
    if server is None:
        return []
    told = server.prompt_s is not None or server.decode_s is not None
    found = [
        Remark(
            "clock",
            "this machine's",
            "The times are taken where the question was asked, so the network and any waiting at the server are part "
            "of them. " + ("What the server says of itself stands beside them." if told else "The server tells none."),
        )
    ]
    if server.prompt_s is not None:
        meaning = "What the server says it took to read the prompt, without the network and without waiting there."
        found.append(Remark("server's prompt time", f"{server.prompt_s:,.2f} s", meaning))
    if server.decode_s and server.completion_tokens:
        meaning = "Tokens of the answer / the seconds that the server says it took to write them."
        found.append(Remark("server's speed", f"{server.completion_tokens / server.decode_s:,.1f} tok/s", meaning))
    if server.completion_tokens and server.arrivals and not server.came_as_written:
        meaning = (
            f"The answer came in {server.arrivals:,} parts for {server.completion_tokens:,} tokens, or the server "
            "counts tokens that it does not send. When each was written can't be told, so the decode speed is unknown."
        )
        found.append(Remark("parts", f"{server.arrivals:,}", meaning))
    if server.refused_settings:
        names = ", ".join(SETTINGS.get(name, name) for name in server.refused_settings)
        found.append(Remark("settings not taken", names, "The server refused these settings, and used its own."))
    return found


def tokens_meaning(response: Response) -> str:
    """Where the number of tokens comes from."""
    if response.server is None:
        return "Tokens of the answer, the end-of-turn token not counted."
    if response.completion_tokens is None:
        return "The server does not say how many tokens the answer has, so its decode speed is not known."
    return "Tokens of the answer, as the server counts them: perhaps with the end-of-turn token, and with its thoughts."
