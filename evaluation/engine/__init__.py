"""The engine: answers from GGUF models through llama.cpp, one worker process per base model, and from endpoints.

engine = Engines(record=store.append)
generation = engine.submit(GenerationRequest(model, messages, Sampling(), date.today()))
generation.snapshot().text      # so far; cheap, call it as often as the screen needs
generation.cancel()             # frees the cores at once
generation.wait()               # -> Response, already recorded
engine.close()
"""

from evaluation.engine.api import Generation, GenerationRequest, Snapshot
from evaluation.engine.engine import Engine
from evaluation.engine.engines import Engines

__all__ = ["Engine", "Engines", "Generation", "GenerationRequest", "Snapshot"]
