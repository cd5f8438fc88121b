"""Zarr: one array of a store that is a folder. A chunk that is not there holds the fill value, as zarr has it."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import SourceError
from fastkl.batch.formats._checks import Reading, check_exists, check_histograms, check_ids, extra, one_of, rows_of
from fastkl.batch.formats._chunked import ChunkedSource, said


def open_zarr(path: Path, name: str | None, ids: str | None, how: Reading) -> ChunkedSource:
    """The array of that name in a store, or its only one, or the store itself where that is an array."""
    found, ids = _arrays(path), None if ids is None else ids.strip("/")
    arrays = {key: (_dtype(array), array.shape) for key, array in found.items()}
    key = one_of(str(path), arrays, None if name is None else name.strip("/"), ids)
    place = f"{path}:{key}" if key else str(path)
    check_histograms(place, *arrays[key])
    names = None
    if ids is not None:
        ids = one_of(str(path), arrays, ids)
        check_ids(str(path), ids, arrays, rows_of(arrays[key][1]))
        names = _ArrayIds(ids, found[ids])
    # Nothing is open between reads.
    return ChunkedSource(path, place, found[key], found[key].chunks, names, how.room, close=lambda: None)


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of a store by their paths in it; "" is the store itself."""
    zarr = extra("zarr", "zarr", "zarr", path.suffix)
    check_exists(path)
    try:
        found = zarr.open(path.absolute(), mode="r")
        if isinstance(found, zarr.Array):
            return {"": found}
        return {key: item for key, item in sorted(found.members(max_depth=None)) if isinstance(item, zarr.Array)}
    except Exception as error:  # zarr's own, KeyError and TypeError of damaged metadata, JSONDecodeError ...
        raise SourceError(f"{path} can't be read as zarr: {said(error)}") from None


def _dtype(array: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(array.dtype)
    return dtype


class _ArrayIds:
    """An array that names the rows."""

    def __init__(self, name: str, array: Any) -> None:
        self.name, self._array = name.rpartition("/")[2], array
        self.dtype = _dtype(array) if _dtype(array).kind in "iu" else np.dtype(object)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The names of rows start to stop."""
        try:
            return np.asarray(self._array[start:stop]).astype(self.dtype)
        except Exception as error:  # of a codec, of the store: whatever a damaged chunk leads to
            raise SourceError(f"{self.name}, rows {start} to {stop - 1}, can't be read: {said(error)}") from None

    def close(self) -> None:
        """Nothing is open between reads."""
