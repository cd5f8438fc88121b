"""pandas: the rows of a DataFrame are histograms, its columns with axis=0, and a Series is one."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fastkl.containers._labels import Labels, spell
from fastkl.containers._operand import Operand, check_real, refuse_missing

_Array = npt.NDArray[Any]


def read(value: Any, name: str) -> Operand | None:
    """A DataFrame or a Series; what else pandas has is read as an array."""
    if isinstance(value, pd.DataFrame):
        return Operand(_frame(value, name), (value.index, value.columns), _give)
    if isinstance(value, pd.Series):
        hint = f"; if its elements are histograms, `np.stack({name})` makes rows of them"
        array = _column(value, name, "bin", hint)
        return Operand(array, (value.index,), _give)
    return None


def _frame(frame: pd.DataFrame, name: str) -> _Array:
    dtypes = set(frame.dtypes)
    if len(dtypes) == 1 and isinstance(dtypes.pop(), np.dtype):
        dtype, label = frame.dtypes.iloc[0], spell(frame.columns[0])
        check_real(f"column {label} of {name}", dtype.kind in "fiub", dtype)
        numbers: _Array = frame.to_numpy()  # in place if pandas has it in one piece
        return numbers
    columns = [_column(column, f"column {spell(label)} of {name}", "row") for label, column in frame.items()]
    return np.stack(columns).T if columns else np.empty(frame.shape)


def _column(column: pd.Series, name: str, item: str, hint: str = "") -> _Array:
    # Nullable and Arrow-backed types say as which one they are stored; categories, texts and sparse columns don't.
    given = column.dtype
    dtype = given if isinstance(given, np.dtype) else getattr(given, "numpy_dtype", None)
    check_real(name, dtype is not None and dtype.kind in "fiub", given, hint)
    if not isinstance(given, np.dtype):
        is_missing = column.isna().to_numpy()
        if is_missing.any():
            label = spell(column.index[np.argmax(is_missing)])
            refuse_missing(f"{item} {label} of {name}", int(is_missing.sum()))
    numbers: _Array = column.to_numpy(dtype=dtype)
    return numbers


def _give(result: Any, rows: Labels | None) -> Any:
    if np.ndim(result) == 0:
        return result
    if np.ndim(result) > 1:
        raise ValueError(f"the result has shape {result.shape}, which no Series can have; pass arrays (`.to_numpy()`)")
    return pd.Series(result, index=rows)
