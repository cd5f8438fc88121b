"""polars: rows of a DataFrame are histograms, and so are the elements of an Array or List column; others are one.

A DataFrame may have a single Array or List column.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fastkl.containers._labels import Labels, spell
from fastkl.containers._operand import Operand, check_real, place, refuse_lists, refuse_missing, width_of

_Array = npt.NDArray[Any]


def read(value: Any, name: str) -> Operand | None:
    """A DataFrame or a Series."""
    if isinstance(value, pl.DataFrame):
        columns = value.get_columns()
        if len(columns) == 1 and _has_lists(columns[0]):
            array = _nested(columns[0], f"{name}[{spell(columns[0].name)}]")
            return Operand(array, (None,) * array.ndim, partial(_give, ""))
        for column in columns:
            if _has_lists(column):
                refuse_lists(f"{name}[{spell(column.name)}]")
            _check_dtype(column, f"column {spell(column.name)} of {name}")
            _check_missing(column, f"{name}[{spell(column.name)}]", [len(column)], columns)
        return Operand(value.to_numpy(), (None, value.columns), partial(_give, ""))
    if isinstance(value, pl.Series):
        array = _nested(value, name)
        return Operand(array, (None,) * array.ndim, partial(_give, value.name))
    if isinstance(value, pl.LazyFrame):
        raise TypeError(f"{name} is a LazyFrame; pass `{name}.collect()`")
    if isinstance(value, pl.Expr):
        raise TypeError(f"{name} is an expression; pass the column that it makes, `frame.select(...).to_series()`")
    return None


def _has_lists(series: pl.Series) -> bool:
    return isinstance(series.dtype, pl.Array | pl.List)


def _nested(series: Any, name: str) -> _Array:
    shape = [len(series)]
    while _has_lists(series):
        _check_missing(series, name, shape)
        is_list = isinstance(series.dtype, pl.List)
        shape.append(width_of(name, shape, series.list.len().to_numpy()) if is_list else series.dtype.size)
        if 0 in shape:
            return np.empty(shape)
        series = series.explode()
    _check_dtype(series, name)
    _check_missing(series, name, shape)
    numbers: _Array = series.to_numpy().reshape(shape)
    return numbers


def _check_dtype(series: pl.Series, name: str) -> None:
    dtype = series.dtype
    check_real(name, dtype.is_float() or dtype.is_integer() or dtype == pl.Boolean, dtype)
    if str(dtype) in ("Int128", "UInt128"):  # which NumPy has not
        raise TypeError(f"{name} has dtype {dtype}; the widest integers that are computed with are Int64 and UInt64")


def _check_missing(series: pl.Series, name: str, shape: list[int], columns: Sequence[pl.Series] = ()) -> None:
    if series.null_count():
        first = series.is_null().arg_max()
        refuse_missing(place(name, shape, first), sum(column.null_count() for column in columns or [series]))


def _give(name: str, result: Any, _: Labels | None) -> Any:
    return pl.Series(name, result) if np.ndim(result) else result
