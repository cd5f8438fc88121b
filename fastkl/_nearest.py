"""Finds the nearest rows without holding the matrix of all pairs.

Tiles of nearly exact divergences come and go; of each row of x those stay that may be among the k smallest, as far as
the bound of their errors tells. What stays in the end is computed directly and put in order.

Bounds from merged bins, whose divergence is smaller, or from Pinsker's inequality are not used. Of 3000 histograms of
image patches, 256 bins merged to 32 leave 3 % of the pairs for 10 neighbours, of scans of digits 64 bins merged to 16
leave 19 %, of random histograms all; a pair by itself takes 20 times its share of a product. Even the first would
gain less than half of the time, if the cutoffs were known from the start.
"""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl._blas import one_blas_thread
from fastkl._progress import Progress
from fastkl._threads import for_each_chunk
from fastkl._tiles import TILE, Panel, Tiles, parts

_Array = npt.NDArray[Any]
_CANDIDATES = 64 << 20  # bytes for candidates that are held together
_IN_ORDER = 1 << 18  # candidates that are put in order together


def search(tiles: Tiles, k: int, factor: float, shown: bool) -> tuple[_Array, npt.NDArray[np.int64]]:
    """(divergences times ``factor``, indices) of the k rows of y that are nearest to each row of x.

    NaN and -1 stand where there are none.
    """
    divergences = np.empty((tiles.x.count, k), tiles.ask.result)
    indices = np.empty((tiles.x.count, k), np.int64)
    rows_together = _CANDIDATES // (16 * _room(k, tiles.y.count)) // tiles.block_rows * tiles.block_rows
    rows_together = max(rows_together, tiles.block_rows)
    with one_blas_thread(), Progress("fastkl nearest", tiles.x.count * tiles.y.count, shown) as progress:
        for rows in parts(0, tiles.x.count, rows_together):
            blocks = [_Block(tiles, block, k, factor) for block in parts(rows.start, rows.stop, tiles.block_rows)]
            for panel_rows in tiles.panels():
                _offer_panel(tiles, blocks, tiles.panel(panel_rows), progress)

            def finish(n: int, blocks: list[_Block] = blocks) -> None:
                blocks[n].finish(divergences[blocks[n].rows], indices[blocks[n].rows])

            for_each_chunk(finish, len(blocks), tiles.threads)
    return divergences, indices


def _offer_panel(tiles: Tiles, blocks: "list[_Block]", panel: Panel, progress: Progress) -> None:
    # Neighbouring tasks are of different blocks, so that threads seldom wait for each other.
    tasks = [(block, group) for group in tiles.groups_of(slice(panel.first, panel.last)) for block in blocks]

    def offer(n: int) -> None:
        block, group = tasks[n]
        with tiles.block(block.rows) as side:
            for part in group:
                block.offer(*tiles.nearly(block.rows, side, part, panel), part.start)
                progress.advance((block.rows.stop - block.rows.start) * (part.stop - part.start))

    for_each_chunk(offer, len(tasks), tiles.threads)


def _limit(k: int) -> int:
    return 2 * k + 128


def _room(k: int, count: int) -> int:
    # For what is kept and what a tile may add, and for no more than there are rows.
    return min(_limit(k) + TILE, count)


class _Block:
    """The candidates of some rows of x."""

    def __init__(self, tiles: Tiles, rows: slice, k: int, factor: float) -> None:
        count = rows.stop - rows.start
        self.tiles, self.rows, self.k, self.factor = tiles, rows, k, factor
        room = _room(k, tiles.y.count)
        self.values, self.indices = np.empty((count, room)), np.empty((count, room), np.int64)
        # The k-th smallest value that each row has met.
        self.counts, self.thresholds = np.zeros(count, np.int64), np.full(count, np.inf)
        self.doubts = np.zeros(count)
        limits = np.finfo(tiles.ask.result)
        self.rounding = float(limits.eps), float(limits.smallest_subnormal) / factor, float(limits.max) / factor
        self.lock = threading.Lock()

    def offer(self, tile: _Array, doubts: _Array, first: int) -> None:
        """Keep what a tile has that may be among the nearest; its first column is the row ``first`` of y."""
        with self.lock:
            np.maximum(self.doubts, doubts, out=self.doubts)
            self._make_room(_limit(self.k))
            state = self.values, self.indices, self.counts, self.thresholds
            kernels.take(np.ascontiguousarray(tile), first, *state, self.tiles.error, self.doubts, *self.rounding)

    def _make_room(self, limit: int) -> None:
        is_crowded = np.zeros(len(self.counts), np.bool_)
        self._drop(slice(None), limit, is_crowded)
        for i in np.flatnonzero(is_crowded):
            self._settle(int(i))

    def _drop(self, rows: slice, limit: int, is_crowded: npt.NDArray[np.bool_]) -> None:
        state = self.values[rows], self.indices[rows], self.counts[rows], self.thresholds[rows]
        errors = self.tiles.error, self.doubts[rows], *self.rounding
        kernels.make_room(*state, self.k, limit, *errors, is_crowded[rows])

    def _settle(self, i: int) -> None:
        """Keep the k nearest of a row that has too many candidates alike to tell them apart by what is known."""
        count = self.counts[i]
        j = self.indices[i, :count]
        exact = self.tiles.pairs(np.full(count, self.rows.start + i), j)
        order = np.lexsort((j, self._rounded(exact)))[: self.k]
        self.values[i, : self.k], self.indices[i, : self.k], self.counts[i] = exact[order], j[order], self.k
        self._drop(slice(i, i + 1), self.k - 1, np.zeros(len(self.counts), np.bool_))

    def finish(self, divergences: _Array, indices: npt.NDArray[np.int64]) -> None:
        """Write the k nearest of each row, in order."""
        self._drop(slice(None), self.k, np.zeros(len(self.counts), np.bool_))
        divergences[:], indices[:] = np.nan, -1
        for part in parts(0, len(self.counts), max(1, _IN_ORDER // self.values.shape[1])):
            self._finish(part, divergences[part], indices[part])

    def _finish(self, part: slice, divergences: _Array, indices: npt.NDArray[np.int64]) -> None:
        counts, first = self.counts[part], self.rows.start + part.start
        i = np.repeat(np.arange(len(counts)), counts)
        j = np.concatenate([row[:count] for row, count in zip(self.indices[part], counts, strict=True)])
        exact = self._rounded(self.tiles.pairs(first + i, j))
        order = np.lexsort((j, exact, i))
        i, j, exact = i[order], j[order], exact[order]
        rank = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
        is_nearest = (rank < self.k) & (exact < np.inf)
        i, rank, found = i[is_nearest], rank[is_nearest], np.bincount(i[is_nearest], minlength=len(counts))
        divergences[i, rank], indices[i, rank] = exact[is_nearest], j[is_nearest]
        is_valid = ~np.isnan(self.tiles.x_spread[first : first + len(counts)])
        for row in np.flatnonzero(is_valid & (found < self.k)):
            self._add_infinite(divergences[row], indices[row], int(found[row]))

    def _rounded(self, divergences: npt.NDArray[np.float64]) -> _Array:
        with np.errstate(over="ignore"):
            return (self.factor * divergences).astype(self.tiles.ask.result)

    def _add_infinite(self, divergences: _Array, indices: npt.NDArray[np.int64], found: int) -> None:
        # All finite divergences are found; those of all other histograms are infinite, some by rounding alone.
        is_other = ~np.isnan(self.tiles.y_spread)
        is_other[indices[:found]] = False
        others = np.flatnonzero(is_other)[: self.k - found]
        divergences[found : found + len(others)], indices[found : found + len(others)] = np.inf, others


def nearest_order(divergences: npt.NDArray[Any], k: int, base: float | None) -> npt.NDArray[np.intp]:
    """The places, row by row, of the k nearest of several sets that stand one after the other.

    Equal ones stay in order, so that the smaller index is first; NaN comes last. In a base below 1 divergences are
    negative.
    """
    sign = -1.0 if base is not None and base < 1 else 1.0
    return np.argsort(sign * divergences, axis=1, kind="stable")[:, :k]
