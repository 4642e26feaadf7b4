"""TensorBoard's event files: records of serialized messages, of which scalars and two texts are read.

A record is its length (8 bytes), a checksum of that (4), the message, and a checksum of it (4); see TensorFlow's
``record_writer.h``. The messages are those of ``event.proto`` and ``summary.proto``, without the fields not used here.
"""

import json
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from training.importers.fields import EVALUATION_LOSS_NAMES, LOSS_NAMES
from training.importers.found import Facts, Found
from training.importers.settings_of import base_model, trainer_settings

KIND = "TensorBoard events"
LOOKED_FOR = f"scalars named {', '.join((LOSS_NAMES[3], LOSS_NAMES[0], EVALUATION_LOSS_NAMES[3]))} or alike"
CUT_OFF = "cut off or damaged, with all that follows in its file"

_MESSAGES = {
    "Event": {"wall_time": (1, "double"), "step": (2, "int64"), "summary": (5, "Summary")},
    "Summary": {"value": (1, "Value*")},
    "Value": {"tag": (1, "string"), "simple_value": (2, "float"), "tensor": (8, "Tensor")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "string_val": (8, "bytes*"),
    },
}
_FLOAT, _DOUBLE = 1, 2
"""``DataType`` of TensorFlow's ``types.proto``."""


def read(paths: Iterable[Path], found: Found) -> Facts:
    """Read the event files of one run, in the order in which they were begun."""
    times: list[float] = []
    facts = Facts()
    for path in paths:
        row: dict[str, Any] = {}
        for event in _events(path, found):
            times.append(event.wall_time)
            for value in event.summary.value:
                if (figure := _scalar(value)) is None:
                    facts = facts.and_of(_facts(value))
                    continue
                if value.tag in row or row.get("step", event.step) != event.step:
                    _add(row, found)
                    row = {}
                row |= {value.tag: figure, "step": event.step}
        _add(row, found)
    return facts.and_of(Facts(started_at=min(times, default=None), ended_at=max(times, default=None)))


def _add(row: dict[str, Any], found: Found) -> None:
    if row:
        found.add(row)
    if "train/train_runtime" in row:
        found.ended()


def _scalar(value: Any) -> float | None:
    """A figure as TensorBoard 1 writes it, or as a tensor with one element, as version 2 does."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor
    if tensor.dtype == _FLOAT:
        figures = tensor.float_val or _unpacked(tensor.tensor_content, "f")
    elif tensor.dtype == _DOUBLE:
        figures = tensor.double_val or _unpacked(tensor.tensor_content, "d")
    else:
        return None
    return float(figures[0]) if len(figures) == 1 else None


def _unpacked(content: bytes, code: str) -> tuple[float, ...]:
    width = struct.calcsize(code)
    return struct.unpack(f"<{len(content) // width}{code}", content[: len(content) // width * width])


def _facts(value: Any) -> Facts:
    """The Hugging Face Trainer writes its arguments and the model's configuration as texts."""
    name = value.tag.removesuffix("/text_summary")
    if name in ("args", "model_config") and value.tensor.string_val:
        with suppress(ValueError, RecursionError):
            content = json.loads(value.tensor.string_val[0])
            if isinstance(content, dict) and name == "args":
                return trainer_settings(content)
            if isinstance(content, dict):
                return Facts(base=base_model(content.get("_name_or_path"), architecture=content.get("model_type")))
    return Facts()


def _events(path: Path, found: Found) -> Iterator[Any]:
    message = _event_message()
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size
        while len(header := file.read(12)) == 12:
            length = struct.unpack("<Q", header[:8])[0]
            left -= 12 + length + 4
            if left < 0:
                break
            try:
                event = message.FromString(file.read(length))
            except DecodeError:
                left = -1
                break
            file.seek(4, os.SEEK_CUR)
            yield event
        if header and left:
            found.skipped[CUT_OFF] += 1


@cache
def _event_message() -> Any:
    """The class of an event, made from ``_MESSAGES`` in a pool of its own: TensorBoard's may be loaded as well."""
    file = FileDescriptorProto(name="events.proto", package="events", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = DescriptorProto(name=name)
        for field, (number, kind) in fields.items():
            plain = kind.rstrip("*")
            repeated = FieldDescriptorProto.LABEL_REPEATED if kind != plain else FieldDescriptorProto.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=repeated)
            if plain in _MESSAGES:
                added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".events.{plain}"
            else:
                added.type = FieldDescriptorProto.Type.Value(f"TYPE_{plain.upper()}")
        file.message_type.append(message)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("events.Event"))
