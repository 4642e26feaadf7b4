"""The published study's times and word counts as response records, made from its table.

    python -m evaluation.published        # writes results/published/responses/ anew

The same table gives the same bytes. ``results/published/README.md`` says what the study is and what is not known of it.
"""

import argparse
import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from ulid import ULID

from evaluation.records import Host, Message, ModelRef, Response, Sampling
from evaluation.settings import PUBLISHED_DIR
from evaluation.store import to_json_line

TABLE = PUBLISHED_DIR / "inference_times.csv"
RESPONSES = PUBLISHED_DIR / "responses" / "inference_times.jsonl"

QUANTIZATION = "Q4_K_M"
THREADS = 6
SAMPLING = Sampling(temperature=0.7, max_tokens=512)
"""What the study's app asked for; the other settings are not known and hold their defaults."""


def published_responses(table: Path = TABLE) -> Iterator[Response]:
    """One response per row of the table, in its order."""
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield _response(row)


def _response(row: dict[str, str]) -> Response:
    words = row["words_counted"] or row["words_published"]  # where they differ, the printed text decides
    return Response(
        id=_fixed_ulid(row["model"], row["variant"], row["lora_rank"], row["max_steps"], row["prompt"]),
        origin="published",
        host=_host(),
        model=_model(row),
        messages=(Message("user", row["prompt"]),),
        sampling=SAMPLING,
        template_date=None,
        text="",
        finish_reason="stop",
        submitted_at=0.0,  # the time of day is not known: each answer's clock starts when it was asked for
        ended_at=float(row["latency_s"]),
        completion_tokens=None,
        stated_words=int(words) if words else None,
        threads=THREADS,
    )


def _model(row: dict[str, str]) -> ModelRef:
    name = row["model"]
    key = "published-" + name.casefold().replace(" ", "-")
    adapter_run = None
    if row["variant"] != "base":
        adapter_run = f"{name.casefold().replace(' ', '-')}-r{row['lora_rank']}-{row['max_steps']}steps"
        key = f"published-{adapter_run}"
        name = f"{name} + rank {row['lora_rank']}, {row['max_steps']} steps"
    return ModelRef(key, name, None, QUANTIZATION, None, adapter_run=adapter_run)


def _host() -> Host:
    """The free CPU Space of the study: 2 virtual cores and 16 GB, as its provider states; no more is known."""
    known = ("free CPU Space, 2 vCPU", 2.0, 16 * 2**30, "unknown", "unknown")
    key = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:12]
    return Host(key, *known)


def _fixed_ulid(*identity: str) -> str:
    """A ULID of time 0 whose other 80 bits are taken from what the response is."""
    return str(ULID.from_bytes(bytes(6) + hashlib.sha256(json.dumps(identity).encode()).digest()[:10]))


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    lines = [to_json_line(response) for response in published_responses()]
    RESPONSES.parent.mkdir(parents=True, exist_ok=True)
    RESPONSES.write_bytes(b"".join(lines))
    print(f"{len(lines)} responses are now in {RESPONSES}.")


if __name__ == "__main__":
    main()
