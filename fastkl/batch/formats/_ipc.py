"""Arrow and Feather files as one long run of rows."""

import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastkl.batch.formats._arrow_values import check_names
from fastkl.batch.formats._checks import extra


class IpcRows:
    """Record batches: uncompressed ones are mapped afresh for each call, of compressed ones the last is kept."""

    def __init__(self, path: Path) -> None:
        self._pa = extra("pyarrow", "pyarrow", "arrow", path.suffix)
        self._file = open(path, "rb")  # noqa: SIM115 - open until closed
        try:
            self.schema = self._open_reader([])[0].schema
            check_names(self.schema)
            counts = self._count()
        except BaseException:
            self._file.close()
            raise
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.rows = int(self._starts[-1])
        self._unpacked: tuple[int, Any] | None = None

    def batches(self, start: int, stop: int, columns: Sequence[str], row_bytes: int) -> Iterator[Any]:
        """Rows start to stop, each batch as far as they reach into it."""
        reader, whole = self._open_reader([self.schema.get_field_index(name) for name in columns])
        while start < stop:
            number = int(np.searchsorted(self._starts, start, "right")) - 1
            batch = self._batch(reader, whole, number)
            end = min(stop, int(self._starts[number + 1]))
            yield batch.slice(start - int(self._starts[number]), end - start)
            start = end

    def close(self) -> None:
        """Close the file."""
        self._unpacked = None
        self._file.close()

    def _count(self) -> list[int]:
        # Of each batch the column that is quickest to unpack, should they be compressed.
        fields = sorted(range(len(self.schema)), key=lambda i: self._pa.types.is_nested(self.schema.field(i).type))
        reader, _ = self._open_reader(fields[:1])
        return [int(reader.get_batch(i).num_rows) for i in range(reader.num_record_batches)]

    def _open_reader(self, fields: Sequence[int]) -> tuple[Any, Any]:
        pa = self._pa
        if os.fstat(self._file.fileno()).st_size == 0:
            raise ValueError("it is empty")
        whole = pa.py_buffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=sorted(fields))  # none: all
        return pa.ipc.open_file(pa.BufferReader(whole), options=options), whole

    def _batch(self, reader: Any, whole: Any, number: int) -> Any:
        if self._unpacked is not None and self._unpacked[0] == number:
            return self._unpacked[1]
        batch = reader.get_batch(number)
        is_mapped = all(_lies_in(buffer, whole) for column in batch.columns for buffer in column.buffers())
        self._unpacked = None if is_mapped else (number, batch)
        return batch


def _lies_in(buffer: Any, whole: Any) -> bool:
    return buffer is None or buffer.size == 0 or whole.address <= buffer.address < whole.address + whole.size
