"""Arrays of dask: results are arrays of dask too, of tasks that call the same functions on blocks of the batch.

`_rows.py` has the functions of rows, `_pairs.py` all pairs and nearest rows, `_fits.py` fits; `_blocks.py` what they
share. They are imported, and dask with them, once an array of dask is passed.
"""

from collections.abc import Iterable
from typing import Any

__all__ = ["has_lazy"]


def has_lazy(values: Iterable[Any]) -> bool:
    """True where one is an array of dask, or a DataArray of xarray over one."""
    return any(hasattr(value, "__dask_graph__") and _has_chunks(value) for value in values)


def _has_chunks(value: Any) -> bool:
    return isinstance(getattr(value, "chunks", None), tuple)
