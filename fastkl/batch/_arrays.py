"""Arrays as sources of histograms: those in memory, and the other axes of those in files."""

import hashlib
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._operands import as_array
from fastkl.batch._protocols import Ids
from fastkl.batch.formats._across import SPAN, gather_across
from fastkl.batch.formats._checks import boxes
from fastkl.batch.formats._mapped import MappedSource

_Array = npt.NDArray[Any]
_SAMPLE = 1024  # rows by which an array in memory is known again


class ArraySource:
    """An array in memory."""

    bin_labels: list[str] | None = None
    chunk, working, is_at_hand = 1, 0, True

    def __init__(self, name: str, value: Any, ids: Ids | None = None) -> None:
        array = as_array(value, name)
        self.name, self.ids, self._array = name, ids, array
        self.shape, self.bins, self.dtype = array.shape[:-1], array.shape[-1], array.dtype
        self.rows = math.prod(self.shape)

    def read(self, start: int, stop: int) -> _Array:
        """Rows as they are."""
        return rows_of(self._array, start, stop)

    def place(self, row: int) -> str:
        """The index of a row."""
        index = np.unravel_index(row, self.shape) if self.shape else ()
        return f"{self.name}[{', '.join(str(int(i)) for i in index)}]" if index else self.name

    def identity(self) -> dict[str, str | int]:
        """The shape, the type, and a digest of some rows: reading all would take as long as computing."""
        digest = hashlib.sha256()
        for row in np.unique(np.linspace(0, self.rows - 1, _SAMPLE).astype(np.int64)) if self.rows else ():
            digest.update(np.ascontiguousarray(self.read(int(row), int(row) + 1)).tobytes())
        shape = " x ".join(map(str, (*self.shape, self.bins)))
        return {"array": shape, "dtype": self.dtype.str, "digest": digest.hexdigest()}

    def close(self) -> None:
        """Nothing to give back."""


class AxisSource:
    """The histograms along another axis of an array in a file that is mapped."""

    bin_labels: list[str] | None = None
    chunk, working, is_at_hand = 1, SPAN, False
    ids: Ids | None = None

    def __init__(self, source: MappedSource, axis: int) -> None:
        self._source, self._axis = source, axis
        whole = source.numbers.shape
        self.shape = (*whole[:axis], *whole[axis + 1 :])
        self.name, self.dtype = source.name, source.dtype
        self.rows, self.bins = math.prod(self.shape), whole[axis]
        self.histogram_labels = source.bin_labels if self.rows != 1 else None

    def read(self, start: int, stop: int) -> _Array:
        """Rows that lie across the file."""
        return gather_across(lambda: np.moveaxis(self._source.numbers.array(), self._axis, -1), start, stop)

    def place(self, row: int) -> str:
        """The index of a histogram among the others."""
        index = ", ".join(str(int(i)) for i in np.unravel_index(row, self.shape)) if self.shape else ""
        return f"{self.name}, histogram [{index}]" if index else self.name

    def identity(self) -> dict[str, str | int]:
        """That of the file."""
        return {**self._source.identity(), "axis": self._axis}

    def close(self) -> None:
        """Give the file back."""
        self._source.close()


class ArrayIds:
    """Names of rows in memory."""

    name = "id"

    def __init__(self, values: Any) -> None:
        array = np.asarray(values)
        if array.ndim != 1:
            raise ValueError(
                f"ids is a {type(values).__name__} of {array.ndim} dimensions; it must be a list or an array of names,"
                " one for each row"
            )
        if array.dtype.kind in "iu":
            self._values = array
        else:
            self._values = array.astype(str).astype(object)
            if array.dtype == object:
                self._values[[name is None for name in array]] = None
        self.dtype, self.count = self._values.dtype, len(self._values)

    @property
    def digest(self) -> str:
        """What tells these names from others."""
        text = json.dumps(self._values.tolist())
        return f"{self.count} names {hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def read(self, start: int, stop: int) -> _Array:
        """The names of some rows."""
        return self._values[start:stop]

    def close(self) -> None:
        """Nothing to give back."""


def rows_of(array: _Array, start: int, stop: int) -> _Array:
    """Rows, numbered in C order, of an array of any number of dimensions: a view where that is cheap."""
    if array.ndim == 1:
        return array[None][start:stop]
    if array.ndim == 2:
        return array[start:stop]
    if array.flags.c_contiguous:
        return array.reshape(-1, array.shape[-1])[start:stop]
    blocks = [array[box].reshape(-1, array.shape[-1]) for box in boxes(array.shape[:-1], start, stop)]
    return (
        blocks[0]
        if len(blocks) == 1
        else np.concatenate(blocks)
        if blocks
        else array[..., :0, :].reshape(0, array.shape[-1])
    )
