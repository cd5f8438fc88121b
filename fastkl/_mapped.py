"""Mapped files: pages that were read count as memory of this process until they are let go."""

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

_SHARED = ("r", "r+", "w+")  # of other maps what was written is lost with the pages


def is_mapped(array: npt.NDArray[Any]) -> bool:
    """Whether an array lies in a file that NumPy has mapped, or in a map that nobody can write to."""
    return _map_of(array) is not None


def let_go(array: npt.NDArray[Any]) -> None:
    """Give back the pages of a mapped file behind an array; they are read again if they are needed again."""
    mapped = _map_of(array)
    if mapped is None or not array.size or not hasattr(mapped, "madvise"):  # there is none on Windows
        return
    low, high = np.lib.array_utils.byte_bounds(array)
    start = np.frombuffer(mapped, np.uint8).ctypes.data
    first = (low - start) // mmap.PAGESIZE * mmap.PAGESIZE
    mapped.madvise(mmap.MADV_DONTNEED, first, high - start - first)


def _map_of(array: Any) -> mmap.mmap | None:
    while array is not None:
        if isinstance(array, np.memmap):
            return array._mmap if array.mode in _SHARED else None  # type: ignore[attr-defined]
        if isinstance(array, mmap.mmap):
            return array if not array.closed and memoryview(array).readonly else None
        array = array.obj if isinstance(array, memoryview) else getattr(array, "base", None)
    return None
