"""Results as arrays of a store, one for each column, and one for the ids: what writers of zarr and HDF5 share."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch.formats._checks import boxes
from fastkl.batch.formats._sink import Layout, check_paths

ROWS_BYTES = 4 << 20  # written together


class ArraysWriter:
    """Rows into arrays that a format has made."""

    def __init__(self, layout: Layout) -> None:
        check_paths(layout)
        self.rows_at_once = max(1, ROWS_BYTES // layout.row_bytes)
        self._shape, self._ids = layout.shape, None if layout.ids is None else layout.ids.name
        self._arrays: dict[str, Any] = {}

    def put(self, start: int, block: dict[str, npt.NDArray[Any]], ids: npt.NDArray[Any] | None) -> None:
        """Write rows; text has no null there and is empty."""
        if ids is not None and self._ids is not None:
            names = ids if ids.dtype != object else np.array([name or "" for name in ids], object)
            self._arrays[self._ids][start : start + len(ids)] = names
        for name, values in block.items():
            _write_boxes(self._arrays[name], self._shape, start, values)


def _write_boxes(array: Any, shape: tuple[int, ...], start: int, values: npt.NDArray[Any]) -> None:
    """Set the entries of an array from `start` on, counted in C order along the axes of `shape`."""
    done = 0
    for box in boxes(shape, start, start + len(values)):
        wanted = tuple(_length(index) for index in box if isinstance(index, slice)) + shape[len(box) :]
        count = int(np.prod(wanted, dtype=np.int64))
        array[box if box else ...] = values[done : done + count].reshape((*wanted, *values.shape[1:]))
        done += count


def _length(index: slice) -> int:
    return int(index.stop - index.start)
