"""What llama.cpp makes of a file, in a process of its own: beside torch in one process it can crash."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TOKENS = """
import json, sys
from llama_cpp import Llama
asked = json.load(sys.stdin)
model = Llama(asked["model"], vocab_only=True, verbose=False)
tokens = [model.tokenize(text.encode(), add_bos=False, special=True) for text in asked["texts"]]
print(json.dumps({"tokens": tokens, "bos": model.token_bos(), "eos": model.token_eos()}))
"""
LOGITS = """
import json, sys
from llama_cpp import Llama
asked = json.load(sys.stdin)
model = Llama(asked["model"], n_ctx=256, logits_all=True, verbose=False)
model.eval(model.tokenize(asked["text"].encode(), add_bos=False, special=True))
print(json.dumps(model.scores[: model.n_tokens].tolist()))
"""
ACCEPTED = """
import ctypes, json, os, sys
import llama_cpp as C
asked = json.load(sys.stdin)
silent = C.llama_log_callback(lambda level, text, data: None)
C.llama_log_set(silent, ctypes.c_void_p())
model = C.llama_model_load_from_file(os.fsencode(asked["model"]), C.llama_model_default_params())
print(json.dumps([file for file in asked["files"] if C.llama_adapter_lora_init(model, os.fsencode(file))]))
"""


def accepted_adapters(model: Path, files: Sequence[Path]) -> list[Path]:
    """Those of the files that it takes for adapters of the model."""
    return [Path(file) for file in _ask(ACCEPTED, model=str(model), files=list(map(str, files)))]


def vocabulary(model: Path, texts: Sequence[str]) -> dict[str, Any]:
    """``tokens`` of each text, and the ids ``bos`` and ``eos``."""
    answer: dict[str, Any] = _ask(TOKENS, model=str(model), texts=list(texts))
    return answer


def logits(model: Path, text: str) -> list[list[float]]:
    """At each token of the text, over the vocabulary."""
    answer: list[list[float]] = _ask(LOGITS, model=str(model), text=text)
    return answer


def _ask(program: str, **asked: object) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])
