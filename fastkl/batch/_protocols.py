"""What the runs of `fastkl.batch` ask of files: to read rows of histograms, to write columns of results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class SourceError(ValueError):
    """A file that can't be read as histograms; one sentence: which, where in it, what was found, what is accepted."""


class SinkError(ValueError):
    """Results that can't be written as asked, said before anything is written. A full disk is an OSError as ever."""


class Ids(Protocol):
    """Names of the rows of a file, read block by block. It has a file handle of its own: another thread may read it."""

    name: str
    dtype: np.dtype[Any]  # an integer type, or object for text (str, or None where there is none)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The names of rows start to stop, (stop - start,)."""

    def close(self) -> None:
        """Give the file back; a second time does nothing."""


class Source(Protocol):
    """Histograms in a file, a row each; open until closed. One thread at a time reads it, unless it is at hand."""

    name: str  # as messages call it: "p.npy", "data.h5:/group/p", "x.parquet, column 'h'"
    rows: int
    bins: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]  # of the rows: (rows,), or the leading axes of an array; () for one histogram
    bin_labels: list[str] | None  # where the file names its bins (a csv header, one column per bin)
    ids: Ids | None  # what names the rows
    chunk: int  # rows that are stored and so best read together, 1 where any number is as good
    working: int  # bytes that reading takes beside the rows that are read
    is_at_hand: bool  # nothing is unpacked: rows lie in memory, or are mapped, and the system fetches them

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Rows start to stop, (stop - start, bins): fresh, or mapped afresh, so that dropping it frees its memory."""

    def place(self, row: int) -> str:
        """Where a person finds a row: "p.npy[17]", "days.csv, line 19"."""

    def identity(self) -> dict[str, str | int]:
        """What must be the same for a run to go on: path, array, size, mtime in ns, rows, bins, dtype."""

    def close(self) -> None:
        """Give the file back, its ids too; a second time does nothing."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a column of results is: (rows,) numbers, or (rows, width)."""

    dtype: np.dtype[Any]
    width: int | None = None


class Sink(Protocol):
    """Takes columns of results block by block, in order, into a file that is complete or absent."""

    def write(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Append the next rows of every column that was announced, each (n,) or (n, width)."""

    def finish(self) -> None:
        """Everything on disk under the target's name. Raises SinkError if rows are missing."""

    def abandon(self) -> None:
        """Leave nothing behind; does nothing once finished."""
