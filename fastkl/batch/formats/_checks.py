"""What every reader asks of a file, in the same words."""

import errno
import importlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl._operands import as_array
from fastkl.batch._protocols import SourceError

Box = tuple[int | slice, ...]


class Reading(NamedTuple):
    """How files are opened, whatever their format."""

    show_progress: bool = False  # where opening takes long
    room: float = math.inf  # bytes that may be unpacked at a time
    header: bool | None = None  # whether text begins with one; None: if its first line has no number


Arrays = dict[str, tuple[np.dtype[Any], tuple[int, ...]]]  # what a file holds: names, types and shapes


def extra(module: str, package: str, name: str, suffix: str) -> ModuleType:
    """The library that a format needs. Raises ImportError that names the extra of fastkl with it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"files in {suffix} need {package}: pip install 'fastkl[{name}]'") from error


def check_exists(path: Path) -> None:
    """Raise FileNotFoundError as `open` does: what libraries say of it differs."""
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def check_histograms(name: str, dtype: np.dtype[Any], shape: Sequence[int]) -> None:
    """Raise SourceError unless an array of this type and shape holds histograms."""
    try:
        as_array(np.empty(0, dtype), name)
    except TypeError as error:
        raise SourceError(str(error)) from None
    if not shape:
        raise SourceError(f"{name} holds a single number; a histogram has at least one axis")


def rows_of(shape: Sequence[int]) -> int:
    """How many histograms an array of this shape holds along its last axis."""
    return math.prod(shape[:-1])


def one_of(file: str, arrays: Arrays, name: str | None, but: str | None = None) -> str:
    """Which array of a file is meant: the named one; else the only one of numbers, or the only one of two axes or more.

    The array `but`, of ids, is none of them.
    """
    if name is not None:
        if name not in arrays:
            raise SourceError(f"{file} has no array {name!r}; it has {listed(arrays)}")
        return name
    if len(arrays) == 1:
        return next(iter(arrays))  # if it holds no histograms, its own message says why
    numbers = [key for key, (dtype, shape) in arrays.items() if dtype.kind in "fiub" and shape and key != but]
    batches = [key for key in numbers if len(arrays[key][1]) > 1]
    for candidates in (numbers, batches):
        if len(candidates) == 1:
            return candidates[0]
    if numbers:
        raise SourceError(f"{file} has several arrays; name one of them, as {file}:{numbers[0]}: {listed(numbers)}")
    raise SourceError(f"{file} has no array of numbers{f'; it has {listed(arrays)}' if arrays else ''}")


def listed(names: Sequence[str] | dict[str, Any], most: int = 20) -> str:
    """Names in a message."""
    shown = ", ".join(map(repr, list(names)[:most]))
    return (shown or "none") + (", ..." if len(names) > most else "")


def check_ids(file: str, name: str, arrays: Arrays, rows: int) -> None:
    """Raise SourceError unless an array of a file names each of its rows."""
    dtype, shape = arrays[name]
    if dtype.kind not in "iuUSTO":
        raise SourceError(f"{file}: ids {name!r} have dtype {dtype}; they must be integers or text")
    if tuple(shape) != (rows,):
        raise SourceError(f"{file}: ids {name!r} have shape {tuple(shape)}; there are {rows} histograms to name")


def boxes(shape: Sequence[int], start: int, stop: int) -> Iterator[Box]:
    """Indices of boxes of an array that together are its entries start to stop in C order.

    >>> list(boxes((3, 4), 2, 10))
    [(0, slice(2, 4, None)), (slice(1, 2, None),), (2, slice(0, 2, None))]
    """
    if not shape:
        if start < stop:
            yield ()
        return
    inner = math.prod(shape[1:])
    while start < stop:
        first, skipped = divmod(start, inner)
        whole = (stop - start) // inner
        if skipped == 0 and whole:
            yield (slice(first, first + whole),)
            start += whole * inner
        else:
            end = min(stop, (first + 1) * inner)
            for box in boxes(shape[1:], skipped, skipped + end - start):
                yield (first, *box)
            start = end


def gather(array: Any, start: int, stop: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The histograms start to stop, counted in C order, of an array of any number of dimensions that can be sliced."""
    bins, done = array.shape[-1], 0
    out = np.empty((stop - start, bins), dtype)
    for box in boxes(array.shape[:-1], start, stop):
        part = array[box]
        rows = part.reshape(rows_of(part.shape), bins)
        if len(rows) == len(out):
            return np.asarray(rows, dtype)
        out[done : done + len(rows)] = rows
        done += len(rows)
    return out


def indexed(name: str, shape: tuple[int, ...], row: int) -> str:
    """A row of an array as a person writes it: "p.npy[3]", "p.npy[1, 0]"."""
    index = ", ".join(str(int(i)) for i in np.unravel_index(row, shape)) if shape else ""
    return f"{name}[{index}]" if index else name


def stamp(path: Path) -> dict[str, str | int]:
    """What tells a file from another, or from itself after a change; of a folder, that of all files in it."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    try:
        found = [file.stat() for file in files]
    except FileNotFoundError:
        raise SourceError(f"{path} is gone, or a part of it") from None
    return {
        "path": str(path.absolute()),
        "files": len(found),
        "size": sum(status.st_size for status in found),
        "mtime_ns": max((status.st_mtime_ns for status in found), default=0),
    }
