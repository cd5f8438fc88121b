"""The matrix of all pairs, tile by tile: by a product, and by the direct kernel where that is not exact enough."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl._engine import Question
from fastkl._matrix import Matrix
from fastkl._operands import batch_of
from fastkl._products import Plan, Product, Side
from fastkl._threads import for_each_chunk

_Array = npt.NDArray[Any]
_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)

TILE = 512  # rows of x, and of y
_PANEL = 1 << 24  # numbers in the factors of the rows of y that are held together
_BLOCK = 1 << 22  # the same of x, for each thread
_BLOCKS, _FEWEST = 8, 64  # of few rows of x there are so many blocks, of so many rows at least, to be shared by threads
_TILES_TOGETHER, _TOGETHER = 4, 1 << 28  # tiles that meet one block of x in turn, and their pairs of bins
_READ = 1 << 16  # bins read together
# Longer rows are only compared directly: so few of them fit the memory that a product is no faster.
_MOST_BINS = 1 << 19
# Where more than this part of a tile is in doubt all of it is computed directly, and not pair by pair.
_MOST_DOUBTFUL = 0.125


class Ask(NamedTuple):
    """What is computed of each pair, and how exactly."""

    plan: Plan
    question: Question
    precision: np.dtype[Any]
    result: np.dtype[Any]
    method: str
    rtol: float


class Panel(NamedTuple):
    """Rows of y from ``first`` on, ready to meet those of x until the next panel is made ready."""

    first: int
    last: int
    side: Side | None


class Tiles:
    """All pairs of the rows of two matrices.

    Where tiles begin depends on the number of bins alone, and on nothing else that is computed at the same time.
    """

    def __init__(self, x: Matrix, y: Matrix, ask: Ask, threads: int) -> None:
        self.x, self.y, self.ask, self.threads = x, y, ask, threads
        rows = ask.question.pseudocount, ask.question.normalize, threads
        self.x_spread = x.spread(*rows)
        self.y_spread = self.x_spread if y is x else y.spread(*rows)
        self.product = self._product(ask.precision)
        # For tiles of which single precision leaves too much.
        self.finer = self._product(_DOUBLE) if self.product and self.product.precision == _SINGLE else None
        factor = ask.question.factor
        self.most = factor * ask.plan.most if ask.question.normalize and factor > 0 else math.inf
        bins = max(x.bins, 1) * max(len(ask.plan.terms), 1)
        self.block_rows, self.panel_rows = _fitting(_BLOCK // bins), _fitting(_PANEL // bins)
        self.block_rows = min(self.block_rows, TILE, max(_FEWEST, _fitting(x.count // _BLOCKS)))
        self._panel_room: Side | None = None
        self._block_rooms: list[Side] = []  # lists are thread-safe enough to put in and take out

    def _product(self, precision: np.dtype[Any]) -> Product | None:
        ask = self.ask
        if ask.method == "direct" or not ask.plan.terms or not 0 < self.x.bins <= _MOST_BINS:
            return None
        product = Product(ask.plan, self.x.bins, ask.question.normalize, precision)
        if ask.method == "auto" and product.least(ask.rtol) == math.inf:
            return None if product.precision == _DOUBLE else self._product(_DOUBLE)
        return product

    def blocks(self) -> list[slice]:
        """The rows of x, block by block."""
        return parts(0, self.x.count, self.block_rows)

    def panels(self) -> list[slice]:
        """The rows of y, panel by panel."""
        return parts(0, self.y.count, self.panel_rows)

    def groups_of(self, panel: slice) -> list[list[slice]]:
        """The rows of a panel, tile by tile, so many together that the factors of x are made seldom.

        Of many bins they are few, so that a thread is stopped soon.
        """
        tiles = parts(panel.start, panel.stop, TILE)
        together = max(1, min(_TILES_TOGETHER, _TOGETHER // (TILE * TILE * max(self.x.bins, 1))))
        return [tiles[start : start + together] for start in range(0, len(tiles), together)]

    def panel(self, rows: slice) -> Panel:
        """Rows of y made ready, by all threads."""
        if self.product:
            self._panel_room = self._side(self.product, 1, rows, self.threads, self._panel_room)
        return Panel(rows.start, rows.stop, self._panel_room)

    @contextmanager
    def block(self, rows: slice) -> Iterator[Side | None]:
        """Rows of x made ready."""
        if self.product is None:
            yield None
            return
        try:
            room = self._block_rooms.pop()
        except IndexError:
            room = None
        side = self._side(self.product, 0, rows, 1, room)
        yield side
        self._block_rooms.append(side)

    def _side(self, product: Product, index: int, rows: slice, threads: int, room: Side | None = None) -> Side:
        matrix, spread = (self.y, self.y_spread) if index else (self.x, self.x_spread)
        side = product.side(rows.stop - rows.start, room)
        reads = parts(rows.start, rows.stop, max(1, _READ // matrix.bins))

        def fill(k: int) -> None:
            part = reads[k]
            doubles = matrix.doubles(part.start, part.stop, self.ask.question.pseudocount)
            product.fill(side, index, part.start - rows.start, doubles, spread[part])

        for_each_chunk(fill, len(reads), threads)
        return side

    def exact(self, x_rows: slice, x: Side | None, y_rows: slice, panel: Panel) -> _Array:
        """The divergences of some rows of x from some of the panel, to the relative error that is asked for."""
        if self.product is None or x is None or panel.side is None:
            return self._directly(x_rows, y_rows)
        where = slice(y_rows.start - panel.first, y_rows.stop - panel.first)
        tile = self._exact(self.product, x_rows, x, y_rows, panel.side, where)
        return self._without_invalid(tile, x_rows, y_rows)

    def _exact(self, product: Product, x_rows: slice, x: Side, y_rows: slice, y: Side, where: slice) -> _Array:
        careful, least = None, product.least(self.ask.rtol)
        if self.ask.method == "blas":
            careful, least = _without_room(x.doubts[: x_rows.stop - x_rows.start], y.doubts[where]), 0.0
        tile, where, doubtful = self._multiply(product, x, y, where, least)
        if careful is not None:
            doubtful = len(careful[0])
        are_many = doubtful > _MOST_DOUBTFUL * tile.size
        if are_many and product.precision == _SINGLE and self.finer:
            finer = [self._side(self.finer, index, rows, 1) for index, rows in ((0, x_rows), (1, y_rows))]
            return self._exact(self.finer, x_rows, finer[0], y_rows, finer[1], slice(0, y_rows.stop - y_rows.start))
        places = product.doubtful(tile, x, y, where, least, doubtful) if careful is None else careful
        if not self.ask.question.normalize:
            product.add_terms(tile, x, y, where)
        if self.ask.method == "blas":
            np.maximum(tile, 0, out=tile)
        if self.ask.question.factor != 1.0:
            tile *= product.precision.type(self.ask.question.factor)
        if self.most < math.inf:
            np.minimum(tile, self.most, out=tile)
        if are_many:  # all of it is computed quicker; what is not in doubt keeps its bits, whatever lies beside it
            tile[places] = self._directly(x_rows, y_rows)[places]
        elif doubtful:
            tile[places] = self.pairs(x_rows.start + places[0], y_rows.start + places[1])
        return tile[: x_rows.stop - x_rows.start, : y_rows.stop - y_rows.start]

    def nearly(self, x_rows: slice, x: Side | None, y_rows: slice, panel: Panel) -> tuple[_Array, _Array]:
        """What `exact` gives, but in nats and within `error` (2 D + C) of the divergence D; and the rows' C."""
        product, y = self.product, panel.side
        if product is None or x is None or y is None:
            return self._directly(x_rows, y_rows), np.zeros(x_rows.stop - x_rows.start)
        where = slice(y_rows.start - panel.first, y_rows.stop - panel.first)
        doubts = x.doubts[: x_rows.stop - x_rows.start], y.doubts[where]
        careful = _without_room(*doubts)
        if len(careful[0]) > _MOST_DOUBTFUL * len(doubts[0]) * len(doubts[1]):
            return self._directly(x_rows, y_rows), np.zeros(len(doubts[0]))
        tile, where, _ = self._multiply(product, x, y, where, 0.0)
        if not self.ask.question.normalize:
            product.add_terms(tile, x, y, where)
        tile = tile[: len(doubts[0]), : len(doubts[1])]
        if len(careful[0]):
            tile[careful] = self.pairs(x_rows.start + careful[0], y_rows.start + careful[1])
        most = [np.where(np.isposinf(doubt), 0.0, doubt).astype(float) for doubt in doubts]
        return self._without_invalid(tile, x_rows, y_rows), most[0] + most[1].max(initial=0.0)

    @property
    def error(self) -> float:
        """The factor of the error of `nearly`, as it differs from what the kernel gives in its precision."""
        if self.product is None:
            return 0.0
        return max(self.product.error, self.product.roundings * float(np.finfo(self.ask.precision).eps))

    def _multiply(self, product: Product, x: Side, y: Side, where: slice, least: float) -> tuple[_Array, slice, int]:
        # (divergences, of which rows of y, how many of them are in doubt); with what fills up a tile.
        where = slice(where.start, where.start + _fitting(where.stop - where.start))
        tile = product.multiply(x, y, where)
        return tile, where, product.finish(tile, x, y, where, least)

    def _without_invalid(self, tile: _Array, x_rows: slice, y_rows: slice) -> _Array:
        tile[np.isnan(self.x_spread[x_rows])] = np.nan
        tile[:, np.isnan(self.y_spread[y_rows])] = np.nan
        return tile

    def _directly(self, x_rows: slice, y_rows: slice) -> _Array:
        x, y = self.x.rows(x_rows.start, x_rows.stop), self.y.rows(y_rows.start, y_rows.stop)
        return self._answer(x[:, None], y[None])

    def pairs(self, i: npt.NDArray[np.intp], j: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """The divergences of single pairs, by the direct kernel."""
        divergences = np.empty(len(i))
        for part in parts(0, len(i), max(1, _READ // max(self.x.bins, 1))):
            divergences[part] = self._answer(self.x.take(i[part]), self.y.take(j[part]))
        return divergences

    def _answer(self, x: _Array, y: _Array) -> npt.NDArray[np.float64]:
        operands = [y, x] if self.ask.plan.is_exchanged else [x, y]
        batch = batch_of(["p", "q"], operands)
        found = batch.unmerged(self.ask.plan.answer(batch, self.ask.question, self.ask.precision, 1)[0])
        return found if self.most == math.inf else np.minimum(found, self.most)


def parts(start: int, stop: int, step: int) -> list[slice]:
    """A range cut into slices of a length."""
    return [slice(first, min(first + step, stop)) for first in range(start, stop, step)]


def _without_room(x_doubts: _Array, y_doubts: _Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    # The pairs of rows whose factors have no room: of them a product tells nothing.
    of_x, of_y = np.isposinf(x_doubts), np.isposinf(y_doubts)
    if not (of_x.any() or of_y.any()):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    i, j = np.nonzero(of_x[:, None] | of_y)
    return i, j


def _fitting(rows: int) -> int:
    # Whole tiles, or as many rows as the BLAS computes in one order.
    return rows // TILE * TILE if rows >= TILE else max(16, -(-rows // 16) * 16)
