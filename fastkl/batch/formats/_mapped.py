"""An array in an open file, mapped and never loaded whole."""

import math
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from fastkl.batch._advice import advise
from fastkl.batch._protocols import Ids, SourceError
from fastkl.batch.formats._across import SPAN, gather_across
from fastkl.batch.formats._checks import indexed, rows_of, stamp

_PAGES = 1 << 16  # bytes: Linux maps so many around the one that is touched; each by itself takes twice as long
_PROBES = 4  # places of a block that are looked for in memory


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
    name: str | None = None  # of the array, in a file of several

    def array(self) -> npt.NDArray[Any]:
        """The array, mapped afresh: pages read through a map count as memory of this process until the map is gone."""
        return self.part(self.offset, self.shape)

    def part(self, offset: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """What the file holds from an offset on, mapped afresh; as a plain array, which NumPy makes in no time."""
        end = offset + self.dtype.itemsize * math.prod(shape)
        if (size := os.fstat(self.file.fileno()).st_size) < end:  # reading a map beyond it would end the process
            raise SourceError(f"{self} has been cut to {size} bytes since it was opened; it had {end} or more")
        if 0 in shape:
            return np.empty(shape, self.dtype)
        before = offset % mmap.ALLOCATIONGRANULARITY
        pages = mmap.mmap(self.file.fileno(), end - offset + before, access=mmap.ACCESS_READ, offset=offset - before)
        return np.ndarray(shape, self.dtype, pages, before, order=self.order)

    def __str__(self) -> str:
        return str(self.path) if self.name is None else f"{self.path}:{self.name}"

    def __enter__(self) -> "NumberFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class MappedSource:
    """A `Source` of the rows of such an array."""

    chunk = 1

    def __init__(self, numbers: NumberFile, ids: Ids | None = None) -> None:
        self.numbers, self.ids = numbers, ids
        self.name, self._path = str(numbers), numbers.path.absolute()
        self.dtype, self.shape = numbers.dtype, numbers.shape[:-1]
        self.rows, self.bins = rows_of(numbers.shape), numbers.shape[-1]
        self.bin_labels = numbers.labels
        self._lies_across = numbers.order == "F" and len(self.shape) > 0
        self.working = SPAN if self._lies_across else 0
        self.is_at_hand = not self._lies_across and numbers.offset % numbers.dtype.alignment == 0

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The rows, mapped and on their way from the disk; copied where they lie across the file, or on odd bytes."""
        if self._lies_across:
            return gather_across(self.numbers.array, start, stop)
        first = self.numbers.offset + start * self.bins * self.dtype.itemsize
        rows = self.numbers.part(first, (stop - start, self.bins))
        if not self.is_at_hand:
            return np.array(rows)
        fetch(rows, self.numbers.file, first)
        return rows

    def place(self, row: int) -> str:
        """The row by its line in text, else by its index."""
        if self.numbers.first_line is not None:
            return f"{self.name}, line {self.numbers.first_line + row}"
        return indexed(self.name, self.shape, row)

    def identity(self) -> dict[str, str | int]:
        """The file as it is now."""
        return stamp(self._path) | {"array": self.name, **described(self)}

    def close(self) -> None:
        """Close the file."""
        self.numbers.file.close()
        if self.ids is not None:
            self.ids.close()


def fetch(rows: npt.NDArray[Any], file: BinaryIO, start: int) -> None:
    """Have the system read mapped rows that aren't in memory, while others work; to ask for those that are takes time.

    They lie in the file from ``start`` on.
    """
    places = range(start, start + rows.nbytes, max(rows.nbytes // _PROBES, 1))
    if not all(_is_in_memory(file, place) for place in places) and not advise(file, start, rows.nbytes, "WILLNEED"):
        in_memory(rows)


def _is_in_memory(file: BinaryIO, place: int) -> bool:
    """Whether a byte of a file can be had without waiting; False where the system, or this Python, can't tell."""
    try:
        return os.preadv(file.fileno(), [bytearray(1)], place, os.RWF_NOWAIT) == 1
    except (OSError, AttributeError, NotImplementedError):
        return False


def in_memory(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same rows, of which each page has been touched, so that what is mapped has come from the disk."""
    rows.reshape(-1).view(np.uint8)[::_PAGES].max(initial=0)  # which leaves other threads the interpreter
    return rows


def described(source: Any) -> dict[str, str | int]:
    """The part of a source's identity that its numbers are."""
    return {"rows": source.rows, "bins": source.bins, "dtype": source.dtype.str}
