"""From Arrow's columns to rows of numbers: what a column may be, and what is refused in it, with its row."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import SourceError
from fastkl.batch.formats._checks import listed

_Array = npt.NDArray[Any]


def first_line(error: BaseException) -> str:
    """What an error of pyarrow says, less where in its source."""
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def check_names(schema: Any) -> None:
    """Raise ValueError where a name does not say which column is meant."""
    if len(set(schema.names)) < len(schema.names):
        raise ValueError(f"several of its columns have one name: {listed(schema.names)}")


def index_columns(schema: Any) -> list[str]:
    """Columns that are the index of a frame of pandas that was stored."""
    stored = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    return [name for name in stored.get("index_columns", []) if isinstance(name, str)]


def number_type(pa: Any, kind: Any) -> np.dtype[Any] | None:
    """NumPy's type of Arrow's numbers; None of anything else."""
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return dtype


def element_type(pa: Any, kind: Any) -> np.dtype[Any] | None:
    """NumPy's type of the numbers of a column of lists or of one-dimensional tensors; None of any other column."""
    if isinstance(kind, pa.FixedShapeTensorType):
        return number_type(pa, kind.value_type) if len(kind.shape) == 1 else None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return number_type(pa, kind.value_type)
    return None


def fixed_length(pa: Any, kind: Any) -> int | None:
    """How many numbers each row of such a column has; None where its type doesn't say."""
    if isinstance(kind, pa.FixedShapeTensorType):
        return int(kind.shape[0])
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else None


def lists_to_rows(pa: Any, column: Any, bins: int, dtype: np.dtype[Any], place: str, start: int) -> _Array:
    """The lists of a column, whose first is row `start`, as rows of a matrix: the same memory where it may be."""
    column.validate(full=True)  # a damaged file may have offsets that lead beyond its data
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if column.null_count:
        row = start + _first(column.is_null().to_numpy(zero_copy_only=False))
        raise SourceError(f"{place}, row {row} (counted from 0), is null; a histogram is wanted in each row")
    if not pa.types.is_fixed_size_list(column.type):
        lengths = np.diff(column.offsets.to_numpy())
        if (wrong := lengths != bins).any():
            row = _first(wrong)
            raise SourceError(
                f"{place}, row {start + row} (counted from 0), has {lengths[row]} bins, row 0 has {bins}; all must"
                " have as many"
            )
    values = _with_nan(pa, column.flatten())
    if values.null_count:
        row, bin_ = divmod(_first(values.is_null().to_numpy(zero_copy_only=False)), bins)
        raise SourceError(f"{place}, row {start + row} (counted from 0): bin {bin_} is null; a number is wanted")
    return np.asarray(values.to_numpy(zero_copy_only=False)).astype(dtype, copy=False).reshape(len(column), bins)


def first_length(column: Any, place: str) -> int:
    """How many numbers the first list of a column has."""
    column.validate(full=True)
    if column.is_null()[0].as_py():
        raise SourceError(f"{place}, row 0 (counted from 0), is null; a histogram is wanted in each row")
    return len(column.slice(0, 1).flatten())


def _with_nan(pa: Any, numbers: Any) -> Any:
    """Numbers with NaN for null, which is how pandas stores it; integers have none."""
    return numbers.fill_null(np.nan) if numbers.null_count and pa.types.is_floating(numbers.type) else numbers


def numbers_to(pa: Any, out: _Array, column: Any, place: str, start: int) -> None:
    """Copy a column of numbers, the first of which is of row `start`."""
    column.validate(full=True)
    column = _with_nan(pa, column)
    if column.null_count:
        row = start + _first(column.is_null().to_numpy(zero_copy_only=False))
        raise SourceError(f"{place}, row {row} (counted from 0), is null; a number is wanted in each row")
    out[...] = column.to_numpy(zero_copy_only=False)


def can_be_ids(pa: Any, kind: Any) -> bool:
    """Whether a column of this type names rows: integers, text, dates and times."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind) or is_text(pa, kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def is_text(pa: Any, kind: Any) -> bool:
    """Whether a column is one of Arrow's several types of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def names_of(pa: Any, column: Any, dtype: np.dtype[Any], place: str) -> _Array:
    """A column as names of rows: integers as they are, anything else as text."""
    column.validate(full=True)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if dtype.kind in "iu":
        if column.null_count:
            raise SourceError(f"{place}: an id is null; ids that are integers must all be there")
        return np.asarray(column.to_numpy(zero_copy_only=False))
    names = np.empty(len(column), object)
    names[:] = column.cast(pa.string()).to_pylist()
    return names


def _first(flags: _Array) -> int:
    return int(np.argmax(flags))
