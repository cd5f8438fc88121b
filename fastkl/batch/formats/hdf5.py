"""HDF5: one dataset of a file. What lies in one piece is mapped, what is cut into chunks goes through h5py."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import SourceError
from fastkl.batch.formats._checks import (
    Arrays,
    Reading,
    check_exists,
    check_histograms,
    check_ids,
    extra,
    one_of,
    rows_of,
)
from fastkl.batch.formats._chunked import ChunkedSource
from fastkl.batch.formats._mapped import MappedSource, NumberFile

_CACHE_BYTES = 32 << 20  # of chunks that several reads share


def open_hdf5(path: Path, name: str | None, ids: str | None, how: Reading) -> MappedSource | ChunkedSource:
    """The dataset of that name, "/group/dataset", or the only one."""
    file = _open_file(path)
    try:
        datasets = _datasets(file)
        arrays = {key: (_dtype(dataset), dataset.shape or ()) for key, dataset in datasets.items()}
        key = one_of(str(path), arrays, _absolute(name), _absolute(ids))
        check_histograms(f"{path}:{key}", *arrays[key])
        names = _open_ids(path, ids, arrays, rows_of(arrays[key][1]))
        try:
            if (offset := _place_in_file(file, datasets[key])) is not None:
                raw = open(path, "rb")  # noqa: SIM115 - the source keeps it open
                file.close()
                return MappedSource(NumberFile(path, raw, *arrays[key], offset=offset, name=key), names)
            chunks = datasets[key].chunks or (1,) * datasets[key].ndim
            return ChunkedSource(path, f"{path}:{key}", datasets[key], chunks, names, how.room, file.close)
        except BaseException:
            if names is not None:
                names.close()
            raise
    except BaseException:
        file.close()
        raise


def _open_file(path: Path) -> Any:
    h5py = extra("h5py", "h5py", "hdf5", path.suffix)
    check_exists(path)
    try:
        return h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES)
    except OSError as error:
        raise SourceError(f"{path} can't be read as HDF5: {error}") from None


def _datasets(file: Any) -> dict[str, Any]:
    h5py = extra("h5py", "h5py", "hdf5", ".h5")
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found["/" + name] = item

    try:
        file.visititems(visit)
    except (RuntimeError, OSError, KeyError) as error:
        raise SourceError(f"{file.filename} can't be read as HDF5: {error}") from None
    return found


def _dtype(dataset: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = dataset.dtype
    except (TypeError, ValueError):  # bit fields, odd floats: what NumPy has no type for
        return np.dtype(np.void)
    return dtype


def _absolute(name: str | None) -> str | None:
    return None if name is None else "/" + name.lstrip("/")


def _place_in_file(file: Any, dataset: Any) -> int | None:
    """Where the numbers of a dataset lie in one piece, as NumPy stores them; None where they don't."""
    h5py = extra("h5py", "h5py", "hdf5", ".h5")
    offset = dataset.id.get_offset()
    is_plain = (
        dataset.chunks is None
        and not dataset.is_virtual
        and dataset.id.get_create_plist().get_external_count() == 0
        and file.id.get_create_plist().get_userblock() == 0
        and dataset.id.get_type() == h5py.h5t.py_create(dataset.dtype, logical=True)
        and dataset.id.get_storage_size() == dataset.nbytes > 0
        and file.driver in ("sec2", "windows")
    )
    return int(offset) if is_plain and offset is not None else None


def _open_ids(path: Path, ids: str | None, arrays: Arrays, rows: int) -> "_DatasetIds | None":
    if ids is None:
        return None
    key = one_of(str(path), arrays, _absolute(ids))
    check_ids(str(path), key, arrays, rows)
    h5py = extra("h5py", "h5py", "hdf5", path.suffix)
    if (dtype := arrays[key][0]).kind == "O" and h5py.check_string_dtype(dtype) is None:
        raise SourceError(f"{path}: ids {key!r} are neither integers nor text")
    return _DatasetIds(ids.rpartition("/")[2], _open_file(path)[key])


class _DatasetIds:
    """A dataset that names the rows."""

    def __init__(self, name: str, dataset: Any) -> None:
        self.name = name
        self.dtype = dataset.dtype if dataset.dtype.kind in "iu" else np.dtype(object)
        self._file = dataset.file
        self._dataset = dataset if dataset.dtype.kind in "iu" else dataset.asstr()

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The names of rows start to stop."""
        try:
            return np.asarray(self._dataset[start:stop], self.dtype)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise SourceError(f"{self._file.filename}, ids, rows {start} to {stop - 1}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
