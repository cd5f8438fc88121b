"""Parquet as one long run of rows: a file, or a folder of files as Spark and dask write one."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastkl.batch.formats._arrow_values import check_names, first_line
from fastkl.batch.formats._checks import extra

_BATCH_BYTES = 8 << 20  # decoded at once
_STREAMED = {"pre_buffer": False, "page_checksum_verification": True}  # page by page
_BUFFERS = 32 << 20  # bytes of all columns together, each of which has a buffer of its own


class ParquetRows:
    """Row groups, one after another and decoded page by page; to leap back or forth costs the row group anew."""

    def __init__(self, path: Path) -> None:
        pa, pq = (extra(name, "pyarrow", "arrow", path.suffix) for name in ("pyarrow", "pyarrow.parquet"))
        self._source = pa.OSFile(str(path))
        try:
            metadata = pq.read_metadata(str(path))
            buffer = int(np.clip(_BUFFERS // max(metadata.num_columns, 1), 1 << 14, 1 << 20))
            self._file = pq.ParquetFile(self._source, metadata=metadata, buffer_size=buffer, **_STREAMED)
            self.schema = self._file.schema_arrow
            check_names(self.schema)
            groups = [self._file.metadata.row_group(i).num_rows for i in range(self._file.metadata.num_row_groups)]
        except BaseException:
            self._source.close()
            raise
        self._starts = np.concatenate([[0], np.cumsum(groups, dtype=np.int64)])
        self.rows = int(self._starts[-1])
        self._stream: Iterator[Any] = iter(())
        self._held: Any = None  # what is left of the last batch
        self._next = -1

    def batches(self, start: int, stop: int, columns: Sequence[str], row_bytes: int) -> Iterator[Any]:
        """Rows start to stop: on from where the last call ended, or from the beginning of their row group."""
        if start != self._next and start < stop:
            self._leap(start, columns, row_bytes)
        while start < stop:
            self._next = -1  # until it has gone well
            batch = self._held if self._held is not None else next(self._stream, None)
            self._held = None
            if batch is None:
                raise ValueError(f"its directory promises {self.rows} rows, {start} are there")
            if batch.num_rows > stop - start:
                self._held, batch = batch.slice(stop - start), batch.slice(0, stop - start)
            start += batch.num_rows
            self._next = start
            yield batch

    def close(self) -> None:
        """Close the file."""
        self._stream, self._held, self._next = iter(()), None, -1
        self._source.close()

    def _leap(self, start: int, columns: Sequence[str], row_bytes: int) -> None:
        group = int(np.searchsorted(self._starts, start, "right")) - 1
        self._stream = self._decoded(group, columns, max(1, _BATCH_BYTES // max(1, row_bytes)))
        self._held = None
        skipped = start - int(self._starts[group])
        while skipped > 0 and (batch := next(self._stream, None)) is not None:
            if batch.num_rows > skipped:
                self._held = batch.slice(skipped)
            skipped -= batch.num_rows

    def _decoded(self, first: int, columns: Sequence[str], rows: int) -> Iterator[Any]:
        for group in range(first, len(self._starts) - 1):
            yield from self._file.iter_batches(rows, row_groups=[group], columns=list(columns), use_threads=False)


def _by_numbers(path: Path) -> list[tuple[str, int]]:
    # part-2 before part-10: writers of parts do not all fill their numbers up with zeros.
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", path.name)]


class ParquetFolder:
    """The parts of a folder in the order of their names, numbers as such, of which one is open at a time."""

    def __init__(self, path: Path) -> None:
        self._pa = extra("pyarrow", "pyarrow", "arrow", path.suffix)
        parts = [part for part in path.glob("*.parquet") if not part.name.startswith(("_", "."))]
        self._parts = sorted(parts, key=_by_numbers)
        if not self._parts:
            raise ValueError("it is a folder without .parquet files")
        counts = []
        for part in self._parts:
            rows = self._open(part)
            if part == self._parts[0]:
                self.schema = rows.schema
            rows.close()
            if not rows.schema.equals(self.schema):
                raise ValueError(f"{part.name} in it has other columns or types than {self._parts[0].name}")
            counts.append(rows.rows)
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.rows = int(self._starts[-1])
        self._current: tuple[int, ParquetRows] | None = None

    def batches(self, start: int, stop: int, columns: Sequence[str], row_bytes: int) -> Iterator[Any]:
        """Rows start to stop, part after part."""
        while start < stop:
            number = int(np.searchsorted(self._starts, start, "right")) - 1
            first, end = int(self._starts[number]), min(stop, int(self._starts[number + 1]))
            try:
                yield from self._part(number).batches(start - first, end - first, columns, row_bytes)
            except (self._pa.ArrowException, OSError, ValueError) as error:
                raise ValueError(f"in {self._parts[number].name}: {first_line(error)}") from None
            start = end

    def close(self) -> None:
        """Close the part that is open."""
        if self._current is not None:
            self._current[1].close()
            self._current = None

    def _part(self, number: int) -> ParquetRows:
        if self._current is None or self._current[0] != number:
            self.close()
            self._current = number, self._open(self._parts[number])
        return self._current[1]

    def _open(self, part: Path) -> ParquetRows:
        try:
            return ParquetRows(part)
        except (self._pa.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"{part.name} in it: {first_line(error)}") from None
