"""Results on their way to a file: checked, cut into blocks of a fixed size, and named when complete."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import Column, Ids, SinkError
from fastkl.batch.formats._target import Target

_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file of results will hold."""

    columns: dict[str, Column]
    shape: tuple[int, ...]  # of the rows
    ids: Ids | None

    @property
    def rows(self) -> int:
        """How many there will be."""
        return math.prod(self.shape)

    @property
    def row_bytes(self) -> int:
        """What a row takes, ids aside."""
        columns = self.columns.values()
        return max(1, sum((1 if column.width is None else column.width) * column.dtype.itemsize for column in columns))

    @property
    def names(self) -> list[str]:
        """Those of the ids and of the columns."""
        return [*([] if self.ids is None else [self.ids.name]), *self.columns]

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a whole column where it is an array."""
        width = self.columns[name].width
        return self.shape if width is None else (*self.shape, width)


def check_paths(layout: Layout) -> None:
    """Raise SinkError where a name would lead elsewhere in a file that has its arrays under paths."""
    for name in layout.names:
        if not name or "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
            raise SinkError(f"{name!r} can't be the name of an array; slashes, dots alone and nothing are not names")


class Writer(Protocol):
    """One format: takes blocks of `rows_at_once` rows, in order, the last one smaller."""

    rows_at_once: int
    is_folder: bool

    def __init__(self, path: Path, layout: Layout) -> None: ...

    def put(self, start: int, block: dict[str, _Array], ids: _Array | None) -> None:
        """Write the rows from `start` on."""

    def close(self, complete: bool) -> None:
        """Close the file, with all that is still to write in it if it is complete."""


class CheckedSink:
    """A `Sink` over the writer of a format."""

    def __init__(self, target: Path, kind: type[Writer], layout: Layout, force: bool) -> None:
        self._layout, self._done, self._held_rows = layout, 0, 0
        self._held: list[dict[str, _Array]] = []
        self._target = Target(target, kind.is_folder, force)
        try:
            self._writer: Writer | None = kind(self._target.partial, layout)
        except BaseException:
            self._target.abandon()
            raise

    def write(self, columns: Mapping[str, _Array]) -> None:
        """Append rows; what does not fill a block of the format is held back."""
        if self._writer is None:
            raise SinkError(f"{self._target.path} is finished or abandoned")
        rows = self._check(columns)
        size, start = self._writer.rows_at_once, 0
        while start < rows:
            end = min(rows, start + size - self._held_rows)
            parts = {name: columns[name][start:end] for name in self._layout.columns}
            self._held_rows += end - start
            start = end
            if self._held_rows == size:
                self._held.append(parts)
                self._put(self._writer)
            else:  # the caller may use his arrays again
                self._held.append({name: np.array(part) for name, part in parts.items()})

    def finish(self) -> None:
        """Write what is held back, and give the file its name."""
        if self._writer is None:
            raise SinkError(f"{self._target.path} is finished or abandoned")
        try:
            if (done := self._done + self._held_rows) != self._layout.rows:
                raise SinkError(f"{self._target.path}: {done} of {self._layout.rows} rows were written")
            if self._held_rows:
                self._put(self._writer)
            writer, self._writer = self._writer, None
            writer.close(True)
            self._target.finish()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leave nothing behind; does nothing once finished."""
        writer, self._writer, self._held = self._writer, None, []
        if writer is not None:
            with suppress(Exception):  # a full disk takes no last words either, and they are thrown away
                writer.close(False)
        self._target.abandon()

    def _put(self, writer: Writer) -> None:
        block = {name: _joined([part[name] for part in self._held]) for name in self._layout.columns}
        start, rows = self._done, self._held_rows
        ids = None if self._layout.ids is None else self._layout.ids.read(start, start + rows)
        self._held, self._held_rows = [], 0
        writer.put(start, block, ids)
        self._done += rows

    def _check(self, columns: Mapping[str, _Array]) -> int:
        wanted = self._layout.columns
        if set(columns) != set(wanted):
            were = f"{sorted(columns)} were written; {sorted(wanted)} were announced"
            raise SinkError(f"{self._target.path}: columns {were}")
        rows = {len(array) for array in columns.values()}
        for name, column in wanted.items():
            shape = (len(columns[name]),) if column.width is None else (len(columns[name]), column.width)
            if (found := columns[name]).dtype != column.dtype or found.shape != shape or len(rows) != 1:
                raise SinkError(
                    f"{self._target.path}: column {name!r} was written as {found.dtype} of shape {found.shape}; it was"
                    f" announced as {column.dtype} of width {column.width}, and all columns have as many rows"
                )
        if (done := self._done + self._held_rows + min(rows)) > self._layout.rows:
            raise SinkError(f"{self._target.path}: {done} rows were written; {self._layout.rows} were announced")
        return min(rows)


def _joined(parts: list[_Array]) -> _Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
