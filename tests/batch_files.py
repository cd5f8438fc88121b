"""Files of histograms as other programs write them, and results as other programs read them.

Tests that import `_in_a_folder` run in a folder of their own each, and close there what they opened.
"""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import zarr

from fastkl.batch._protocols import Column
from fastkl.batch.formats import open_sink
from fastkl.batch.formats import open_source as open_file

_OPEN: list[Any] = []


def open_source(path: str, **options: Any) -> Any:
    """A source that is closed after the test."""
    _OPEN.append(open_file(path, **options))
    return _OPEN[-1]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    while _OPEN:
        _OPEN.pop().close()


# What other programs write. Each takes a matrix, or for some any array, and returns the name to open it by.


def save_npy(array: np.ndarray) -> str:
    np.save("a.npy", array)
    return "a.npy"


def save_fortran_npy(array: np.ndarray) -> str:
    np.save("a.npy", np.asfortranarray(array))
    return "a.npy"


def save_npz(array: np.ndarray) -> str:
    np.savez("a.npz", array)
    return "a.npz"


def save_compressed_npz(array: np.ndarray) -> str:
    np.savez_compressed("a.npz", p=array, other=array[..., :1])
    return "a.npz:p"


def save_zarr(array: np.ndarray) -> str:
    zarr.save_array("a.zarr", array)
    return "a.zarr"


def save_zarr_in_a_group(array: np.ndarray) -> str:
    group = zarr.create_group("a.zarr")
    for name in ("p", "q"):
        chunks = tuple(max(1, (size + 2) // 4) for size in array.shape)
        group.create_array(f"day/{name}", shape=array.shape, chunks=chunks, dtype=array.dtype, compressors=None)
    group["day/p"][...] = array
    return "a.zarr:/day/p"


def save_old_zarr(array: np.ndarray) -> str:
    made = zarr.create_array("a.zarr", shape=array.shape, dtype=array.dtype, zarr_format=2)
    made[...] = array
    return "a.zarr"


def save_hdf5(array: np.ndarray) -> str:
    with h5py.File("a.h5", "w") as file:
        file["day/p"] = array
    return "a.h5"


def save_compressed_hdf5(array: np.ndarray) -> str:
    with h5py.File("a.hdf5", "w") as file:
        whole = all(array.shape)  # h5py has no chunks of nothing
        file.create_dataset("p", data=array, **({"compression": "gzip", "chunks": True} if whole else {}))
        file["q"] = array
    return "a.hdf5:p"


def save_hdf5_after_a_user_block(array: np.ndarray) -> str:
    with h5py.File("a.h5", "w", userblock_size=512) as file:
        file["p"] = array
    return "a.h5:/p"


ARRAYS = [
    save_npy,
    save_fortran_npy,
    save_npz,
    save_compressed_npz,
    save_zarr,
    save_zarr_in_a_group,
    save_old_zarr,
    save_hdf5,
    save_compressed_hdf5,
    save_hdf5_after_a_user_block,
]


def as_values(array: np.ndarray) -> pa.Array:
    return pa.array(array.astype(array.dtype.newbyteorder("=")).ravel())


def as_fixed_lists(array: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(as_values(array), array.shape[1])


def as_lists(array: np.ndarray, kind: Any = pa.ListArray, offset: Any = np.int32) -> pa.Array:
    return kind.from_arrays(np.arange(len(array) + 1, dtype=offset) * array.shape[1], as_values(array))


def as_large_lists(array: np.ndarray) -> pa.Array:
    return as_lists(array, pa.LargeListArray, np.int64)


def as_tensors(array: np.ndarray) -> pa.Array:
    kind = pa.fixed_shape_tensor(as_values(array).type, (array.shape[1],))
    return pa.ExtensionArray.from_storage(kind, as_fixed_lists(array))


def as_columns(array: np.ndarray) -> pa.Table:
    return pa.table({f"bin{i}": as_values(column) for i, column in enumerate(array.T)})


SHAPES = [as_fixed_lists, as_lists, as_large_lists, as_tensors, as_columns]


def save_parquet(table: pa.Table) -> str:
    pa.parquet.write_table(table, "a.parquet", row_group_size=5)
    return "a.parquet"


def save_arrow(table: pa.Table) -> str:
    with pa.ipc.new_file("a.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return "a.arrow"


def save_feather(table: pa.Table) -> str:
    pa.feather.write_feather(table, "a.feather", compression="zstd", chunksize=4)
    return "a.feather"


TABLES = [save_parquet, save_arrow, save_feather]


def as_table(column: Any) -> pa.Table:
    return column if isinstance(column, pa.Table) else pa.table({"h": column})


def as_matrix(array: np.ndarray) -> np.ndarray:
    return array.reshape(int(np.prod(array.shape[:-1])), array.shape[-1])


def check_source(path: str, array: np.ndarray) -> None:
    """Raise unless a file reads as the rows of an array, in whatever order and blocks."""
    rows = as_matrix(array)
    source = open_source(path)
    try:
        assert (source.rows, source.bins, source.shape) == (*rows.shape, array.shape[:-1])
        assert source.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        assert source.chunk >= 1
        for start, stop in [(0, len(rows)), (0, 0), (len(rows), len(rows))]:
            _check_block(source, rows, start, stop)
        for step in (1, 3):
            for start in range(0, len(rows), step):
                _check_block(source, rows, start, min(len(rows), start + step))
        for start in range(len(rows) - 1, -1, -4):  # backwards
            _check_block(source, rows, start, min(len(rows), start + 2))
        if len(rows):
            assert source.name in source.place(len(rows) - 1)
        assert source.identity() == source.identity()
        assert {"path", "size", "mtime_ns", "rows", "bins", "dtype"} <= set(source.identity())
    finally:
        source.close()
        source.close()


def _check_block(source: Any, rows: np.ndarray, start: int, stop: int) -> None:
    found = source.read(start, stop)
    assert found.dtype == source.dtype
    np.testing.assert_array_equal(found, rows[start:stop])


def some(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 2 if dtype == "bool" else 99, shape).astype(dtype)


def bytes_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


IDS = ["mon", "tüe", 'w,e"d', "", "fri\nday", "x" * 40, "a", "b"]


class Names:
    """Ids in memory."""

    name = "day"

    def __init__(self, names: Any) -> None:
        self.names = names if isinstance(names, np.ndarray) else np.array(names, object)
        self.dtype = self.names.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.names[start:stop]

    def close(self) -> None:
        pass


SUFFIXES = ["npy", "npz", "csv", "parquet", "arrow", "feather", "zarr", "h5", "hdf5"]


def write(path: str, columns: dict[str, np.ndarray], shape: tuple[int, ...], step: int, **options: Any) -> None:
    """Write columns in blocks."""
    described = {
        name: Column(array.dtype, None if array.ndim == 1 else array.shape[1]) for name, array in columns.items()
    }
    sink = open_sink(path, described, shape, **options)
    rows = len(next(iter(columns.values())))
    for start in range(0, rows, step):
        block = {name: array[start : start + step].copy() for name, array in columns.items()}
        sink.write(block)
        for array in block.values():
            array[...] = 0  # which the caller may
    assert not Path(path).exists() or options.get("force")
    sink.finish()
    sink.abandon()
    assert Path(path).exists()
    assert not [name for name in Path(path).parent.iterdir() if ".part" in name.name]


def read_back(path: str, name: str) -> np.ndarray:
    """A column as the format's own library reads it."""
    suffix = path.rpartition(".")[2]
    if suffix == "npy":
        return np.load(path)
    if suffix == "npz":
        return np.load(path)[name]
    if suffix == "zarr":
        found = zarr.open(path, mode="r")
        return np.asarray((found if isinstance(found, zarr.Array) else found[name])[...])
    if suffix in ("h5", "hdf5"):
        with h5py.File(path) as file:
            found = file[name]
            return found.asstr()[...] if found.dtype == object else found[...]
    table = pa.parquet.read_table(path) if suffix == "parquet" else pa.feather.read_table(path)
    found = table[name].combine_chunks()
    if pa.types.is_fixed_size_list(found.type):
        return found.flatten().to_numpy().reshape(len(found), found.type.list_size)
    return found.to_numpy(zero_copy_only=False)


def digest(path: str) -> str:
    """Of a file, or of all files of a folder with their names."""
    files = [Path(path)] if Path(path).is_file() else sorted(file for file in Path(path).rglob("*") if file.is_file())
    contents = [(str(file.relative_to(path)), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    return hashlib.sha256(repr(contents).encode()).hexdigest()
