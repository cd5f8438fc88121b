"""From the arguments of a call, whatever library they come from, to arrays and to the way back."""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from fastkl._check import check_within
from fastkl._operands import as_array
from fastkl.containers._dlpack import is_tensor
from fastkl.containers._labels import Labels, check_labels, spell
from fastkl.containers._operand import Opened, Operand
from fastkl.containers._uhi import is_uhi

# The library that an object's class, or one that it is derived from, is defined in, and the module that reads it.
_READERS = {
    "dask": "_dask",
    "jax": "_jax",
    "jaxlib": "_jax",
    "pandas": "_pandas",
    "polars": "_polars",
    "pyarrow": "_arrow",
    "torch": "_torch",
    "xarray": "_xarray",
}


def open_containers(given: dict[str, Any], axis: int, dim: str | None) -> Opened:
    """The arguments, with the weights if there are any, as arrays; where they have labels these must agree."""
    if dim is None and not any(map(reader_of, given.values())):
        return Opened([as_array(value, name) for name, value in given.items()], axis, _as_it_is, _no_label)
    readers = {name: reader_of(value) for name, value in given.items()}
    if "_xarray" in readers.values():
        for name, reader in readers.items():
            if reader not in (None, "_xarray"):
                raise TypeError(f"{name} is a {type(given[name]).__name__} beside DataArrays; make a DataArray of it")
        opened: Opened = _module("_xarray").open_aligned(given, axis, dim)
        return opened
    if dim is not None:
        raise ValueError("dim names a dimension of a DataArray of xarray, and no argument is one; pass axis")
    return _open({name: _operand(value, name) for name, value in given.items()}, axis)


def _open(operands: dict[str, Operand], axis: int) -> Opened:
    for name, operand in operands.items():
        if operand.is_joint and axis != -1:
            raise ValueError(f"{name} is one joint histogram, which has no axis {axis}; `{name}.values()` has")
    ndim = max(operand.array.ndim for operand in operands.values())
    check_within(axis, ndim)
    axis_from_end = axis % ndim - ndim
    bins = {name: operand.bin_labels(axis_from_end) for name, operand in operands.items()}
    rows = {name: operand.row_labels(axis_from_end) for name, operand in operands.items()}
    _check_agreement("bin", bins)
    _check_agreement("row", {name: labels for name, labels in rows.items() if labels is not None and len(labels) > 1})
    arrays = [operand.array for operand in operands.values()]
    compared = [name for name in operands if name != "weights"]
    givers = [operands[name] for name in compared if operands[name].give is not None]
    # The container with several histograms, or the first, says what is returned.
    giver = next((operand for operand in givers if operand.array.ndim > 1), givers[0] if givers else None)
    if giver is None:
        return Opened(arrays, axis, _as_it_is, partial(_label, rows))
    return Opened(arrays, axis, partial(_give, giver, [rows[name] for name in compared]), partial(_label, rows))


def _module(reader: str) -> Any:
    return import_module(f"fastkl.containers.{reader}")


def reader_of(value: Any) -> str | None:
    """The module here that reads it; None for arrays, numbers and lists of them."""
    if type(value) is np.ndarray:
        return None
    for cls in type(value).__mro__:
        reader = _READERS.get(cls.__module__.partition(".")[0])
        if reader is not None:
            return reader
    if isinstance(value, list | tuple):
        has_containers = len(value) > 0 and not isinstance(value[0], list | tuple) and reader_of(value[0])
        return "_rows" if has_containers else None
    if is_uhi(value):
        return "_uhi"
    return "_dlpack" if is_tensor(value) else None


def _operand(value: Any, name: str) -> Operand:
    reader = reader_of(value)
    if reader == "_rows":
        return _stacked([_operand(item, f"{name}[{i}]") for i, item in enumerate(value)], name)
    operand = None if reader is None else _module(reader).read(value, name)
    array = as_array(value if operand is None else operand.array, name)
    return Operand(array, (None,) * array.ndim) if operand is None else operand


def _stacked(rows: Sequence[Operand], name: str) -> Operand:
    first = rows[0]
    for i, row in enumerate(rows):
        if row.array.shape != first.array.shape:
            raise ValueError(f"{name}[{i}] has the shape {row.array.shape}, {name}[0] has {first.array.shape}")
        for labels, others in zip(first.labels, row.labels, strict=True):
            if labels is not None and others is not None:
                check_labels("bin", f"{name}[0]", labels, f"{name}[{i}]", others)
    return Operand(np.stack([row.array for row in rows]), (None, *first.labels), is_joint=first.is_joint)


def _check_agreement(what: str, labels_of: dict[str, Labels | None]) -> None:
    labelled = [(name, labels) for name, labels in labels_of.items() if labels is not None]
    for name, labels in labelled[1:]:
        check_labels(what, *labelled[0], name, labels)


def _give(giver: Operand, rows: list[Labels | None], result: Any) -> Any:
    count = np.shape(result)[:1]
    labels = next((labels for labels in rows if labels is not None and (len(labels),) == count), None)
    assert giver.give is not None
    return giver.give(result, labels)


def _label(rows: dict[str, Labels | None], name: str, index: tuple[int, ...]) -> str:
    labels = rows[name]
    if labels is None or len(index) != 1 or index[0] >= len(labels):
        return ""
    return f"; {name}[{index[0]}] is labelled {spell(labels[index[0]])}"


def _as_it_is(result: Any) -> Any:
    return result


def _no_label(name: str, index: tuple[int, ...]) -> str:
    return ""
