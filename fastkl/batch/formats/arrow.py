"""Parquet, Arrow and Feather: one column of lists or tensors, a histogram each, or a column of numbers for each bin."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import Ids, SourceError
from fastkl.batch.formats import _arrow_values as values
from fastkl.batch.formats._arrow_columns import Bins, found_bins, ids_column, named_bins
from fastkl.batch.formats._arrow_files import ArrowRows, open_rows
from fastkl.batch.formats._checks import Reading, check_histograms, extra, stamp
from fastkl.batch.formats._mapped import described, in_memory
from fastkl.batch.formats._unpacked import WORKING, Band, Piece, Unpacked


def open_arrow(path: Path, name: str | None, ids: str | None, how: Reading) -> "ArrowSource":
    """The column of that name, or the only one of lists, or all columns of numbers together."""
    pa = extra("pyarrow", "pyarrow", "arrow", path.suffix)
    rows = open_rows(path)
    try:
        schema = rows.schema
        bins = named_bins(pa, path, schema, name) if name is not None else found_bins(pa, path, schema, ids)
        ids = ids_column(pa, path, schema, bins, ids)
        return ArrowSource(path, rows, bins, None if ids is None else ArrowIds(path, ids), how.room)
    except BaseException:
        rows.close()
        raise


class ArrowSource:
    """A `Source` of the rows of a file in Arrow's columns."""

    chunk = 1  # row groups are decoded piece by piece, and where a read ends the next goes on
    is_at_hand = False

    def __init__(self, path: Path, rows: ArrowRows, bins: Bins, ids: Ids | None, room: float) -> None:
        self._pa = extra("pyarrow", "pyarrow", "arrow", path.suffix)
        self._path, self._rows, self._bins, self.ids = path, rows, bins, ids
        self._absolute = path.absolute()
        self.name = f"{path}, column {bins.columns[0]!r}" if bins.is_lists else str(path)
        self.rows, self.dtype = rows.rows, bins.dtype
        self.shape = (self.rows,)
        check_histograms(self.name, self.dtype, (self.rows, 1))
        self.bin_labels = None if bins.is_lists else bins.columns
        self.bins = self._count_bins() if bins.is_lists else len(bins.columns)
        self._row_bytes = self.bins * self.dtype.itemsize
        self.working, self._together = rows.working(bins.columns, self._row_bytes), self.bins
        self._unpacked: Unpacked | None = None
        if self.working > room and not bins.is_lists:
            self._read_by_columns(room)

    def _read_by_columns(self, room: float) -> None:
        """Unpack as many columns at a time as there is room for to a file."""
        whole = self._rows.working_by_columns(self._bins.columns, self._row_bytes)
        self._together = min(self.bins, max(1, int(self.bins * room / whole)))
        self.working = whole * self._together // self.bins + WORKING
        self._unpacked = Unpacked(self.name, self.bins, self.dtype, self._band_of, self._pieces)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The rows: lists as they lie in memory where one batch has them all, else copied together."""
        with _readable(self.name, start, stop):
            if self._unpacked is not None:
                return self._unpacked.read(start, stop)
            if not self._bins.is_lists:
                return self._numbers(start, stop)
            return self._lists(self._rows.batches(start, stop, self._bins.columns, self._row_bytes), start, stop)

    def _lists(self, batches: Iterator[Any], start: int, stop: int) -> npt.NDArray[Any]:
        out, done = np.empty((0, self.bins), self.dtype), 0
        for batch in batches:
            column = batch.column(self._bins.columns[0])
            rows = values.lists_to_rows(self._pa, column, self.bins, self.dtype, self.name, start + done)
            if len(rows) == stop - start and not self._rows.keeps_batches:
                return in_memory(rows)
            if done == 0:
                out = np.empty((stop - start, self.bins), self.dtype)
            out[done : done + len(rows)] = rows
            done += len(rows)
        return out

    def _numbers(self, start: int, stop: int) -> npt.NDArray[Any]:
        columns = np.empty((self.bins, stop - start), self.dtype)  # which the kernels read as well as rows
        for first, row, batch in self._batches(start, stop):
            self._copy(batch, row, columns[first : first + batch.num_columns, row - start :][:, : batch.num_rows])
        return columns.T

    def _batches(self, start: int, stop: int) -> Iterator[tuple[int, int, Any]]:
        """Rows start to stop in batches of some columns each, with the first of these and the first row."""
        for first in range(0, self.bins, self._together):
            names, row = self._bins.columns[first : first + self._together], start
            for batch in self._rows.batches(start, stop, names, len(names) * self.dtype.itemsize):
                yield first, row, batch.select(names)
                row += batch.num_rows
            if self._unpacked is not None:  # pyarrow keeps what it used for one group of columns for the next
                self._pa.default_memory_pool().release_unused()

    def _copy(self, batch: Any, row: int, columns: npt.NDArray[Any]) -> None:
        for out, name, column in zip(columns, batch.schema.names, batch.columns, strict=True):
            values.numbers_to(self._pa, out, column, f"{self._path}, column {name!r}", row)

    def _band_of(self, row: int) -> Band:
        start, stop = self._rows.band_of(row)
        return Band(start, stop, (stop - start,))

    def _pieces(self, band: Band) -> Iterator[Piece]:
        for first, row, batch in self._batches(band.start, band.stop):
            columns = np.empty((batch.num_columns, batch.num_rows), self.dtype)
            self._copy(batch, row, columns)
            yield Piece((row - band.start, first), columns.T)

    def _count_bins(self) -> int:
        column = self._bins.columns[0]
        length = values.fixed_length(self._pa, self._rows.schema.field(column).type)
        if length is None and self.rows:
            with _readable(self.name, 0, 1):
                first = next(self._rows.batches(0, 1, [column], 1 << 20)).column(column)
                length = values.first_length(first, self.name)
        return length or 0

    def place(self, row: int) -> str:
        """The row by its number."""
        return f"{self.name}, row {row} (counted from 0)"

    def identity(self) -> dict[str, str | int]:
        """The file as it is now."""
        return stamp(self._absolute) | {"array": self.name, **described(self)}

    def close(self) -> None:
        """Close the file."""
        self._rows.close()
        if self._unpacked is not None:
            self._unpacked.close()
        if self.ids is not None:
            self.ids.close()


class ArrowIds:
    """A column that names the rows."""

    def __init__(self, path: Path, name: str) -> None:
        self._pa, self.name = extra("pyarrow", "pyarrow", "arrow", path.suffix), name
        self._place = f"{path}, column {name!r}"
        self._rows = open_rows(path)
        kind = self._rows.schema.field(name).type
        self.dtype = np.dtype(kind.to_pandas_dtype()) if self._pa.types.is_integer(kind) else np.dtype(object)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The names of rows start to stop."""
        with _readable(self._place, start, stop):
            batches = self._rows.batches(start, stop, [self.name], 64)
            columns = (batch.column(self.name) for batch in batches)
            parts = [values.names_of(self._pa, column, self.dtype, self._place) for column in columns]
        return np.concatenate(parts) if parts else np.empty(0, self.dtype)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()


@contextmanager
def _readable(name: str, start: int, stop: int) -> Iterator[None]:
    """What goes wrong in a damaged file, as one sentence that names the rows."""
    pa = extra("pyarrow", "pyarrow", "arrow", "")
    try:
        yield
    except SourceError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise SourceError(f"{name}, rows {start} to {stop - 1}, can't be read: {values.first_line(error)}") from None
