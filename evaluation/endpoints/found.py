"""The models of the file of endpoints, each under a name of its own."""

from collections.abc import Sequence
from pathlib import Path

from evaluation.endpoints import EndpointModel
from evaluation.endpoints.file import read_endpoints


def endpoint_models(models_dir: Path, taken: Sequence[str]) -> tuple[tuple[EndpointModel, ...], tuple[str, ...]]:
    """Models in the order of the file, none named like one of ``taken``, and a sentence for each fault of the file."""
    endpoints, faults = read_endpoints(models_dir)
    names = set(taken)
    models = []
    for endpoint in endpoints:
        name = endpoint.name if endpoint.name not in names else f"{endpoint.name} (endpoint)"
        number = 2
        while name in names:
            name, number = f"{endpoint.name} (endpoint {number})", number + 1
        names.add(name)
        models.append(EndpointModel(endpoint, name))
    return tuple(models), faults
