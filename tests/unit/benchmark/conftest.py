"""Two tiny models that really answer, and plans for them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluation.benchmark.plan import Plan, new_plan
from evaluation.models import ChatModel, discover
from evaluation.prompt_sets import parse_prompt_set
from evaluation.records import Sampling
from tests.tiny_gguf import write_tiny


@pytest.fixture(scope="session")
def tiny_models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    for name in ("Ant", "Bee"):
        write_tiny(folder / f"{name}.gguf", texts={"general.name": name})
    return folder


@pytest.fixture
def tiny(tiny_models_dir: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ChatModel]:
    """Models by name; also what the command finds, beside the embedded one."""
    monkeypatch.setenv("MODELS_DIR", str(tiny_models_dir))
    found = discover(tiny_models_dir, Path("nowhere"), shared_cache).models
    return {model.name: model for model in found if model.name in ("Ant", "Bee")}


@pytest.fixture
def plan_of(tiny: dict[str, ChatModel]) -> Callable[..., Plan]:
    """A plan for models by name, so many prompts and repeats."""

    def plan(*names: str, prompts: int = 2, repeats: int = 1, max_tokens: int = 90) -> Plan:
        content = "\n".join(f"hi {number}" for number in range(prompts)).encode()
        models = [tiny[name].ref for name in names]
        return new_plan(
            models, [parse_prompt_set("mine", content, jsonl=False)], repeats, Sampling(max_tokens=max_tokens)
        )

    return plan
