"""What can only be unpacked in larger pieces than are wanted, unpacked once to a nameless file.

A chunk, or a column of a row group, comes out as a whole. The rows that such pieces have in common, a band, go to
a file bin after bin, of which any rows can be read. One band is there at a time, as rows are read in order.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fastkl.batch._errors import is_full
from fastkl.batch._plan import in_words
from fastkl.batch._protocols import SourceError
from fastkl.batch.formats._across import SPAN, fill_across
from fastkl.batch.formats._mapped import NumberFile

WORKING = SPAN  # bytes that reading such a file takes


class Band(NamedTuple):
    """Rows that are unpacked together; ``shape`` are the leading axes of the part of an array that they are."""

    start: int
    stop: int
    shape: tuple[int, ...]


class Piece(NamedTuple):
    """A part of a band, histograms along its last axis, and the index of its first number."""

    corner: tuple[int, ...]
    values: npt.NDArray[Any]


class Unpacked:
    """Rows of a file that is unpacked a band at a time."""

    def __init__(
        self,
        name: str,
        bins: int,
        dtype: np.dtype[Any],
        band_of: Callable[[int], Band],
        pieces: Callable[[Band], Iterator[Piece]],
    ) -> None:
        """``band_of`` is the band of a row, ``pieces`` unpacks one."""
        self._name, self._bins, self._dtype = name, bins, dtype
        self._band_of, self._pieces = band_of, pieces
        self._file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - open until closed
        self._band: Band | None = None

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Rows start to stop."""
        rows = np.empty((self._bins, stop - start), self._dtype).T
        done = start
        while done < stop:
            band = self._unpack(done)
            end = min(stop, band.stop)
            shape = (band.stop - band.start, self._bins)
            numbers = NumberFile(Path(self._name), self._file, self._dtype, shape, "F")
            fill_across(numbers.array, done - band.start, end - band.start, rows[done - start : end - start])
            done = end
        return rows

    def _unpack(self, row: int) -> Band:
        if self._band is not None and self._band.start <= row < self._band.stop:
            return self._band
        self._band = None  # until it has gone well
        band = self._band_of(row)
        try:
            for piece in self._pieces(band):
                self._put(band, piece)
            self._file.flush()
        except OSError as error:
            if not is_full(error):
                raise
            size = (band.stop - band.start) * self._bins * self._dtype.itemsize
            raise SourceError(
                f"{self._name}, rows {band.start} to {band.stop - 1}: there is no room in {tempfile.gettempdir()} for"
                f" the {in_words(size)} that they unpack to (TMPDIR names another folder)"
            ) from None
        self._band = band
        return band

    def _put(self, band: Band, piece: Piece) -> None:
        """Write a piece, run after run of numbers that lie side by side."""
        values = np.moveaxis(piece.values, -1, 0)
        *corner, bin_ = piece.corner
        for index in np.ndindex(values.shape[:-1]):
            place = np.add(index, (bin_, *corner[:-1]))
            first = int(np.ravel_multi_index((*place, corner[-1]), (self._bins, *band.shape)))
            self._file.seek(first * self._dtype.itemsize)
            self._file.write(np.ascontiguousarray(values[index], self._dtype).data)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()
