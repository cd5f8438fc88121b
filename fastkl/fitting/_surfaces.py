"""Divergences of some histograms from all candidates: nearly exact, with a bound of what they are wrong by."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl._products import Plan, Product, Side
from fastkl._threads import for_each_chunk
from fastkl._tiles import TILE, parts
from fastkl.fitting._candidates import Candidates
from fastkl.fitting._families import Exponential

_Array = npt.NDArray[Any]
_Index = npt.NDArray[np.int64]
_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
_DEEP = -(2.0**18)  # logarithms below this may be taken for those of zero in single precision
_READ = 1 << 15  # bins of candidates that are made factors together
_ROOM = 32  # candidates of a histogram that may be nearest


class Surface(NamedTuple):
    """Values that stand for divergences D, or tell them, each within error (2 D + doubt of its row)."""

    values: _Array
    doubts: npt.NDArray[np.float64]


class Surfaces(Protocol):
    """What computes surfaces, panel by panel of the candidates."""

    error: float
    values_together: int  # of surfaces that one thread has at a time
    has_deep: bool  # whether logarithms of candidates are so low that they count as those of zero

    def blank(self, count: int) -> Surface:
        """Room for the divergences of so many histograms."""

    def panels(self) -> list[slice]:
        """The candidates, so many together as the memory holds."""

    def prepare(self, panel: slice) -> None:
        """Make some candidates ready."""

    def fill(self, p: npt.NDArray[np.float64], spread: npt.NDArray[np.float64], surface: Surface, panel: slice) -> None:
        """Write the divergences of rows of p from the candidates that are ready to their place in a surface."""

    def contenders(self, surface: Surface) -> tuple[_Index, _Index]:
        """Rows, and numbers of candidates that may be the nearest to them as far as the bound of the errors tells."""


class ByProduct:
    """By a product of matrices."""

    values_together = 1 << 21

    def __init__(self, plan: Plan, candidates: Candidates, precision: np.dtype[Any], most: int) -> None:
        self.product = Product(plan, candidates.bins, True, precision)
        self.precision, self.error = self.product.precision, self.product.error
        self.candidates, self.most = candidates, max(TILE, most // max(candidates.bins, 1))
        self.has_deep, self.has_logs = False, not plan.is_exchanged and plan.order is None and precision == _SINGLE
        self._side: Side | None = None

    def blank(self, count: int) -> Surface:
        """All values."""
        return Surface(np.empty((count, self.candidates.count), self.precision), np.zeros(count))

    def panels(self) -> list[slice]:
        """The candidates, so many together as the memory holds."""
        return parts(0, self.candidates.count, self.most)

    def prepare(self, panel: slice) -> None:
        """Make factors of some candidates, by all threads."""
        side = self.product.side(panel.stop - panel.start, self._side)
        chunks = parts(panel.start, panel.stop, max(1, _READ // self.candidates.bins))

        def fill(k: int) -> None:
            chunk = chunks[k]
            logs = self.candidates.logs(np.arange(chunk.start, chunk.stop))
            self.product.fill_logs(side, chunk.start - panel.start, logs)
            if self.has_logs and ((logs < _DEEP) & (logs > -np.inf)).any():
                self.has_deep = True

        for_each_chunk(fill, len(chunks), self.candidates.threads)
        self._side = side

    def fill(self, p: npt.NDArray[np.float64], spread: npt.NDArray[np.float64], surface: Surface, panel: slice) -> None:
        """Write the divergences of rows of p from the candidates that are ready to their place in a surface."""
        y = self._side
        assert y is not None
        x = self.product.side(len(p), None)
        self.product.fill(x, 0, 0, p, spread)
        count = panel.stop - panel.start
        doubts = y.doubts[:count]
        most = doubts[np.isfinite(doubts)].max(initial=0.0)
        np.maximum(surface.doubts, x.doubts[: len(p)].astype(float) + float(most), out=surface.doubts)
        for part in parts(0, count, TILE):
            where = slice(part.start, -(-part.stop // 16) * 16)
            tile = self.product.multiply(x, y, where)
            self.product.finish(tile, x, y, where, 0.0)
            surface.values[:, panel.start + part.start : panel.start + part.stop] = tile[
                : len(p), : part.stop - part.start
            ]

    def contenders(self, surface: Surface) -> tuple[_Index, _Index]:
        """Rows, and numbers of candidates that may be the nearest to them as far as the bound of the errors tells."""
        values, doubts = surface
        found = _Contenders(len(values))
        kernels.find_lowest(values, self.error, doubts, found.cutoffs, found.numbers, found.counts)
        return found.listed(lambda row: values[row])


class ByStatistics:
    """By a few statistics, in which the log density is linear: forward divergences at points.

    A surface holds the histograms' moments alone, from which all of its values follow.
    """

    values_together, has_deep = 1 << 24, False

    def __init__(self, form: Exponential, threads: int) -> None:
        self.is_inside = form.base > -np.inf
        count = form.natural.shape[1]
        self.error = (len(form.statistics) + 32) * float(np.finfo(float).eps) / 2
        totals = np.empty(count)
        statistics = np.ascontiguousarray(form.statistics[:, self.is_inside])
        natural, base = form.natural, form.base[self.is_inside]
        chunks = parts(0, count, max(1, _READ // max(statistics.shape[1], 1)))

        def fill(k: int) -> None:
            kernels.log_totals(statistics, base, np.ascontiguousarray(natural[:, chunks[k]]), totals[chunks[k]])

        for_each_chunk(fill, len(chunks), threads)
        self.doubt = float(np.abs(base).max(initial=0.0))
        # Two statistics at most, and what they add up to, less and plus what each candidate is wrong by.
        error = self.error * (np.abs(statistics).max(1, initial=0.0) @ np.abs(natural) + np.abs(totals))
        self.factors = np.full((4, -(-count // kernels.TOGETHER) * kernels.TOGETHER), np.inf)
        self.factors[:2] = 0.0
        self.factors[: len(natural), :count] = -natural
        self.factors[2, :count], self.factors[3, :count] = totals - error, totals + error
        self.columns = np.zeros((3, len(form.base)))
        self.columns[: len(natural)], self.columns[2] = form.statistics, form.base
        self.columns[:, ~self.is_inside] = 0.0

    def blank(self, count: int) -> Surface:
        """Two moments, and what is known without them."""
        return Surface(np.empty((count, 3)), np.zeros(count))

    def panels(self) -> list[slice]:
        """All candidates together: they are a few numbers each."""
        return [slice(0, self.factors.shape[1])]

    def prepare(self, panel: slice) -> None:
        """Nothing is left to do."""

    def fill(self, p: npt.NDArray[np.float64], spread: npt.NDArray[np.float64], surface: Surface, panel: slice) -> None:
        """Write the moments of rows of p."""
        with np.errstate(all="ignore"):
            np.matmul(p, self.columns.T, out=surface.values)
            np.divide(surface.values, p.sum(1, keepdims=True), out=surface.values)
            entropy = spread - np.log(p.shape[1])
        known = entropy - surface.values[:, 2]
        if not self.is_inside.all():
            known[(p[:, ~self.is_inside] > 0).any(1)] = np.inf
        surface.values[:, 2] = known
        surface.doubts[:] = self.doubt + np.abs(entropy) + 2.0 * np.log(p.shape[1])

    def contenders(self, surface: Surface) -> tuple[_Index, _Index]:
        """Rows, and numbers of candidates that may be the nearest to them as far as the bound of the errors tells."""
        moments, known = surface.values[:, :2], np.ascontiguousarray(surface.values[:, 2])
        found = _Contenders(len(moments))
        kernels.find_lowest_linear(
            moments, known, self.factors, self.error, surface.doubts, found.cutoffs, found.numbers, found.counts
        )
        return found.listed(lambda row: known[row] + (self.factors[2] + moments[row] @ self.factors[:2]))


class _Contenders:
    """What is listed of each row: the largest value, which candidates have no larger one, and how many they are."""

    def __init__(self, rows: int) -> None:
        self.cutoffs, self.counts = np.empty(rows), np.empty(rows, np.int64)
        self.numbers = np.empty((rows, _ROOM), np.int64)

    def listed(self, values_of: Callable[[Any], _Array]) -> tuple[_Index, _Index]:
        """Rows and numbers; the values of rows that have more than there was room for are looked at again."""
        places = np.nonzero(np.arange(_ROOM) < np.where(self.counts <= _ROOM, self.counts, 0)[:, None])
        rows, numbers = places[0], self.numbers[places]
        for row in np.flatnonzero(self.counts > _ROOM):
            more = np.flatnonzero(values_of(row) <= self.cutoffs[row])
            rows, numbers = np.append(rows, np.full(len(more), row)), np.append(numbers, more)
        return rows, numbers
