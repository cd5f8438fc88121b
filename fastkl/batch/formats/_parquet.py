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
_LEAST_BUFFER = 1 << 14
# What a column takes while it is decoded, measured: a page of 1 MiB, packed and unpacked, and a dictionary as large.
_OF_A_COLUMN, _PAGES, _DECODER = 1 << 17, 5 << 19, 32 << 20
_LISTS = 48 << 20  # the same of a column of lists, whose pages hold whole rows


class ParquetRows:
    """Row groups, one after another and decoded page by page; to leap back or forth costs the row group anew."""

    keeps_batches = False

    def __init__(self, path: Path) -> None:
        pa, pq = (extra(name, "pyarrow", "arrow", path.suffix) for name in ("pyarrow", "pyarrow.parquet"))
        self._source = pa.OSFile(str(path))
        try:
            metadata = pq.read_metadata(str(path))
            buffer = int(np.clip(_BUFFERS // max(metadata.num_columns, 1), _LEAST_BUFFER, 1 << 20))
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
        self._next, self._columns = -1, list[str]()

    def band_of(self, row: int) -> tuple[int, int]:
        """The row group of a row."""
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        return int(self._starts[group]), int(self._starts[group + 1])

    def working(self, columns: Sequence[str], row_bytes: int) -> int:
        """Pages and dictionaries of all columns; those of the largest row group are looked at."""
        metadata = self._file.metadata
        groups = range(metadata.num_row_groups)
        if not self.rows or any(self._is_nested(name) for name in columns):
            return _LISTS
        group = metadata.row_group(max(groups, key=lambda i: metadata.row_group(i).total_byte_size))
        wanted = set(columns)
        chunks = (group.column(i) for i in range(group.num_columns))
        sizes = (chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema in wanted)
        return int(_DECODER + sum(_OF_A_COLUMN + min(size, _PAGES) for size in sizes))

    def working_by_columns(self, columns: Sequence[str], row_bytes: int) -> int:
        """The same: rows are decoded page by page."""
        return self.working(columns, row_bytes)

    def _is_nested(self, name: str) -> bool:
        kind = self.schema.field(name).type
        return bool(kind.num_fields or hasattr(kind, "storage_type"))

    def batches(self, start: int, stop: int, columns: Sequence[str], row_bytes: int) -> Iterator[Any]:
        """Rows start to stop: on from where the last call ended, or from the beginning of their row group."""
        if start < stop and (start != self._next or self._columns != list(columns)):
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
        self._columns = list(columns)
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

    keeps_batches = False

    def __init__(self, path: Path) -> None:
        self._pa = extra("pyarrow", "pyarrow", "arrow", path.suffix)
        parts = [part for part in path.absolute().glob("*.parquet") if not part.name.startswith(("_", "."))]
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

    def band_of(self, row: int) -> tuple[int, int]:
        """The row group of a row, which ends with its part."""
        number = int(np.searchsorted(self._starts, row, "right")) - 1
        first = int(self._starts[number])
        start, stop = self._part(number).band_of(row - first)
        return first + start, first + stop

    def working(self, columns: Sequence[str], row_bytes: int) -> int:
        """That of the largest part."""
        largest = max(range(len(self._parts)), key=lambda i: self._parts[i].stat().st_size)
        return self._part(largest).working(columns, row_bytes)

    def working_by_columns(self, columns: Sequence[str], row_bytes: int) -> int:
        """The same: rows are decoded page by page."""
        return self.working(columns, row_bytes)

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
