"""pyarrow: elements of list and tensor columns are histograms, and so are rows of a table; other arrays are one."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fastkl.containers._labels import Labels, spell
from fastkl.containers._operand import Operand, check_real, place, refuse_missing, width_of

_Array = npt.NDArray[Any]


def read(value: Any, name: str) -> Operand | None:
    """An Array, ChunkedArray or list Scalar, in place where it has one chunk; a Table or RecordBatch as a copy."""
    if isinstance(value, pa.Table | pa.RecordBatch):
        labels = value.column_names
        columns = [
            _nested(_one_chunk(column), f"{name}[{spell(label)}]")
            for label, column in zip(labels, value.columns, strict=True)
        ]
        for label, column in zip(labels, columns, strict=True):
            if column.ndim > 1:
                raise ValueError(f"{name}[{spell(label)}] has lists, not numbers; pass that column alone")
        return Operand(np.stack(columns).T if columns else np.empty(value.shape), (None, labels), _give)
    if isinstance(value, pa.ListScalar):
        value = value.values
    if isinstance(value, pa.Array | pa.ChunkedArray):
        array = _nested(_one_chunk(value), name)
        return Operand(array, (None,) * array.ndim, _give)
    return None


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
