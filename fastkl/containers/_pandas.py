"""pandas: the rows of a DataFrame are histograms, its columns with axis=0, and a Series is one.

The elements of a Series, or of a single column, may be histograms themselves: lists or arrays.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fastkl._operands import as_array
from fastkl.containers._labels import Labels, spell
from fastkl.containers._operand import Operand, check_real, place, refuse_lists, refuse_missing, width_of

_Array = npt.NDArray[Any]


def read(value: Any, name: str) -> Operand | None:
    """A DataFrame or a Series; what else pandas has is read as an array."""
    if isinstance(value, pd.DataFrame):
        if value.shape[1] == 1 and _has_lists(value.iloc[:, 0]):
            return _of_lists(value.iloc[:, 0], f"{name}[{spell(value.columns[0])}]")
        return Operand(_frame(value, name), (value.index, value.columns), _give)
    if isinstance(value, pd.Series):
        if _has_lists(value):
            return _of_lists(value, name)
        hint = f"; if its elements are histograms, pass `list({name})`"
        array = _column(value, name, "bin", hint)
        return Operand(array, (value.index,), _give)
    return None


def _has_lists(column: pd.Series) -> bool:
    if isinstance(column.dtype, pd.ArrowDtype):
        from fastkl.containers._arrow import is_list

        return is_list(column.dtype.pyarrow_dtype)
    return column.dtype == object and any(map(_is_list, column))


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _of_lists(column: pd.Series, name: str) -> Operand:
    if isinstance(column.dtype, pd.ArrowDtype):
        import pyarrow as pa

        from fastkl.containers._arrow import rows_of

        array = rows_of(pa.array(column), name)
    else:
        array = _stacked(column, name)
    return Operand(array, (column.index, *(None,) * (array.ndim - 1)), _give)


def _stacked(column: pd.Series, name: str) -> _Array:
    rows = column.tolist()
    is_missing = column.isna().to_numpy()
    if is_missing.any():
        refuse_missing(place(name, [len(rows)], int(np.argmax(is_missing))), int(is_missing.sum()))
    for i, row in enumerate(rows):
        if not _is_list(row):
            raise TypeError(
                f"{name}[{i}] is a {type(row).__name__} beside lists; all must be lists or arrays of numbers"
            )
    width_of(name, [len(rows)], np.array([len(row) for row in rows]))
    return as_array(rows, name)


def _frame(frame: pd.DataFrame, name: str) -> _Array:
    dtypes = set(frame.dtypes)
    if len(dtypes) == 1 and isinstance(dtypes.pop(), np.dtype):
        dtype, label = frame.dtypes.iloc[0], spell(frame.columns[0])
        if _has_lists(frame.iloc[:, 0]):
            refuse_lists(f"column {label} of {name}")
        check_real(f"column {label} of {name}", dtype.kind in "fiub", dtype)
        numbers: _Array = frame.to_numpy()  # in place if pandas has it in one piece
        return numbers
    for label, column in frame.items():
        if _has_lists(column):
            refuse_lists(f"column {spell(label)} of {name}")
    columns = [
        _column(column, f"column {spell(label)} of {name}", "row", whole=frame) for label, column in frame.items()
    ]
    return np.stack(columns).T if columns else np.empty(frame.shape)


def _column(column: pd.Series, name: str, item: str, hint: str = "", whole: pd.DataFrame | None = None) -> _Array:
    # Nullable and Arrow-backed types say as which one they are stored; categories, texts and sparse columns don't.
    given = column.dtype
    dtype = given if isinstance(given, np.dtype) else getattr(given, "numpy_dtype", None)
    check_real(name, dtype is not None and dtype.kind in "fiub", given, hint)
    if not isinstance(given, np.dtype):
        is_missing = column.isna().to_numpy()
        if is_missing.any():
            label = spell(column.index[np.argmax(is_missing)])
            columns = [column] if whole is None else [one for _, one in whole.items()]
            nullable = [one for one in columns if not isinstance(one.dtype, np.dtype)]
            refuse_missing(f"{item} {label} of {name}", int(sum(one.isna().sum() for one in nullable)))
    numbers: _Array = column.to_numpy(dtype=dtype)
    return numbers


def _give(result: Any, rows: Labels | None) -> Any:
    if np.ndim(result) == 0:
        return result
    if np.ndim(result) > 1:
        raise ValueError(f"the result has shape {result.shape}, which no Series can have; pass arrays (`.to_numpy()`)")
    return pd.Series(result, index=rows)
