"""Which chat models this installation has, read from the files themselves without loading their weights."""

from evaluation.models.catalog import Adapter, Catalog, ChatModel, GgufInfo, Model, UnusableFile, key_part
from evaluation.models.discovery import discover

__all__ = ["Adapter", "Catalog", "ChatModel", "GgufInfo", "Model", "UnusableFile", "discover", "key_part"]
