"""The candidates nearest to each histogram of a batch: the least of its surface of divergences, or its local minima.

Surfaces come and go, block by block. What may be the least of one, as far as the bound of the errors tells, is computed
again exactly.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl._blas import one_blas_thread
from fastkl._matrix import Matrix
from fastkl._products import Plan
from fastkl._progress import Progress
from fastkl._threads import for_each_chunk
from fastkl._tiles import parts
from fastkl.fitting._candidates import Candidates, divergences
from fastkl.fitting._families import Exponential
from fastkl.fitting._surfaces import ByProduct, ByStatistics, Surfaces

_Array = npt.NDArray[np.float64]
_Index = npt.NDArray[np.int64]
_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
_RESIDENT = 1 << 25  # numbers in the factors of candidates that stay in memory; of more, a panel at a time
_MOST_ROWS = 1024  # histograms of a block
_READ = 1 << 22  # bins of histograms that a thread has at a time
_HELD = 1 << 24  # values of surfaces that a thread has where candidates come in panels
_RTOL = 1e-9  # of a surface that is kept
_PAIRS = 1 << 18  # bins of pairs that are computed together


class Found(NamedTuple):
    """Candidates of histograms: whose they are, which, and the divergences; in order of all three."""

    rows: _Index
    numbers: _Index
    divergences: _Array


class Search:
    """A search for the candidates nearest to the rows of a matrix."""

    def __init__(
        self, p: Matrix, pseudocount: float, spread: _Array, plan: Plan, candidates: Candidates, threads: int
    ) -> None:
        self.p, self.pseudocount, self.spread = p, pseudocount, spread
        self.plan, self.candidates, self.threads = plan, candidates, threads

    def rows(self, part: slice) -> _Array:
        """Some histograms in double precision."""
        return self.p.moderate(part.start, part.stop, self.pseudocount)

    def surfaces(self, form: Exponential | None, in_double: bool) -> Surfaces:
        """What computes surfaces: few statistics, if there are such and one minimum is asked for, or a product.

        Single precision tells which candidates may be the nearest; not where there are other minima.
        """
        if form is not None:
            return ByStatistics(form, self.threads)
        self.candidates.build()
        return ByProduct(self.plan, self.candidates, _DOUBLE if in_double else _SINGLE, _RESIDENT)

    def run(self, surfaces: Surfaces, finish: Callable[["Block"], None], label: str, shown: bool) -> None:
        """Hand one block of histograms after the other to ``finish``, on any thread, once it has its surfaces."""
        count, panels = self.candidates.count, surfaces.panels()
        together = surfaces.values_together if len(panels) == 1 else _HELD
        most = min(_MOST_ROWS, together // max(count, 1), _READ // max(self.p.bins, 1))
        blocks = parts(0, self.p.count, max(1, min(most, -(-self.p.count // self.threads))))
        with one_blas_thread(), Progress(label, self.p.count, shown) as progress:
            if len(panels) == 1:
                self._run_at_once(surfaces, blocks, finish, progress)
            else:
                for start in range(0, len(blocks), self.threads):
                    self._run_in_panels(surfaces, blocks[start : start + self.threads], finish, progress)

    def _run_at_once(
        self, surfaces: Surfaces, parts: list[slice], finish: Callable[["Block"], None], progress: Progress
    ) -> None:
        # Each thread goes its own way: all candidates are ready.
        (panel,) = surfaces.panels()
        surfaces.prepare(panel)

        def work(k: int) -> None:
            block = Block(self, surfaces, parts[k])
            block.fill(panel)
            block.settle()
            finish(block)
            self.p.let_go(parts[k].start, parts[k].stop)
            progress.advance(block.count)

        for_each_chunk(work, len(parts), self.threads)

    def _run_in_panels(
        self, surfaces: Surfaces, parts: list[slice], finish: Callable[["Block"], None], progress: Progress
    ) -> None:
        # A block for each thread; its surfaces wait for all candidates.
        blocks = [Block(self, surfaces, part) for part in parts]
        for panel in surfaces.panels():
            surfaces.prepare(panel)
            fill = partial(_fill, blocks, panel)
            for_each_chunk(fill, len(blocks), self.threads)

        def end(k: int) -> None:
            blocks[k].settle()
            finish(blocks[k])

        for_each_chunk(end, len(blocks), self.threads)
        self.p.let_go(parts[0].start, parts[-1].stop)
        progress.advance(sum(block.count for block in blocks))


def _fill(blocks: "list[Block]", panel: slice, k: int) -> None:
    blocks[k].fill(panel)


class Block:
    """Some histograms and their surfaces."""

    def __init__(self, search: Search, surfaces: Surfaces, part: slice) -> None:
        self.search, self.surfaces, self.part = search, surfaces, part
        self.count = part.stop - part.start
        self.p = search.rows(part)
        self.spread = search.spread[part]
        self.surface = surfaces.blank(self.count)

    def fill(self, panel: slice) -> None:
        """Compute the divergences from some candidates."""
        self.surfaces.fill(self.p, self.spread, self.surface, panel)

    def settle(self) -> None:
        """Compute exactly what nothing is known of: rows without a bound, or without a value below those of zeros."""
        values, doubts = self.surface
        is_unknown = doubts == np.inf
        if self.surfaces.has_deep:
            is_unknown |= ~(values < np.inf).any(1)
        every = np.arange(self.search.candidates.count)
        for row in np.flatnonzero(is_unknown & ~np.isnan(self.spread)):
            values[row], doubts[row] = self.exactly(np.full(len(every), row), every), 0.0

    def lowest(self) -> Found:
        """The nearest candidate of each histogram; of equal ones that with the smaller number."""
        found = self._found(*self.surfaces.contenders(self.surface))
        first = np.unique(found.rows, return_index=True)[1]
        return Found(found.rows[first], found.numbers[first], found.divergences[first])

    def minima(self, most: int) -> Found:
        """So many of the lowest local minima of each histogram's surface, and its lowest point even on a plateau."""
        rows, numbers = self._minima(most)
        lowest, count = self.lowest(), self.search.candidates.count
        is_other = ~np.isin(lowest.rows * count + lowest.numbers, rows * count + numbers)
        return self._found(
            np.concatenate([rows, lowest.rows[is_other]]), np.concatenate([numbers, lowest.numbers[is_other]])
        )

    def with_rivals(self, lowest: Found, most: int) -> Found:
        """The nearest candidates, and other local minima downhill of which there may be lower ones."""
        rows, index = self._minima(most)
        best = np.full(self.count, np.inf)
        best[lowest.rows] = lowest.divergences
        chosen = np.full(self.count, -1)
        chosen[lowest.rows] = lowest.numbers
        values = self.surface.values[rows, index].astype(float)
        is_rival = (values - 2.0 * self._descents(rows, index, values) <= best[rows]) & (index != chosen[rows])
        rivals = self._found(rows[is_rival], index[is_rival])
        return _in_order(*(np.concatenate(both) for both in zip(lowest, rivals, strict=True)))

    def _minima(self, most: int) -> tuple[_Index, _Index]:
        shape = self.search.candidates.grid.shape
        steps = [np.array(step) for step in itertools.product((-1, 0, 1), repeat=len(shape)) if any(step)]
        index, counts = np.empty((self.count, most), np.int64), np.empty(self.count, np.int64)
        kernels.find_minima(
            self.surface.values,
            np.array(shape),
            np.array(steps),
            self.surfaces.error,
            self.surface.doubts,
            index,
            counts,
        )
        places = np.nonzero(np.arange(most) < counts[:, None])
        return places[0], index[places]

    def _descents(self, rows: _Index, index: _Index, values: _Array) -> _Array:
        """How much lower a surface may be between these minima of the grid and their neighbours: of parabolas."""
        shape = self.search.candidates.grid.shape
        places = np.array(np.unravel_index(index, shape))
        descents = np.zeros(len(index))
        for k, length in enumerate(shape):
            sides = []
            for step in (-1, 1):
                there = places.copy()
                there[k] = np.clip(there[k] + step, 0, length - 1)
                side = self.surface.values[rows, np.ravel_multi_index(tuple(there), shape)].astype(float)
                sides.append(np.where(np.isfinite(side), side, values))
            is_end = (places[k] == 0) | (places[k] == length - 1)
            up, down = sides[1] - values, sides[0] - values
            with np.errstate(all="ignore"):
                dip = np.where(up + down > 0, (up - down) ** 2 / (8.0 * (up + down)), 0.0)
            descents += np.where(is_end, np.maximum(up, down), dip)
        return descents

    def _found(self, rows: _Index, index: _Index) -> Found:
        exact = self.exactly(rows, index)
        is_finite = exact < np.inf
        return _in_order(rows[is_finite], index[is_finite], exact[is_finite])

    def exactly(self, rows: _Index, index: _Index) -> _Array:
        """The divergences of these histograms from these candidates, by the kernels of the rows."""
        exact = np.empty(len(rows))
        for part in parts(0, len(rows), max(1, _PAIRS // max(self.search.candidates.bins, 1))):
            logs = self.search.candidates.logs(index[part])
            exact[part] = divergences(self.search.plan, self.p[rows[part]], logs)
        return exact

    def exact_surface(self) -> _Array:
        """The divergences from all candidates, with a relative error of 1e-9 at most; inf where there is none."""
        values = np.array(self.surface.values, float)
        error = self.surfaces.error
        least = (error + (1 + 2 * error) * error / (_RTOL - 2 * error)) * self.surface.doubts
        rows, index = np.nonzero(values < least[:, None])
        values[rows, index] = self.exactly(rows, index)
        values[np.isnan(values) & ~np.isnan(self.spread)[:, None]] = np.inf
        return values


def _in_order(rows: _Index, index: _Index, divergences: _Array) -> Found:
    order = np.lexsort((index, divergences, rows))
    return Found(rows[order], index[order], divergences[order])
