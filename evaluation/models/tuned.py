"""Adapters on the bases that they fit, each pair under a name of its own."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evaluation.models.catalog import Adapter, ChatModel, GgufInfo, key_part
from evaluation.models.files import AdapterFacts, ModelFacts, quoted
from evaluation.models.names import display_name, distinct, folder_detail
from training.runlog import Run


@dataclass(frozen=True)
class Tuned:
    """An adapter's file with what it holds, and where it belongs."""

    path: Path
    facts: AdapterFacts
    run_id: str | None
    """``None`` for a file in the folder of models."""
    run: Run | None
    """What the run says of itself, if that can be read."""

    def fits(self, base: ModelFacts) -> bool:
        """A run may say which file it was trained on; then only that one will do."""
        trained_on = self.run.base.sha256 if self.run and self.run.base else None
        return self.facts.fits(base) and trained_on in (None, base.sha256)

    @property
    def name(self) -> str:
        if self.run_id is None:
            return display_name(self.facts.name, self.path.stem, self.path.parent.name)
        return (quoted(self.run.name) if self.run else "") or self.run_id

    @property
    def details(self) -> tuple[str, str, str]:
        """By which those of one name are told apart, one after the other."""
        if self.run_id is None:
            return f"({self.path.stem})", folder_detail(self.path), f"({self.facts.sha256[:6]})"
        return self._started(), f"({self.run_id})", f"({self.facts.sha256[:6]})"

    def on(self, base: GgufInfo, name: str) -> ChatModel:
        """The base with this adapter, called ``name``."""
        finished_at = self.run.ended_at if self.run and self.run.status == "finished" else None
        adapter = Adapter(self.path, self.facts.sha256, self.run_id, self.facts.size_bytes, finished_at)
        return ChatModel(f"{key_part(base.sha256)}+{key_part(adapter.sha256)}", name, base, adapter)

    def _started(self) -> str:
        with suppress(OverflowError, ValueError, OSError):  # a time that no calendar has
            if self.run and self.run.started_at:
                return time.strftime("(%Y-%m-%d %H:%M)", time.gmtime(self.run.started_at))
        return f"({self.run_id})"


def adapted(base: GgufInfo, tuned: Sequence[Tuned]) -> list[ChatModel]:
    """The base with each of them, by name."""
    names = distinct(
        [f"{base.name} + {each.name}" for each in tuned],
        *([each.details[place] for each in tuned] for place in range(3)),
    )
    models = [each.on(base, name) for each, name in zip(tuned, names, strict=True)]
    return sorted(models, key=lambda model: model.name.casefold())
