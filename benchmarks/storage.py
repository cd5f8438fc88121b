"""Runs over warm files of each format, over dtypes, sizes, axes and threads; and their memory.

Beside them the same by hand: each file read whole by the library that its format is of, then one call of fastkl or of
SciPy; and that call on arrays that are in memory already. A run reads two files, and has a third one on the disk when
it is done, which takes some milliseconds whatever the rows.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastkl import batch
from fastkl._threads import available_cpus
from fastkl.bench import data
from fastkl.bench.files import run_untimed, stored, write_rows
from fastkl.bench.measure import in_new_process
from fastkl.bench.peers import FASTKL, SCIPY, Peer

from .contest import _Contest

_FORMATS = [".npy", ".npz", ".csv", ".parquet", ".arrow", ".zarr", ".hdf5"]
_ROWS = 4_000
_MEMORY = "256MiB"


def _by_pyarrow(table):
    """The rows of a table, whose column holds lists."""
    column = table.column(0).combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def _npz(path):
    with np.load(path) as archive:
        return archive[archive.files[0]]


def _csv(path):
    from pyarrow import csv

    options = csv.ReadOptions(autogenerate_column_names=True)  # there is no header
    return np.column_stack([column.to_numpy() for column in csv.read_csv(path, options).columns])


def _parquet(path):
    from pyarrow import parquet

    return _by_pyarrow(parquet.read_table(path))


def _arrow(path):
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        return _by_pyarrow(pa.ipc.open_file(file).read_all())


def _zarr(path):
    import zarr

    return zarr.open_array(path, mode="r")[:]


def _hdf5(path):
    import h5py

    with h5py.File(path) as file:
        (dataset,) = file.values()
        return dataset[:]


_READERS = {
    ".npy": np.load, ".npz": _npz, ".csv": _csv, ".parquet": _parquet, ".arrow": _arrow, ".zarr": _zarr,
    ".hdf5": _hdf5,
}  # fmt: skip


def _run(case):
    return lambda: run_untimed(case)[0]


def _read_then(peer):
    """Read both files whole, then call."""

    def bind(case):
        read = _READERS[case.files.suffix]
        return lambda: peer.bind(replace(case, p=read(case.files.p), q=read(case.files.q)))()

    return bind


LIBRARIES = {
    "fastkl": Peer("fastkl", _run),
    "read, fastkl": Peer("read, fastkl", _read_then(FASTKL)),
    "read, scipy": Peer("read, scipy", _read_then(SCIPY)),
}
_WITH_MEMORY = LIBRARIES | {"in memory": FASTKL}


def _case(suffix, rows, bins, dtype, threads):
    make = data.two_counts if dtype.startswith("uint") else data.two_positive
    return stored(suffix)(*make(rows, bins, dtype), threads, True)


class _Stored(_Contest):
    """Files are made for each call that is timed, and go after it: asv ends its processes without a word."""

    def teardown(self, *params):
        """Remove the files."""
        self.call = None


class Formats(_Stored):
    """Row against row, of each format and dtype."""

    params = (_FORMATS, ["float64", "float32", "uint16"], list(LIBRARIES))
    param_names = ("format", "dtype", "library")

    def setup(self, suffix, dtype, library):
        """Write two warm files, and compile."""
        self.enter(LIBRARIES[library], lambda: _case(suffix, _ROWS, 64, dtype, available_cpus()))


class Shapes(_Stored):
    """Few and many rows, short and long ones."""

    params = ([".npy", ".parquet"], [100, 10_000], [16, 256], list(LIBRARIES))
    param_names = ("format", "rows", "bins", "library")

    def setup(self, suffix, rows, bins, library):
        """Write two warm files, and compile."""
        self.enter(LIBRARIES[library], lambda: _case(suffix, rows, bins, "float64", available_cpus()))


class Threads(_Stored):
    """On one thread and on all."""

    params = ([".npy", ".parquet"], sorted({1, available_cpus()}), list(_WITH_MEMORY))
    param_names = ("format", "threads", "library")

    def setup(self, suffix, threads, library):
        """Write two warm files, and compile."""
        self.enter(_WITH_MEMORY[library], lambda: _case(suffix, 10 * _ROWS, 256, "float64", threads))


class Memory:
    """What a run needs beyond the interpreter with its imports, in a process of its own: of a file that is larger."""

    params = tuple(suffix for suffix in _FORMATS if suffix != ".csv")  # so much text takes minutes to write
    param_names = ("format",)
    unit = "MiB"

    def setup(self, suffix):
        """Write a file, and one histogram to compare it with; and compile."""
        self.folder = tempfile.TemporaryDirectory(prefix="fastkl-bench-")
        self.files = [f"{self.folder.name}/{name}{suffix}" for name in ("p", "q", "kl")]
        try:
            for path, rows in zip(self.files, (40 * _ROWS, 1), strict=False):
                write_rows(Path(path), data.positive(rows, 256, "float64", 1))
        except ImportError as absent:
            raise NotImplementedError(absent) from None
        batch.run("kl", self.files[1], self.files[1], self.files[2], force=True)

    def teardown(self, suffix):
        """Remove the files."""
        self.folder.cleanup()

    def track_peak(self, suffix):
        """The most of the 256 MiB that it is allowed."""
        return in_new_process("fastkl.bench.peak", *self.files, _MEMORY, str(available_cpus()))
