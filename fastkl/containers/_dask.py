"""dask: collections that have no values until they are computed."""

from typing import Any, NoReturn


def read(value: Any, name: str) -> NoReturn:
    """Say how to get values."""
    raise TypeError(f"{name} is a {type(value).__name__} of dask; pass `{name}.compute()`")
