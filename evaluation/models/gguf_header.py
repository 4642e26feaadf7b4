"""The metadata of a GGUF file and the shapes of its tensors, read with the ``gguf`` library without its weights."""

import math
import struct
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFValueType, ReaderField

from evaluation.models.files import DOWNLOAD_AGAIN, quoted


class Problem(Exception):
    """Why the file is unusable, as a sentence."""


class HeaderReader(GGUFReader):
    """The library's reader, cheaper and stricter: no views on the weights, no Python object per vocabulary entry.

    ``GGUFReader`` makes two arrays for each of the tokens and merges, which takes 10 s for a vocabulary of 128k. Here
    lists of strings are stepped over (they stay empty) and lists of numbers are one array. Reading past the end raises
    ``Problem``, where slicing would silently give less.
    """

    shapes: dict[str, list[int]]
    """Dimensions of each tensor, fastest first (``ne`` in llama.cpp), at least two."""
    elements_by_type: dict[str, int]
    """Number of weights stored in each tensor type."""

    def text(self, key: str) -> str | None:
        """A string of the metadata."""
        field = self.fields.get(key)
        return str(field.contents()) if field and field.types == [GGUFValueType.STRING] else None

    def numbers(self, key: str) -> list[int]:
        """One integer or a list of them; empty when the metadata has none under this key."""
        field = self.fields.get(key)
        value = field.contents() if field else None
        values: list[Any] = value if isinstance(value, list) else [value]
        return values if all(isinstance(item, int) for item in values) else []

    def size(self, key: str) -> int:
        """A positive integer. Raises ``Problem`` when there is none."""
        values = self.numbers(key)
        if len(values) != 1 or values[0] <= 0:
            raise Problem(f"Its metadata lacks a usable {quoted(key)}: convert or download the model again.")
        return values[0]

    def kv_bytes_per_token(self, architecture: str) -> int:
        """F16 keys and values of all layers; heads may be counted per layer, 0 where a layer has no attention.

        Raises ``Problem``.
        """
        layers = self.size(f"{architecture}.block_count")
        heads = self.numbers(f"{architecture}.attention.head_count")
        kv_heads = self.numbers(f"{architecture}.attention.head_count_kv") or heads
        if not any(kv_heads):
            return 0
        head_size = self.size(f"{architecture}.embedding_length") // max([*heads, 1])
        sizes = [self.numbers(f"{architecture}.attention.{part}_length") or [head_size] for part in ("key", "value")]
        layer_heads = kv_heads[0] * layers if len(kv_heads) == 1 else sum(kv_heads[:layers])
        return layer_heads * (sizes[0][0] + sizes[1][0]) * 2

    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        if offset + np.dtype(dtype).itemsize * int(count) > len(self.data):
            raise Problem(f"The file is incomplete or damaged (it ends within its metadata): {DOWNLOAD_AGAIN}.")
        return super()._get(offset, dtype, count, override_order)

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[GGUFValueType]]:
        if raw_type != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        item_type = GGUFValueType(int(self._get(orig_offs, np.uint32)[0]))
        count = int(self._get(orig_offs + 4, np.uint64)[0])
        start = orig_offs + 12
        types = [GGUFValueType.ARRAY, item_type]
        if item_type == GGUFValueType.STRING:
            return self._end_of_strings(start, count) - orig_offs, [], [], types
        items = self._get(start, self.gguf_scalar_to_np[item_type], count)
        return start + items.nbytes - orig_offs, [items], [0], types

    def _end_of_strings(self, offset: int, count: int) -> int:
        length = struct.Struct("<Q")
        data: Any = memoryview(self.data)  # type: ignore[arg-type]  # an array is a buffer; much faster than slicing it
        for _ in range(count):
            if offset + 8 > len(data):
                raise Problem(f"The file is incomplete or damaged (it ends within its vocabulary): {DOWNLOAD_AGAIN}.")
            offset += 8 + length.unpack_from(data, offset)[0]
        return offset

    def _build_tensors(self, start_offs: int, fields: list[ReaderField]) -> None:
        self.shapes, self.elements_by_type = {}, {}
        for field in fields:
            _, name, _, dims, raw_type, offset = field.parts
            shape = [int(size) for size in dims]
            try:
                kind = GGMLQuantizationType(int(raw_type[0]))
            except ValueError as error:
                reason = f"It uses an unknown tensor type ({raw_type[0]}): update this app, or {DOWNLOAD_AGAIN}."
                raise Problem(reason) from error
            elements = math.prod(shape)
            block_elements, block_bytes = GGML_QUANT_SIZES[kind]
            if start_offs + int(offset[0]) + elements // block_elements * block_bytes > len(self.data):
                raise Problem(f"The file is incomplete or damaged (its weights reach past its end): {DOWNLOAD_AGAIN}.")
            self.shapes[str(bytes(name), "utf-8")] = shape + [1] * (2 - len(shape))
            self.elements_by_type[kind.name] = self.elements_by_type.get(kind.name, 0) + elements
