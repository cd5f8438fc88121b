"""dask: arrays that have no values until they are computed, and stay so; other collections are refused."""

from typing import Any, NoReturn

import dask.array as da
import numpy as np
import numpy.typing as npt

from fastkl._check import check_within
from fastkl._operands import as_array
from fastkl.containers._open import reader_of
from fastkl.containers._operand import Opened


def read(value: Any, name: str) -> NoReturn:
    """Say how to get values, where they are needed at once."""
    raise TypeError(f"{name} is a {type(value).__name__} of dask; pass `{name}.compute()`")


def open_chunked(given: dict[str, Any], axis: int, dim: str | None) -> Opened:
    """What `open_containers` gives, but arrays of dask are left as they are; each has its bins in one chunk."""
    if "_xarray" in map(reader_of, given.values()):
        from fastkl.containers._xarray import open_aligned

        return open_aligned(given, axis, dim, is_lazy=True)
    if dim is not None:
        raise ValueError("dim names a dimension of a DataArray of xarray, and no argument is one; pass axis")
    for name, value in given.items():
        reader = None if isinstance(value, da.Array) else reader_of(value)
        if reader == "_dask":
            read(value, name)
        if reader is not None:  # results can't be of its library and of dask
            raise TypeError(f"{name} is a {type(value).__name__} beside arrays of dask; pass an array")
    arrays = [as_lazy(value, name) for name, value in given.items()]
    ndim = max(array.ndim for array in arrays)
    check_within(axis, ndim)
    for name, array in zip(given, arrays, strict=True):
        place = 0 if array.ndim == 1 else array.ndim + axis % ndim - ndim
        if isinstance(array, da.Array) and place >= 0:  # else it lacks the axis, which is said when shapes are compared
            check_bins(name, f"axis {place}", array.numblocks[place], f"{name}.rechunk({{{place}: -1}})")
    return Opened(arrays, axis, lambda result: result, lambda name, index: "")


def as_lazy(value: Any, name: str) -> Any:
    """An array of dask as it is, another as `as_array` gives it."""
    if not isinstance(value, da.Array):
        return as_array(value, name)
    meta = value._meta
    if not isinstance(meta, np.ndarray) or isinstance(meta, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is an array of dask with chunks of {type(meta).__module__}.{type(meta).__name__}; they must be"
            f" arrays of NumPy, which `{name}.map_blocks` can make of them"
        )
    as_array(stand_in(value), name)
    return value


def check_bins(name: str, where: str, chunks: int, remedy: str) -> None:
    """Raise unless the bins lie in one chunk."""
    if chunks > 1:
        raise ValueError(
            f"the bins of {name}, {where}, are in {chunks} chunks; a histogram must lie in one: pass `{remedy}`"
        )


def stand_in(array: Any) -> npt.NDArray[Any]:
    """An array of the same type and shape that takes no memory; what is of unknown length has one element."""
    shape = [1 if np.isnan(size) else int(size) for size in array.shape]
    return np.broadcast_to(np.zeros((), array.dtype), shape)
