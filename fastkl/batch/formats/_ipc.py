"""Arrow and Feather files as one long run of rows."""

import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastkl.batch.formats._arrow_values import check_names
from fastkl.batch.formats._checks import extra
from fastkl.batch.formats._ipc_metadata import BatchFacts, batch_facts

_AROUND = 1 << 17  # bytes that are mapped with the first and the last number of a column
_COPIES = 2  # of a batch
_MAGIC_BYTES = 8  # before the first message


class IpcRows:
    """Record batches: uncompressed ones are mapped afresh for each call, of compressed ones the last is kept."""

    def __init__(self, path: Path) -> None:
        self._pa = extra("pyarrow", "pyarrow", "arrow", path.suffix)
        self._file = open(path, "rb")  # noqa: SIM115 - open until closed
        try:
            reader, whole = self._map()
            self.schema = reader.schema
            check_names(self.schema)
            facts = self._facts(reader.num_record_batches, whole)
            self.keeps_batches = any(fact.is_compressed for fact in facts)
            self._packed = self._pa.OSFile(str(path)) if self.keeps_batches else None
        except BaseException:
            self._file.close()
            raise
        counts = [fact.rows for fact in facts]
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.rows = int(self._starts[-1])
        self._unpacked: tuple[int, Sequence[str], Any] | None = None

    def band_of(self, row: int) -> tuple[int, int]:
        """The record batch of a row."""
        number = int(np.searchsorted(self._starts, row, "right")) - 1
        return int(self._starts[number]), int(self._starts[number + 1])

    def working(self, columns: Sequence[str], row_bytes: int) -> int:
        """What is mapped around the numbers, or the largest batch."""
        if self._packed is None:
            return _AROUND * len(columns)
        return self.working_by_columns(columns, row_bytes)

    def working_by_columns(self, columns: Sequence[str], row_bytes: int) -> int:
        """The largest batch, packed and unpacked, or mapped and copied."""
        return _COPIES * row_bytes * int(np.diff(self._starts).max(initial=0))

    def batches(self, start: int, stop: int, columns: Sequence[str], row_bytes: int) -> Iterator[Any]:
        """Rows start to stop, each batch as far as they reach into it."""
        reader = self._map()[0] if self._packed is None else self._read(columns)
        while start < stop:
            number = int(np.searchsorted(self._starts, start, "right")) - 1
            batch = self._batch(reader, number, columns)
            end = min(stop, int(self._starts[number + 1]))
            yield batch.slice(start - int(self._starts[number]), end - start)
            start = end

    def close(self) -> None:
        """Close the file."""
        self._unpacked = None
        self._file.close()
        if self._packed is not None:
            self._packed.close()

    def _facts(self, count: int, whole: Any) -> list[BatchFacts]:
        messages = self._pa.ipc.MessageReader.open_stream(self._pa.BufferReader(whole.slice(_MAGIC_BYTES)))
        facts = [batch_facts(message.metadata.to_pybytes()) for message in messages if message.type == "record batch"]
        if len(facts) != count:
            raise ValueError(f"its directory has {count} record batches, {len(facts)} are there")
        return facts

    def _map(self) -> tuple[Any, Any]:
        """A reader of all columns, which cost nothing where they are mapped: pyarrow copies those that are chosen."""
        if os.fstat(self._file.fileno()).st_size == 0:
            raise ValueError("it is empty")
        whole = self._pa.py_buffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
        return self._pa.ipc.open_file(self._pa.BufferReader(whole)), whole

    def _read(self, columns: Sequence[str]) -> Any:
        """A reader that reads and unpacks some columns."""
        fields = sorted(self.schema.get_field_index(name) for name in columns)
        options = self._pa.ipc.IpcReadOptions(use_threads=False, included_fields=fields)
        return self._pa.ipc.open_file(self._packed, options=options)

    def _batch(self, reader: Any, number: int, columns: Sequence[str]) -> Any:
        if self._packed is None:
            return reader.get_batch(number)
        if self._unpacked is None or self._unpacked[:2] != (number, columns):
            self._unpacked = None  # before the next one takes as much
            self._unpacked = number, columns, reader.get_batch(number)
        return self._unpacked[2]
