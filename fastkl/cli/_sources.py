"""Arrays of numbers in files, mapped and never loaded whole.

A further format is one function here and one line of `_OPENERS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from fastkl._operands import as_array
from fastkl.cli._command import CommandError, UsageError
from fastkl.cli._csv import csv_to_doubles


@dataclass(frozen=True, slots=True)
class NumberFile:
    """An array on disk, in a file that stays open: it is the same throughout a run, even if its name is given away."""

    path: Path
    file: BinaryIO
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"] = "C"
    offset: int = 0
    first_line: int | None = None  # of a text file: the line of its first row
    labels: list[str] | None = None  # of a text file with a header: the names of its columns

    def array(self) -> npt.NDArray[Any]:
        """The array, mapped afresh: pages read through a map count as memory of this process until the map is gone."""
        return np.memmap(self.file, self.dtype, "r", self.offset, self.shape, self.order)

    def __enter__(self) -> "NumberFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def open_numbers(path: Path, show_progress: bool = False) -> NumberFile:
    """Open a file of numbers in the format that its suffix names."""
    source = _opener(path)(path, show_progress)
    try:
        if not source.shape:
            raise CommandError(f"{path} holds a single number; a histogram has at least one axis")
        as_array(np.empty(0, source.dtype), str(path))  # raises unless its type is a real one
    except BaseException:
        source.file.close()
        raise
    return source


def check_format(path: Path) -> None:
    """Raise UsageError unless files of this suffix can be read."""
    _opener(path)


def _opener(path: Path) -> Callable[[Path, bool], NumberFile]:
    try:
        return _OPENERS[path.suffix.lower()]
    except KeyError:
        raise UsageError(f"{path}: files to read end in {' or '.join(_OPENERS)}") from None


def _open_npy(path: Path, _: bool) -> NumberFile:
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # which never unpickles anything
    except OSError:
        raise
    except Exception as error:  # a damaged header raises SyntaxError, OverflowError, EOFError ...
        raise CommandError(f"{path} can't be read as .npy: {error}") from None
    order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
    return NumberFile(path, open(path, "rb"), array.dtype, array.shape, order, array.offset)


def _open_csv(path: Path, show_progress: bool) -> NumberFile:
    file, contents = csv_to_doubles(path, show_progress)
    return NumberFile(
        path, file, np.dtype(np.float64), contents.shape, first_line=contents.first_line, labels=contents.labels
    )


_OPENERS: dict[str, Callable[[Path, bool], NumberFile]] = {".npy": _open_npy, ".csv": _open_csv}
