"""What a GGUF file says about itself, read in milliseconds and checked to be whole.

``gguf.GGUFReader`` makes arrays of every token of the vocabulary, seconds for 49,000 of them, and believes every length
that a damaged file claims. Here lists are stepped over, and nothing is read past the end of the file.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFValueType, ReaderField


def read_header(path: Path) -> Mapping[str, str | int | float | bool]:
    """The metadata that are single values. Raises ``OSError``, and ``ValueError`` saying why a file is damaged."""
    try:
        fields = _Header(path).fields
        return {key: field.contents() for key, field in fields.items() if field.types[0] != GGUFValueType.ARRAY}
    except KeyError as error:
        raise ValueError(str(error.args[0])) from error


class _Header(GGUFReader):
    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        if int(offset) + np.dtype(dtype).itemsize * int(count) > len(self.data):
            raise ValueError("it ends too early")
        return super()._get(int(offset), dtype, count, override_order)

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[GGUFValueType]]:
        if raw_type != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        item, count = (
            GGUFValueType(int(self._get(orig_offs, np.uint32)[0])),
            int(self._get(orig_offs + 4, np.uint64)[0]),
        )
        end = orig_offs + 12
        if item == GGUFValueType.STRING:
            for _ in range(count):
                end = self._end_of_string(end)
        else:
            end += count * np.dtype(self.gguf_scalar_to_np[item]).itemsize
        return end - orig_offs, [], [], [GGUFValueType.ARRAY]

    def _end_of_string(self, start: int) -> int:
        if start + 8 > len(self.data):
            raise ValueError("it ends too early")
        return start + 8 + int.from_bytes(self.data[start : start + 8].tobytes(), "little")

    def _build_tensors(self, start_offs: int, fields: list[ReaderField]) -> None:
        for field in fields:
            _, _, _, sizes, kind, offset = field.parts
            per_block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(int(kind[0]))]
            size_bytes = math.prod(int(size) for size in sizes) // per_block * block_bytes
            if start_offs + int(offset[0]) + size_bytes > len(self.data):
                raise ValueError("it ends within its weights")
