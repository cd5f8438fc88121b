"""Runs over all pairs: rows of x block by block, against y as a whole or, where the memory is too small, in panels.

A row of the matrix, or the k nearest of a row, is what is kept. In double precision the bits of an entry do not depend
on the other rows; where x is compared with itself by a symmetric divergence, each entry below the diagonal is that
above it, as in `fastkl.pairwise`. In single precision blocks and panels have fixed numbers of rows.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._nearest import nearest_order
from fastkl.batch._kinds import Answer, Tell, invalid_rows, reason_of
from fastkl.batch._plan import OVERHEAD, Need, too_little, working_memory
from fastkl.batch._protocols import Column, Source, SourceError
from fastkl.pairs import nearest, pairwise

_Array = npt.NDArray[Any]
_SYMMETRIC = ("jeffreys", "js")
_TILES = 512  # panels are whole tiles
_FIXED = 1 << 23  # numbers in a block of the result in single precision, and the rows there may be
_MOST_ROWS, _FEWEST_ROWS = 1024, 64


class _AllPairs:
    """What both kinds share: the panels of y."""

    is_side_by_side = False

    def __init__(self, x: Source, y: Source, is_itself: bool, options: dict[str, Any], memory: int) -> None:
        self.row_source, self.streamed = x, {"x": x}
        self._y, self._is_itself, self._options = y, is_itself, options
        self._validity = {name: options[name] for name in ("normalize", "pseudocount") if name in options}
        self._threads = options.get("threads")
        working, row = working_memory(self._threads), y.bins * y.dtype.itemsize
        room = max(0, memory - OVERHEAD - working) // 3
        self._panel_rows = self._panel_of(y.rows, room, row)
        if not self._panel_rows:
            raise too_little(memory, OVERHEAD + working + 3 * (2 * min(y.rows, _TILES) * row + 1))
        self._is_whole = self._panel_rows >= y.rows
        self.working = working + 2 * min(self._panel_rows, y.rows) * row
        self.first_rows = _FEWEST_ROWS if self._is_whole else None  # else y is read anew for each block
        self._held: _Array | None = None

    @staticmethod
    def _panel_of(rows: int, room: int, row: int) -> int:
        if 2 * rows * row <= room:
            return max(rows, 1)
        return room // (2 * row) // _TILES * _TILES

    def panels(self, between: tuple[int, ...] = ()) -> Iterator[tuple[slice, _Array]]:
        """The rows of y, those between two of them in a panel of their own."""
        borders = sorted({*range(0, self._y.rows, self._panel_rows), *between, self._y.rows})
        if between:
            borders = [border for border in borders if not between[0] < border < between[1]]
        for start, stop in itertools.pairwise(borders):
            yield slice(start, stop), self._rows(start, stop)

    def _rows(self, start: int, stop: int) -> _Array:
        if not self._is_whole:
            return self._y.read(start, stop)
        if self._held is None:
            self._held = self._y.read(0, self._y.rows)
        return self._held[start:stop]

    def check_rest(self, tell: Tell) -> None:
        """Tell of the invalid rows of y."""
        if self._is_itself:  # they are found as rows of x
            return
        for rows, panel in self.panels():
            for i in np.flatnonzero(self.invalid(panel)):
                tell("y", self._y, rows.start + int(i), self.reason(panel[i]))

    def invalid(self, rows: _Array) -> npt.NDArray[np.bool_]:
        """Which rows are no histograms."""
        return invalid_rows(rows, threads=self._threads, **self._validity)

    def reason(self, row: _Array) -> str:
        """Why a row is no histogram."""
        return reason_of(row)


class PairwiseKind(_AllPairs):
    """Rows of the matrix of all pairs."""

    def __init__(self, x: Source, y: Source, is_itself: bool, options: dict[str, Any], memory: int) -> None:
        super().__init__(x, y, is_itself, options, memory)
        dtype = np.dtype(pairwise(*(np.empty((0, side.bins), side.dtype) for side in (x, y)), **options).dtype)
        self.columns = {"divergence": Column(dtype, y.rows)}
        self._is_mirrored = is_itself and options.get("divergence", "kl") in _SYMMETRIC
        rows = _FIXED // max(y.rows, 1) // _FEWEST_ROWS * _FEWEST_ROWS
        fixed = min(max(rows, _FEWEST_ROWS), _MOST_ROWS) if dtype == np.float32 else None
        first = self.first_rows if fixed is None else None
        self.need = Need(x.bins * x.dtype.itemsize, y.rows * dtype.itemsize, self.working, fixed, first_rows=first)

    def compute(self, start: int, blocks: dict[str, _Array]) -> Answer:
        """The divergences of the block from all of y."""
        x = blocks["x"]
        stop = start + len(x)
        out = np.empty((len(x), self._y.rows), self.columns["divergence"].dtype)
        for rows, panel in self.panels((start, stop) if self._is_mirrored else ()):
            if not self._is_mirrored or rows.start >= stop:
                out[:, rows] = self._all(x, panel)
            elif rows.stop <= start:
                out[:, rows] = self._all(panel, x).T
            else:
                out[:, rows] = self._all(x)
        return Answer({"divergence": out}, self.invalid(x))

    def _all(self, *sides: _Array) -> _Array:
        return pairwise(*sides, on_invalid="nan", **self._options)


class NearestKind(_AllPairs):
    """The k nearest rows of y."""

    def __init__(self, x: Source, y: Source, k: int, options: dict[str, Any], memory: int) -> None:
        super().__init__(x, y, False, options, memory)
        if not 1 <= k <= y.rows:
            raise SourceError(
                f"{y.name} has {y.rows} histograms, fewer than k = {k}" if k > 0 else "k must be at least 1"
            )
        self.k = k
        self._base = options.get("base")
        nothing = pairwise(*(np.empty((0, side.bins), side.dtype) for side in (x, y)), **options)
        self.columns = {"indices": Column(np.dtype(np.int64), k), "divergences": Column(np.dtype(nothing.dtype), k)}
        result = k * (8 + nothing.dtype.itemsize)
        self.need = Need(x.bins * x.dtype.itemsize, result, self.working, first_rows=self.first_rows)

    def compute(self, start: int, blocks: dict[str, _Array]) -> Answer:
        """The nearest rows of each panel, and of these the nearest."""
        x = blocks["x"]
        found: tuple[_Array, _Array] | None = None
        for rows, panel in self.panels():
            near, index = nearest(x, panel, min(self.k, len(panel)), on_invalid="nan", **self._options)
            index = np.where(index < 0, -1, index + rows.start)
            found = (near, index) if found is None else _nearest_of(found, (near, index), self.k, self._base)
        assert found is not None
        return Answer({"indices": found[1], "divergences": found[0]}, self.invalid(x))


def _nearest_of(
    first: tuple[_Array, _Array], second: tuple[_Array, _Array], k: int, base: float | None
) -> tuple[_Array, _Array]:
    """The k nearest of two sets, of which the first has the smaller indices."""
    near, index = (np.concatenate(pair, axis=1) for pair in zip(first, second, strict=True))
    order = nearest_order(near, k, base)
    return np.take_along_axis(near, order, 1), np.take_along_axis(index, order, 1)
