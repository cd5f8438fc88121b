"""xarray: names of dimensions, and their coordinates, say which histogram is compared with which."""

from functools import partial
from importlib import import_module
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from fastkl._operands import as_array
from fastkl.containers._labels import check_labels, spell
from fastkl.containers._operand import Opened

_Array = npt.NDArray[Any]


def open_aligned(given: dict[str, Any], axis: int, dim: str | None, is_lazy: bool = False) -> Opened:
    """DataArrays, and arrays beside them, with the bins last and the other dimensions as the result has them.

    With ``is_lazy`` those that dask computes are left as they are.
    """
    for name, value in given.items():
        _check_type(name, value, is_lazy)
    chunked = import_module("fastkl.containers._dask") if is_lazy else None
    to_array = chunked.as_lazy if chunked else as_array
    data_arrays = {name: value for name, value in given.items() if isinstance(value, xr.DataArray)}
    dim = _bin_dimension(data_arrays, axis, dim)
    widest = max(data_arrays.values(), key=lambda value: value.ndim)
    operands = {
        name: data_arrays[name] if name in data_arrays else _variable(name, to_array(value, name), widest.dims, dim)
        for name, value in given.items()
    }
    for pair in combinations(operands.items(), 2):
        _check_agreement(pair, dim)
    for name, operand in operands.items():
        if chunked and operand.chunks is not None:
            remedy = f"{name}.chunk({{{dim!r}: -1}})"
            chunked.check_bins(name, f"dimension {dim!r}", len(operand.chunksizes[dim]), remedy)

    arrays: list[_Array] = []

    def batch_shape(*aligned: _Array) -> _Array:
        arrays.extend(aligned)
        return np.broadcast_to(0.0, np.broadcast_shapes(*(array.shape[:-1] for array in aligned)))

    # What xarray makes of any function of these: the dimensions, coordinates, name and attributes.
    template = xr.apply_ufunc(
        batch_shape,
        *operands.values(),
        input_core_dims=[[dim]] * len(operands),
        join="exact",
        keep_attrs="override",
        dask="allowed",
    )
    arrays = [to_array(array, name) for name, array in zip(given, arrays, strict=True)]
    return Opened(arrays, -1, partial(_give, template), partial(_label, data_arrays, template.dims))


def _check_type(name: str, value: Any, is_lazy: bool) -> None:
    if isinstance(value, xr.DataArray):
        if value.chunks is not None and not is_lazy:
            raise TypeError(f"{name} is computed by dask; pass `{name}.load()`")
    elif type(value).__module__.partition(".")[0] == "xarray":
        raise TypeError(
            f"{name} is a {type(value).__name__}; pass a DataArray, such as one of the variables of a Dataset"
        )


def _bin_dimension(data_arrays: dict[str, xr.DataArray], axis: int, dim: str | None) -> Any:
    if dim is None:
        name, value = max(data_arrays.items(), key=lambda item: item[1].ndim)
        if not -value.ndim <= axis < value.ndim:
            raise ValueError(f"axis {axis} is out of bounds for {name}, of dimensions {value.dims}")
        dim = value.dims[axis]
    elif axis != -1:
        raise ValueError(f"axis and dim both say where the bins are: {axis} and {dim!r}; pass one of them")
    for name, value in data_arrays.items():
        if dim not in value.dims:
            raise ValueError(f"{name} has dimensions {value.dims}, none of which is that of the bins, {dim!r}")
    return dim


def _variable(name: str, array: _Array, dims: tuple[Any, ...], dim: Any) -> xr.Variable:
    # An array has the last of the dimensions, as in arithmetic of NumPy; one of length 1 stretches.
    own = (dim,) if array.ndim == 1 else dims[-array.ndim :]
    if array.ndim > len(dims) or dim not in own:
        raise ValueError(
            f"{name}, an array of shape {array.shape}, can't be aligned with the dimensions {dims}, of which the bins"
            f" are {dim!r}; make a DataArray of it"
        )
    variable = xr.Variable(own, array)
    return variable.squeeze([d for d in own if d != dim and variable.sizes[d] == 1])


def _check_agreement(pair: Any, dim: Any) -> None:
    (p_name, p), (q_name, q) = pair
    for d in p.dims:
        if d not in q.dims:
            continue
        if p.sizes[d] != q.sizes[d]:
            what = "bins" if d == dim else f"elements along {d!r}"
            raise ValueError(f"{q_name} has {q.sizes[d]} {what}, {p_name} has {p.sizes[d]}; the numbers must agree")
        if all(isinstance(x, xr.DataArray) and d in x.coords for x in (p, q)):
            check_labels(repr(d), p_name, p.coords[d].to_index(), q_name, q.coords[d].to_index())


def _give(template: xr.DataArray, result: Any) -> xr.DataArray:
    if np.shape(result) != template.shape:
        raise ValueError("keepdims is for arrays; the result for DataArrays lacks the dimension of the bins")
    return template.copy(data=result)


def _label(data_arrays: dict[str, xr.DataArray], dims: tuple[Any, ...], name: str, index: tuple[int, ...]) -> str:
    if name not in data_arrays:
        return ""
    value = data_arrays[name]
    where = zip(dims[len(dims) - len(index) :], index, strict=True)
    found = [f"{d}={spell(value.coords[d].values[i])}" for d, i in where if d in value.dims and d in value.coords]
    return f"; it is at {', '.join(found)}" if found else ""
