"""Arrays that are stored in chunks, each of which is unpacked as a whole."""

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.batch._protocols import Ids, SourceError
from fastkl.batch.formats._checks import gather, indexed, rows_of, stamp
from fastkl.batch.formats._mapped import described
from fastkl.batch.formats._unpacked import WORKING, Band, Piece, Unpacked

_COPIES = 3  # of a chunk: packed, unpacked, and where it goes
_LIBRARY = 32 << 20  # HDF5 keeps chunks of so many bytes, zarr has several threads at work


def said(error: Exception) -> str:
    """What a library says of a damaged file, in a line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class ChunkedSource:
    """A `Source` of the rows of an array of zarr or HDF5.

    The chunks that a row lies in are a band, with the other rows in them. Bands that ``room`` has place for are read
    again for each block that has a part of them; larger ones are unpacked chunk by chunk to a file.
    """

    bin_labels: list[str] | None = None
    is_at_hand = False

    def __init__(
        self,
        path: Path,
        name: str,
        array: Any,
        chunks: tuple[int, ...],
        ids: Ids | None,
        room: float,
        close: Callable[[], object],
    ) -> None:
        self.name, self.ids = name, ids
        self._path, self._array, self._chunks, self._close = path.absolute(), array, chunks, close
        self.dtype, self.shape = np.dtype(array.dtype), tuple(array.shape[:-1])
        self.rows, self.bins = rows_of(array.shape), array.shape[-1]
        self.chunk = max(1, chunks[-2]) if self.shape else 1
        # Rows are in C order: those that share chunks are a stretch of the first axis along which chunks are several.
        self._axis = next((axis for axis, size in enumerate(chunks[:-1]) if size > 1), max(0, len(self.shape) - 1))
        band = math.prod(self._band_of(0).shape) * self.bins * self.dtype.itemsize if self.rows and self.shape else 0
        self.working, self._unpacked = _LIBRARY + _COPIES * band, None
        if _COPIES * band > room:
            chunk = math.prod(map(min, chunks, array.shape)) * self.dtype.itemsize
            self.working = _LIBRARY + _COPIES * chunk + WORKING
            self._unpacked = Unpacked(name, self.bins, self.dtype, self._band_of, self._pieces)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The rows, unpacked."""
        try:
            if self._unpacked is not None:
                return self._unpacked.read(start, stop)
            return gather(self._array, start, stop, self.dtype)
        except SourceError:
            raise
        except Exception as error:  # of a codec, of the store: whatever a damaged chunk leads to
            raise SourceError(f"{self.name}, rows {start} to {stop - 1}, can't be read: {said(error)}") from None

    def _band_of(self, row: int) -> Band:
        axis = self._axis
        size, inner, step = self.shape[axis], math.prod(self.shape[axis + 1 :]), self._chunks[axis]
        outer, rest = divmod(row // inner, size)
        first = rest // step * step
        count, start = min(step, size - first), (outer * size + first) * inner
        return Band(start, start + count * inner, (count, *self.shape[axis + 1 :]))

    def _pieces(self, band: Band) -> Iterator[Piece]:
        """The chunks of a band."""
        *before, first = (int(i) for i in np.unravel_index(band.start, self.shape)[: self._axis + 1])
        sizes, steps = self._array.shape[self._axis + 1 :], self._chunks[self._axis + 1 :]
        for corner in itertools.product(*map(range, itertools.repeat(0), sizes, steps)):
            rest = (slice(place, place + step) for place, step in zip(corner, steps, strict=True))
            values = self._array[(*before, slice(first, first + band.shape[0]), *rest)]
            yield Piece((0, *corner), np.asarray(values))

    def place(self, row: int) -> str:
        """The row by its index."""
        return indexed(self.name, self.shape, row)

    def identity(self) -> dict[str, str | int]:
        """The file as it is now; of a folder how many files, how large in all, and when one was last written."""
        return stamp(self._path) | {"array": self.name, **described(self)}

    def close(self) -> None:
        """Give the file back."""
        self._close()
        if self._unpacked is not None:
            self._unpacked.close()
        if self.ids is not None:
            self.ids.close()
