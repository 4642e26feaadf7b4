"""Which of the models here an adapter of the hub was trained on, as far as names tell."""

from collections.abc import Iterable

from evaluation.hub.origins import read_origin
from evaluation.models import ChatModel
from evaluation.models.names import display_name


def bases_here(base_model: str, models: Iterable[ChatModel]) -> list[ChatModel]:
    """Those without an adapter that are called like ``base_model`` (``owner/name``, perhaps several) or were made from
    it."""
    wanted = {_name(each) for each in base_model.split(", ")}
    return [model for model in models if model.adapter is None and wanted & _names(model)]


def _names(model: ChatModel) -> set[str]:
    origin = read_origin(model.base.path)
    made_from = (origin.base_model or "").split(", ") if origin else []
    return {_name(model.base.path.stem), _name(model.base.name), *map(_name, made_from)}


def _name(stated: str) -> str:
    return display_name(None, stated.rpartition("/")[2]).casefold()
