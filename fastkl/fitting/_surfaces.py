"""Divergences of some histograms from all candidates: nearly exact, with a bound of what they are wrong by."""

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
_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
_DEEP = -(2.0**18)  # logarithms below this may be taken for those of zero in single precision
_READ = 1 << 15  # bins of candidates that are made factors together


class Surface(NamedTuple):
    """Values that stand for divergences D, each within error (2 D + doubt of its row)."""

    values: _Array
    doubts: npt.NDArray[np.float64]


class Surfaces(Protocol):
    """What computes surfaces, panel by panel of the candidates."""

    error: float
    precision: np.dtype[Any]
    values_together: int  # of surfaces that one thread has at a time
    has_deep: bool  # whether logarithms of candidates are so low that they count as those of zero

    def panels(self) -> list[slice]:
        """The candidates, so many together as the memory holds."""

    def prepare(self, panel: slice) -> None:
        """Make some candidates ready."""

    def fill(self, p: npt.NDArray[np.float64], spread: npt.NDArray[np.float64], surface: Surface, panel: slice) -> None:
        """Write the divergences of rows of p from the candidates that are ready to their place in a surface."""


class ByProduct:
    """By a product of matrices."""

    values_together = 1 << 20

    def __init__(self, plan: Plan, candidates: Candidates, precision: np.dtype[Any], most: int) -> None:
        self.product = Product(plan, candidates.bins, True, precision)
        self.precision, self.error = self.product.precision, self.product.error
        self.candidates, self.most = candidates, max(TILE, most // max(candidates.bins, 1))
        self.has_deep = False
        self._side: Side | None = None

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
            if self.precision == _SINGLE and ((logs < _DEEP) & (logs > -np.inf)).any():
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


class ByStatistics:
    """By a few statistics, in which the log density is linear: forward divergences at points."""

    precision, values_together, has_deep = _DOUBLE, 1 << 18, False

    def __init__(self, form: Exponential, threads: int) -> None:
        self.is_inside = form.base > -np.inf
        count = form.natural.shape[1]
        self.error = (len(form.statistics) + 32) * float(np.finfo(float).eps) / 2
        self.totals = np.empty(count)
        statistics = np.ascontiguousarray(form.statistics[:, self.is_inside])
        natural, base = form.natural, form.base[self.is_inside]
        chunks = parts(0, count, max(1, _READ // max(statistics.shape[1], 1)))

        def fill(k: int) -> None:
            kernels.log_totals(statistics, base, np.ascontiguousarray(natural[:, chunks[k]]), self.totals[chunks[k]])

        for_each_chunk(fill, len(chunks), threads)
        largest = np.abs(statistics).max(1, initial=0.0)
        self.doubt = float((largest @ np.abs(natural) + np.abs(self.totals)).max() + np.abs(base).max(initial=0.0))
        # Two statistics at most, what they add up to, and the base.
        self.factors = np.zeros((3, count))
        self.factors[: len(natural)], self.factors[2] = -natural, self.totals
        self.columns = np.zeros((3, len(form.base)))
        self.columns[: len(natural)], self.columns[2] = form.statistics, form.base
        self.columns[:, ~self.is_inside] = 0.0

    def panels(self) -> list[slice]:
        """All candidates together: they are a few numbers each."""
        return [slice(0, len(self.totals))]

    def prepare(self, panel: slice) -> None:
        """Nothing is left to do."""

    def fill(self, p: npt.NDArray[np.float64], spread: npt.NDArray[np.float64], surface: Surface, panel: slice) -> None:
        """Write the divergences of rows of p from all candidates."""
        with np.errstate(all="ignore"):
            shares = p / p.sum(1, keepdims=True)
            moments = shares @ self.columns.T
            entropy = spread - np.log(p.shape[1])
            outside = (shares[:, ~self.is_inside] > 0).any(1)
        known = entropy - moments[:, 2]
        known[outside] = np.inf
        kernels.linear_values(moments, self.factors, known, surface.values)
        surface.doubts[:] = self.doubt + np.abs(entropy) + 2.0 * np.log(p.shape[1])
