"""NumPy's own format: one array, mapped. Its header is read without ever unpickling anything."""

import math
import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np

from fastkl.batch._protocols import SourceError
from fastkl.batch.formats._checks import Reading, check_histograms
from fastkl.batch.formats._mapped import MappedSource, NumberFile

Header = tuple[np.dtype[Any], tuple[int, ...], Literal["C", "F"]]


def open_npy(path: Path, name: str | None, ids: str | None, how: Reading) -> MappedSource:
    """The array of a .npy file."""
    if ids is not None:
        raise SourceError(f"{path} holds one array and no ids {ids!r}")
    return MappedSource(open_numbers_npy(path))


def open_numbers_npy(path: Path) -> NumberFile:
    """The array of a .npy file, which must hold all of it."""
    file = open(path, "rb")  # noqa: SIM115 - the caller keeps it open
    try:
        numbers = array_at(path, file, 0, os.fstat(file.fileno()).st_size, None)
        check_histograms(str(path), numbers.dtype, numbers.shape)
        return numbers
    except BaseException:
        file.close()
        raise


def array_at(path: Path, file: BinaryIO, start: int, end: int, name: str | None) -> NumberFile:
    """The array that lies in a file from `start` to `end` as in .npy."""
    place = str(path) if name is None else f"{path}:{name}"
    file.seek(start)
    dtype, shape, order = read_header(file, place)
    if dtype.hasobject:
        raise SourceError(f"{place} can't be read as .npy: it has dtype object, pickles, which are never loaded")
    offset = file.tell()
    check_size(place, dtype, shape, end - offset)
    return NumberFile(path, file, dtype, shape, order, offset, name=name)


def read_header(file: BinaryIO, place: str) -> Header:
    """Type, shape and order of what follows in a file; SourceError where no array of numbers or text follows."""
    try:
        with warnings.catch_warnings():  # of headers written by Python 2, and of odd escapes in damaged ones
            warnings.simplefilter("ignore")
            dtype, shape, order = _parse(file)
    except OSError:
        raise
    except Exception as error:  # a damaged header raises SyntaxError, OverflowError, EOFError ...
        raise SourceError(f"{place} can't be read as .npy: {error}") from None
    if dtype.subdtype is not None or not _is_shape(shape, dtype):
        raise SourceError(f"{place} can't be read as .npy: its shape is {shape} of {dtype}")
    return dtype, shape, order


def check_size(place: str, dtype: np.dtype[Any], shape: tuple[int, ...], available: int) -> None:
    """Raise SourceError where there are fewer bytes than the array has."""
    if (wanted := dtype.itemsize * math.prod(shape)) > available:
        shown = " x ".join(map(str, shape))
        raise SourceError(
            f"{place} can't be read as .npy: it is cut short: {shown} numbers of type {dtype} take {wanted} bytes,"
            f" {max(available, 0)} are there"
        )


def _is_shape(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    are_sizes = all(not isinstance(size, bool) and size >= 0 for size in shape)
    return are_sizes and dtype.itemsize * math.prod(size or 1 for size in shape) < 2**63  # what NumPy can count


def _parse(file: BinaryIO) -> Header:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"its version is {version[0]}.{version[1]}; 1.0, 2.0 and 3.0 are known")
    # Version 3 differs from 2 only in the encoding of names of fields, which no array of numbers has.
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = reader(cast(Any, file))
    return np.dtype(dtype), tuple(shape), "F" if is_fortran else "C"
