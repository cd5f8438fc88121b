"""Parquet, Arrow and Feather: one column of lists or tensors, a histogram each, or a column of numbers for each bin."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import Ids, SourceError
from fastkl.batch.formats import _arrow_values as values
from fastkl.batch.formats._arrow_files import ArrowRows, open_rows
from fastkl.batch.formats._checks import check_histograms, extra, listed, stamp
from fastkl.batch.formats._mapped import described, in_memory


@dataclass(frozen=True, slots=True)
class _Bins:
    """Where the bins of a file are."""

    columns: list[str]
    dtype: np.dtype[Any]
    is_lists: bool  # one column of lists, and not a column for each bin


def open_arrow(path: Path, name: str | None, ids: str | None, show_progress: bool) -> "ArrowSource":
    """The column of that name, or the only one of lists, or all columns of numbers together."""
    pa = extra("pyarrow", "pyarrow", "arrow", path.suffix)
    rows = open_rows(path)
    try:
        schema = rows.schema
        bins = _named(pa, path, schema, name) if name is not None else _found(pa, path, schema, ids)
        ids = _ids_column(pa, path, schema, bins, ids)
        return ArrowSource(path, rows, bins, None if ids is None else ArrowIds(path, ids))
    except BaseException:
        rows.close()
        raise


def _named(pa: Any, path: Path, schema: Any, name: str) -> _Bins:
    if name not in schema.names:
        raise SourceError(f"{path} has no column {name!r}; it has {listed(schema.names)}")
    kind = schema.field(name).type
    if (dtype := values.element_type(pa, kind)) is None:
        raise SourceError(f"{path}, column {name!r} is of type {kind}; histograms are lists of numbers")
    return _Bins([name], dtype, True)


def _found(pa: Any, path: Path, schema: Any, ids: str | None) -> _Bins:
    lists = {field.name: values.element_type(pa, field.type) for field in schema}
    if len(names := [name for name, dtype in lists.items() if dtype is not None]) > 1:
        raise SourceError(f"{path} has several columns of lists; name one, as {path}:{names[0]}: {listed(names)}")
    if names:
        return _named(pa, path, schema, names[0])
    left_out = {ids, *values.index_columns(schema)}
    numbers = {field.name: values.number_type(pa, field.type) for field in schema if field.name not in left_out}
    dtypes = {name: dtype for name, dtype in numbers.items() if dtype is not None}
    if not dtypes:
        types = ", ".join(f"{field.name!r} ({field.type})" for field in list(schema)[:20])
        raise SourceError(f"{path} has no column of lists of numbers, nor of numbers; it has {types or 'no columns'}")
    if others := [name for name in numbers if name not in dtypes]:
        kind = schema.field(others[0]).type
        raise SourceError(
            f"{path}, column {others[0]!r} is of type {kind}; columns are numbers, one for each bin, but for the one of"
            " ids (--ids NAME, ids=)"
        )
    return _Bins(list(dtypes), np.result_type(*dtypes.values()), False)


def _ids_column(pa: Any, path: Path, schema: Any, bins: _Bins, ids: str | None) -> str | None:
    """The column that names the rows: the one asked for, or the only one beside the bins."""
    if ids is None:
        if not bins.is_lists:
            return None
        others = [field for field in schema if field.name not in bins.columns]
        return others[0].name if len(others) == 1 and values.can_be_ids(pa, others[0].type) else None
    if ids not in schema.names:
        raise SourceError(f"{path} has no column {ids!r} of ids; it has {listed(schema.names)}")
    if not values.can_be_ids(pa, kind := schema.field(ids).type):
        raise SourceError(f"{path}, column {ids!r} is of type {kind}; ids are integers, text, dates or times")
    return ids


class ArrowSource:
    """A `Source` of the rows of a file in Arrow's columns."""

    chunk = 1  # row groups are decoded piece by piece, and where a read ends the next goes on

    def __init__(self, path: Path, rows: ArrowRows, bins: _Bins, ids: Ids | None) -> None:
        self._pa = extra("pyarrow", "pyarrow", "arrow", path.suffix)
        self._path, self._rows, self._bins, self.ids = path, rows, bins, ids
        self.name = f"{path}, column {bins.columns[0]!r}" if bins.is_lists else str(path)
        self.rows, self.dtype = rows.rows, bins.dtype
        self.shape = (self.rows,)
        check_histograms(self.name, self.dtype, (self.rows, 1))
        self.bin_labels = None if bins.is_lists else bins.columns
        self.bins = self._count_bins() if bins.is_lists else len(bins.columns)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The rows: lists as they lie in memory where one batch has them all, else copied together."""
        with _readable(self.name, start, stop):
            batches = self._rows.batches(start, stop, self._bins.columns, self.bins * self.dtype.itemsize)
            return self._lists(batches, start, stop) if self._bins.is_lists else self._numbers(batches, start, stop)

    def _lists(self, batches: Iterator[Any], start: int, stop: int) -> npt.NDArray[Any]:
        out, done = np.empty((0, self.bins), self.dtype), 0
        for batch in batches:
            column = batch.column(self._bins.columns[0])
            rows = values.lists_to_rows(self._pa, column, self.bins, self.dtype, self.name, start + done)
            if len(rows) == stop - start:
                return in_memory(rows)
            if done == 0:
                out = np.empty((stop - start, self.bins), self.dtype)
            out[done : done + len(rows)] = rows
            done += len(rows)
        return out

    def _numbers(self, batches: Iterator[Any], start: int, stop: int) -> npt.NDArray[Any]:
        columns = np.empty((self.bins, stop - start), self.dtype)  # which the kernels read as well as rows
        done = 0
        for batch in batches:
            for out, name in zip(columns[:, done : done + batch.num_rows], self._bins.columns, strict=True):
                values.numbers_to(self._pa, out, batch.column(name), f"{self._path}, column {name!r}", start + done)
            done += batch.num_rows
        return columns.T

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
        return stamp(self._path) | {"array": self.name, **described(self)}

    def close(self) -> None:
        """Close the file."""
        self._rows.close()
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
