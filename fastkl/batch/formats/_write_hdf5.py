"""Results as datasets in HDF5, each in one piece."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch.formats._checks import boxes, extra
from fastkl.batch.formats._sink import Layout, check_paths

_ROWS_BYTES = 4 << 20


class Hdf5Writer:
    """A dataset for each column, in the shape of the rows, and one for the ids."""

    is_folder = False

    def __init__(self, path: Path, layout: Layout) -> None:
        h5py = extra("h5py", "h5py", "hdf5", ".h5")
        check_paths(layout)
        self.rows_at_once = max(1, _ROWS_BYTES // layout.row_bytes)
        self._shape, self._ids = layout.shape, layout.ids
        self._file = h5py.File(path, "w", track_order=True)
        try:
            if layout.ids is not None:
                kind = h5py.string_dtype() if layout.ids.dtype == object else layout.ids.dtype
                self._file.create_dataset(layout.ids.name, (layout.rows,), kind, track_times=False)
            for name, column in layout.columns.items():
                self._file.create_dataset(name, layout.shape_of(name), column.dtype, track_times=False)
        except BaseException:
            self._file.close()
            raise

    def put(self, start: int, block: dict[str, npt.NDArray[Any]], ids: npt.NDArray[Any] | None) -> None:
        """Write rows."""
        if ids is not None and self._ids is not None:
            names = ids if ids.dtype != object else np.array([name or "" for name in ids], object)
            self._file[self._ids.name][start : start + len(ids)] = names
        for name, values in block.items():
            write_boxes(self._file[name], self._shape, start, values)

    def close(self, complete: bool) -> None:
        """Close the file."""
        self._file.close()


def write_boxes(array: Any, shape: tuple[int, ...], start: int, values: npt.NDArray[Any]) -> None:
    """Set the entries of an array from `start` on, counted in C order along the axes of `shape`."""
    done = 0
    for box in boxes(shape, start, start + len(values)):
        wanted = tuple(_length(index) for index in box if isinstance(index, slice)) + shape[len(box) :]
        count = int(np.prod(wanted, dtype=np.int64))
        array[box if box else ...] = values[done : done + count].reshape((*wanted, *values.shape[1:]))
        done += count


def _length(index: slice) -> int:
    return int(index.stop - index.start)
