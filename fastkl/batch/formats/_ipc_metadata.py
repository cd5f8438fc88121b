"""What pyarrow tells of a record batch only once it is unpacked: how many rows it has, and whether it is compressed.

Both stand in the message before it, a table of FlatBuffers that the format of Arrow has fixed.
"""

import struct
from typing import NamedTuple

_MESSAGE_HEADER = 2  # fields of the table Message, and of RecordBatch
_LENGTH, _COMPRESSION = 0, 3


class BatchFacts(NamedTuple):
    """A record batch before it is read."""

    rows: int
    is_compressed: bool


def batch_facts(metadata: bytes) -> BatchFacts:
    """What the metadata of a message says of its record batch; ValueError where they are damaged."""
    try:
        message = _offset(metadata, 0)
        place = _field(metadata, message, _MESSAGE_HEADER)
        batch = place + _offset(metadata, place)
        length = _field(metadata, batch, _LENGTH)
        rows = struct.unpack_from("<q", metadata, length)[0] if length else 0
        return BatchFacts(rows, _field(metadata, batch, _COMPRESSION) > 0)
    except struct.error as error:
        raise ValueError(f"the metadata of a record batch are damaged: {error}") from None


def _offset(data: bytes, place: int) -> int:
    offset: int = struct.unpack_from("<I", data, place)[0]
    return offset


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a table is; 0 where it is left out."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", data, fields)[0]:
        return 0
    offset: int = struct.unpack_from("<H", data, fields + 4 + 2 * number)[0]
    return table + offset if offset else 0
