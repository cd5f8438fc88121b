"""Open a file of histograms, or create one of results, in the format that its suffix names."""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from fastkl.batch._protocols import Column, Ids, Sink, SinkError, Source, SourceError
from fastkl.batch.formats._checks import Reading
from fastkl.batch.formats._sink import CheckedSink, Layout

# Suffix: module and function, imported when such a file is opened.
_READERS = {
    ".npy": ("npy", "open_npy"),
    ".npz": ("npz", "open_npz"),
    ".csv": ("csv", "open_csv"),
    ".parquet": ("arrow", "open_arrow"),
    ".arrow": ("arrow", "open_arrow"),
    ".feather": ("arrow", "open_arrow"),
    ".zarr": ("zarr", "open_zarr"),
    ".h5": ("hdf5", "open_hdf5"),
    ".hdf5": ("hdf5", "open_hdf5"),
}
_WRITERS = {
    ".npy": ("_write_npy", "NpyWriter"),
    ".npz": ("_write_npz", "NpzWriter"),
    ".csv": ("_write_csv", "CsvWriter"),
    ".parquet": ("_write_arrow", "ParquetWriter"),
    ".arrow": ("_write_arrow", "IpcWriter"),
    ".feather": ("_write_arrow", "IpcWriter"),
    ".zarr": ("_write_zarr", "ZarrWriter"),
    ".h5": ("_write_hdf5", "Hdf5Writer"),
    ".hdf5": ("_write_hdf5", "Hdf5Writer"),
}
WITH_IDS = tuple(suffix for suffix in _WRITERS if suffix != ".npy")
_AS_IT_IS = Reading()
_OF_SEVERAL = (".npz", ".h5", ".hdf5", ".zarr", ".parquet", ".arrow", ".feather")
_WITH_NAME = re.compile(rf"(.+?({'|'.join(map(re.escape, _OF_SEVERAL))})):(.+)", re.IGNORECASE | re.DOTALL)


def open_source(path: str | Path, *, ids: str | None = None, how: Reading = _AS_IT_IS) -> Source:
    """Open a file as rows of histograms, along the last axis of an array or in a table.

    A file of several arrays or columns is followed by ":" and the name of one, unless only one can be meant:
    "p.npz:reference", "run.h5:/day/p", "store.zarr:p", "days.parquet:histogram". `ids` is the array or column beside it
    that names the rows. Where a format unpacks more than `how.room` bytes at a time, it is unpacked to a temporary file
    first, in smaller pieces.

    Raises SourceError where the file holds no histograms, OSError where there is none, ImportError where its format
    needs an extra that is not installed. A .csv file is read whole here, with a bar of progress if `how` asks for one.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/days.npz", p=[[1, 2, 3], [4, 5, 6]], ids=["mon", "tue"])
    ...     source = open_source(f"{folder}/days.npz:p", ids="ids")
    ...     print(source.rows, source.bins, source.dtype, source.read(1, 2), source.ids.read(1, 2))
    ...     source.close()
    2 3 int64 [[4 5 6]] ['tue']
    """
    file, name = split_name(path)
    try:
        module, function = _READERS[file.suffix.lower()]
    except KeyError:
        folder = "; a folder of Parquet files is read if its name ends in .parquet too" if file.is_dir() else ""
        raise SourceError(f"{path}: files to read end in {_either(_READERS)}{folder}") from None
    opener = getattr(importlib.import_module(f"fastkl.batch.formats.{module}"), function)
    return cast(Source, opener(file, name, ids, how))


def open_sink(
    path: str | Path,
    columns: Mapping[str, Column],
    shape: tuple[int, ...],
    *,
    ids: Ids | None = None,
    force: bool = False,
) -> Sink:
    """Create a file of results that will have these columns, in the format that its suffix names.

    `shape` is that of the rows (`Source.shape`), which .npy, .npz, .zarr and .h5 keep; what is written is always a flat
    block of rows. The sink itself reads the `ids` of the rows that it writes. The file has its name when it is
    complete, and is the same to the bit whatever blocks it was written in. An id that is None is null in Parquet and
    Arrow, empty elsewhere.

    Raises SinkError where the target exists (unless `force`) or its format can't hold that; ImportError.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sink = open_sink(f"{folder}/kl.npy", {"kl": Column(np.dtype(float))}, (3,))
    ...     sink.write({"kl": np.array([0.5, 0.25])})
    ...     sink.write({"kl": np.array([0.0])})
    ...     sink.finish()
    ...     print(np.load(f"{folder}/kl.npy"))
    [0.5  0.25 0.  ]
    """
    target = Path(path)
    try:
        module, writer = _WRITERS[target.suffix.lower()]
    except KeyError:
        raise SinkError(f"{path}: results go to files that end in {_either(_WRITERS)}") from None
    if not columns:
        raise SinkError(f"{path}: no columns to write")
    kind = getattr(importlib.import_module(f"fastkl.batch.formats.{module}"), writer)
    if ids is not None and ids.name in columns:
        raise SinkError(f"{path}: {ids.name!r} is both the name of the ids and of a column of results")
    return CheckedSink(target, kind, Layout(dict(columns), shape, ids), force)


def can_read(path: str | Path) -> bool:
    """Whether files of this suffix (a ":name" after it is ignored) can be read."""
    return split_name(path)[0].suffix.lower() in _READERS


def can_write(path: str | Path) -> bool:
    """Whether files of this suffix can be written."""
    return Path(path).suffix.lower() in _WRITERS


def carries_ids(path: str | Path) -> bool:
    """Whether a file of results of this suffix has room for ids and several columns: all but .npy."""
    return Path(path).suffix.lower() in WITH_IDS


def split_name(path: str | Path) -> tuple[Path, str | None]:
    """A file, and the name of the array in it that follows after ":" in what a user wrote."""
    if (found := _WITH_NAME.fullmatch(str(path))) and not Path(path).exists():
        return Path(found[1]), found[3]
    return Path(path), None


def _either(suffixes: Mapping[str, object]) -> str:
    *most, last = suffixes
    return f"{', '.join(most)} or {last}"
