"""Results as several arrays in .npz, stored as `numpy.savez` does, so that they can be mapped."""

import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import Ids
from fastkl.batch.formats._sink import Layout, check_paths
from fastkl.batch.formats._write_npy import ROWS_BYTES, write_header

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same at whatever time it is written
_COPY_BYTES = 1 << 20
_IDS_AT_ONCE = 1 << 16


class NpzWriter:
    """A member for each column. They are collected in nameless files, as a zip takes one member after the other."""

    is_folder = False

    def __init__(self, path: Path, layout: Layout) -> None:
        check_paths(layout)
        self.rows_at_once = max(1, ROWS_BYTES // layout.row_bytes)
        self._path = path
        self._types = {name: (column.dtype, layout.shape_of(name)) for name, column in layout.columns.items()}
        self._ids = None if layout.ids is None else layout.ids.name
        if layout.ids is not None:
            self._types[layout.ids.name] = _ids_type(layout.ids, layout.rows), (layout.rows,)
        self._parts = {name: _new_file(path.parent) for name in self._types}

    def put(self, start: int, block: dict[str, npt.NDArray[Any]], ids: npt.NDArray[Any] | None) -> None:
        """Append rows."""
        if ids is not None and self._ids is not None:
            names = ids if ids.dtype != object else [name or "" for name in ids]
            block = block | {self._ids: np.asarray(names, self._types[self._ids][0])}
        for name, values in block.items():
            self._parts[name].write(values.tobytes())

    def close(self, complete: bool) -> None:
        """Put the members together."""
        try:
            if complete:
                with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED) as archive:
                    for name, (dtype, shape) in self._types.items():
                        info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
                        with archive.open(info, "w", force_zip64=True) as member:
                            write_header(cast(BinaryIO, member), dtype, shape)
                            self._parts[name].seek(0)
                            shutil.copyfileobj(self._parts[name], member, _COPY_BYTES)
        finally:
            for part in self._parts.values():
                part.close()


def _new_file(folder: Path) -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


def _ids_type(ids: Ids, rows: int) -> np.dtype[Any]:
    """NumPy's type that holds all ids: text is as wide there as its longest."""
    if ids.dtype != object:
        return ids.dtype
    starts = range(0, rows, _IDS_AT_ONCE)
    blocks = (ids.read(start, min(rows, start + _IDS_AT_ONCE)) for start in starts)
    return np.dtype(f"U{max((len(name or '') for block in blocks for name in block), default=1) or 1}")
