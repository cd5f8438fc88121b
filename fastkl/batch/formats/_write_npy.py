"""Results as one array in .npy."""

from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import SinkError
from fastkl.batch.formats._sink import Layout

# Written together: of what comes in such pieces Linux makes large pages, which are mapped three times as quickly as
# those of 1 MiB.
ROWS_BYTES = 8 << 20


class NpyWriter:
    """The one column of the results, in the shape of the rows."""

    is_folder = False

    def __init__(self, path: Path, layout: Layout) -> None:
        if len(layout.columns) > 1 or layout.ids is not None:
            found = ", ".join(layout.names)
            raise SinkError(f".npy holds one array, these results are {found}; .npz, .zarr or .parquet hold several")
        self.rows_at_once = max(1, ROWS_BYTES // layout.row_bytes)
        ((self._name, column),) = layout.columns.items()
        self._file = open(path, "rb+")  # noqa: SIM115 - open until closed
        write_header(self._file, column.dtype, layout.shape_of(self._name))

    def put(self, start: int, block: dict[str, npt.NDArray[Any]], ids: None) -> None:
        """Append rows."""
        self._file.write(np.ascontiguousarray(block[self._name]).data)

    def close(self, complete: bool) -> None:
        """Close the file."""
        self._file.close()


def write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """What stands in a .npy file before the numbers, to the bit as `numpy.save` writes it."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(cast(Any, file), header)
