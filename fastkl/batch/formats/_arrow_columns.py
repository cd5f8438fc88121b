"""Which columns of a table are bins, and which names the rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastkl.batch._protocols import SourceError
from fastkl.batch.formats import _arrow_values as values
from fastkl.batch.formats._checks import listed


@dataclass(frozen=True, slots=True)
class Bins:
    """Where the bins of a file are."""

    columns: list[str]
    dtype: np.dtype[Any]
    is_lists: bool  # one column of lists, and not a column for each bin


def named_bins(pa: Any, path: Path, schema: Any, name: str) -> Bins:
    """The column of lists of that name."""
    if name not in schema.names:
        raise SourceError(f"{path} has no column {name!r}; it has {listed(schema.names)}")
    kind = schema.field(name).type
    if (dtype := values.element_type(pa, kind)) is None:
        raise SourceError(f"{path}, column {name!r} is of type {kind}; histograms are lists of numbers")
    return Bins([name], dtype, True)


def found_bins(pa: Any, path: Path, schema: Any, ids: str | None) -> Bins:
    """The only column of lists, or all of numbers but that of ids and the index of a frame."""
    lists = {field.name: values.element_type(pa, field.type) for field in schema}
    if len(names := [name for name, dtype in lists.items() if dtype is not None]) > 1:
        raise SourceError(f"{path} has several columns of lists; name one, as {path}:{names[0]}: {listed(names)}")
    if names:
        return named_bins(pa, path, schema, names[0])
    if ids is not None:
        check_name(path, schema, ids)
    left_out = {ids, *values.index_columns(schema)}
    numbers = {field.name: values.number_type(pa, field.type) for field in schema if field.name not in left_out}
    dtypes = {name: dtype for name, dtype in numbers.items() if dtype is not None}
    if not dtypes:
        types = ", ".join(f"{field.name!r} ({field.type})" for field in list(schema)[:20])
        raise SourceError(f"{path} has no column of lists of numbers, nor of numbers; it has {types or 'no columns'}")
    if others := [name for name in numbers if name not in dtypes]:
        kind = schema.field(others[0]).type
        raise SourceError(
            f"{path}, column {others[0]!r} is of type {kind}; columns are numbers, one for each bin, but for the one of"
            " ids (--ids NAME, ids=)"
        )
    return Bins(list(dtypes), np.result_type(*dtypes.values()), False)


def check_name(path: Path, schema: Any, ids: str) -> None:
    """Raise unless there is a column of ids of that name."""
    if ids not in schema.names:
        raise SourceError(f"{path} has no column {ids!r} of ids; it has {listed(schema.names)}")


def ids_column(pa: Any, path: Path, schema: Any, bins: Bins, ids: str | None) -> str | None:
    """The column that names the rows: the one asked for, or the only one beside the bins."""
    if ids is None:
        if not bins.is_lists:
            return None
        others = [field for field in schema if field.name not in bins.columns]
        return others[0].name if len(others) == 1 and values.can_be_ids(pa, others[0].type) else None
    check_name(path, schema, ids)
    if not values.can_be_ids(pa, kind := schema.field(ids).type):
        raise SourceError(f"{path}, column {ids!r} is of type {kind}; ids are integers, text, dates or times")
    return ids
