"""pyarrow: elements of list and tensor columns are histograms, and so are rows of a table; other arrays are one.

A table may have a single column of lists.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fastkl.containers._labels import Labels, spell
from fastkl.containers._operand import Operand, check_real, place, refuse_lists, refuse_missing, width_of

_Array = npt.NDArray[Any]


def read(value: Any, name: str) -> Operand | None:
    """An Array, ChunkedArray or list Scalar, in place where it has one chunk; a Table or RecordBatch as a copy."""
    if isinstance(value, pa.Table | pa.RecordBatch):
        labels = value.column_names
        names = [f"{name}[{spell(label)}]" for label in labels]
        columns = [_nested(_one_chunk(column), each) for each, column in zip(names, value.columns, strict=True)]
        if len(columns) == 1 and columns[0].ndim > 1:
            return Operand(columns[0], (None,) * columns[0].ndim, _give)
        for each, column in zip(names, columns, strict=True):
            if column.ndim > 1:
                refuse_lists(each)
        return Operand(np.stack(columns).T if columns else np.empty(value.shape), (None, labels), _give)
    if isinstance(value, pa.ListScalar):
        value = value.values
    if isinstance(value, pa.Array | pa.ChunkedArray):
        array = rows_of(value, name)
        return Operand(array, (None,) * array.ndim, _give)
    return None


def rows_of(column: Any, name: str) -> _Array:
    """The numbers of an Array or ChunkedArray; of lists as rows."""
    return _nested(_one_chunk(column), name)


def is_list(dtype: Any) -> bool:
    """True for types whose values are lists."""
    return bool(pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype))


def _one_chunk(column: Any) -> Any:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def _nested(array: Any, name: str) -> _Array:
    if isinstance(array, pa.FixedShapeTensorArray):
        _check_missing(array, name, [len(array)])
        _check_missing(array.storage.flatten(), name, [len(array), *array.type.shape])
        tensors: _Array = array.to_numpy_ndarray()
        return tensors
    shape = [len(array)]
    while isinstance(array, pa.FixedSizeListArray | pa.ListArray | pa.LargeListArray):
        _check_missing(array, name, shape)
        is_fixed = isinstance(array, pa.FixedSizeListArray)
        shape.append(array.type.list_size if is_fixed else width_of(name, shape, array.value_lengths().to_numpy()))
        array = array.flatten()
    check_real(name, _is_real(array.type), array.type)
    _check_missing(array, name, shape)
    numbers: _Array = array.to_numpy(zero_copy_only=not pa.types.is_boolean(array.type))
    return numbers.reshape(shape)


def _is_real(dtype: Any) -> bool:
    return bool(pa.types.is_floating(dtype) or pa.types.is_integer(dtype) or pa.types.is_boolean(dtype))


def _check_missing(array: Any, name: str, shape: list[int]) -> None:
    if array.null_count:
        first = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
        refuse_missing(place(name, shape, first), array.null_count)


def _give(result: Any, _: Labels | None) -> Any:
    if np.ndim(result) == 0:
        return result
    return pa.array(result) if result.ndim == 1 else pa.FixedShapeTensorArray.from_numpy_ndarray(result)
