"""From histograms and a grid to fits: search, refine, put in order."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl._matrix import Matrix
from fastkl._products import Plan
from fastkl.fitting._axis import Axis
from fastkl.fitting._candidates import Candidates, divergences
from fastkl.fitting._grid import Grid
from fastkl.fitting._refine import refine
from fastkl.fitting._search import Block, Found, Search

_Array = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]
_SAME = 1e-5  # distance of parameters, in units of what they change by, at which minima are one
_STARTS = 4  # other minima of the grid from which a lower one may be reached


class Fits(NamedTuple):
    """Flat results: for each histogram its minima, best first."""

    values: _Array  # (parameters, histograms, minima)
    divergence: _Array
    grid_index: npt.NDArray[np.int64]
    converged: _Flags
    surface: _Array | None


def run(
    p: Matrix,
    pseudocount: float,
    spread: _Array,
    axis: Axis,
    grid: Grid,
    plan: Plan,
    minima: int,
    refines: bool,
    keeps_surface: bool,
    threads: int,
    shown: bool,
) -> Fits:
    """Fit all histograms, of which ``spread`` tells which are some: it is NaN for the others."""
    search = Search(p, pseudocount, spread, plan, Candidates(grid, axis, threads), threads)
    form = None  # where it is there it has one minimum: the forward divergence is convex in natural parameters
    if not (plan.is_exchanged or plan.order is not None or keeps_surface or minima > 1):
        form = grid.family.exponential(axis, grid.named())
    count = p.count
    fits = Fits(
        np.full((len(grid.family.names), count, minima), np.nan),
        np.full((count, minima), np.nan),
        np.full((count, minima), -1, np.int64),
        np.zeros((count, minima), np.bool_),
        np.empty((count, grid.size)) if keeps_surface else None,
    )

    def finish(block: Block) -> None:
        if fits.surface is not None:
            fits.surface[block.part] = block.exact_surface()
        if minima > 1:
            found = block.minima(4 * minima + _STARTS if refines else minima)
        else:
            found = block.lowest()
            if refines and form is None:
                found = block.with_rivals(found, _STARTS)
        _write(block, found)

    def _write(block: Block, found: Found) -> None:
        index = found.numbers
        values, reached = grid.values(index), np.zeros(len(index), np.bool_)
        exact = found.divergences
        if refines and len(index):
            moved, reached = refine(grid.family, grid.names, axis, plan, block.p[found.rows], values)
            moved = _smaller_mean_first(grid, moved)
            after = divergences(plan, block.p[found.rows], grid.family.log_masses(axis, moved))
            is_lower = after <= exact * (1 + 1e-12) + 1e-300
            values, exact = np.where(is_lower, moved, values), np.where(is_lower, after, exact)
            reached &= is_lower
        rows, index, exact, values, reached = _distinct(grid, found.rows, index, exact, values, reached, refines)
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        keep = rank < minima
        where = block.part.start + rows[keep], rank[keep]
        fits.values[:, *where] = values[:, keep]
        fits.divergence[where], fits.grid_index[where] = exact[keep], index[keep]
        fits.converged[where] = reached[keep]
        is_valid = ~np.isnan(block.spread)
        best = fits.divergence[block.part, 0]
        best[is_valid & np.isnan(best)] = np.inf

    search.run(search.surfaces(form, minima > 1 or keeps_surface), finish, "fastkl fit", shown)
    return fits


def _smaller_mean_first(grid: Grid, values: _Array) -> _Array:
    """Mixtures with the component of the smaller mean first, where both have one grid."""
    if not grid.has_mirror_images:
        return values
    weight, loc1, scale1, loc2, scale2, *others = values
    swapped = np.array([1.0 - weight, loc2, scale2, loc1, scale1, *others])
    return np.where(loc1 > loc2, swapped, values)


def _distinct(
    grid: Grid,
    rows: npt.NDArray[np.int64],
    index: npt.NDArray[np.int64],
    exact: _Array,
    values: _Array,
    reached: _Flags,
    refines: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], _Array, _Array, _Flags]:
    """What was found, in order of the rows and divergences, each minimum of a row once.

    Of those that were not reached, because a parameter grows for ever, a row keeps the lowest.
    """
    order = np.lexsort((index, exact, rows))
    rows, index, exact, values, reached = rows[order], index[order], exact[order], values[:, order], reached[order]
    if not refines or not len(rows):
        return rows, index, exact, values, reached
    names = grid.family.names
    units = np.array(
        [values[names.index(unit)] if (unit := name.replace("loc", "scale")) in names else np.abs(values[k]) + 1e-9
         for k, name in enumerate(names)]
    )  # fmt: skip
    is_new = np.ones(len(rows), np.bool_)
    most = int(np.max(np.bincount(rows - rows[0])))
    for back in range(1, most):
        here, before = slice(back, None), slice(None, -back)
        is_row = rows[here] == rows[before]
        is_near = (np.abs(values[:, here] - values[:, before]) <= _SAME * units[:, before]).all(0)
        is_near |= ~reached[here] & ~reached[before]
        is_new[here] &= ~(is_row & is_near)
    return rows[is_new], index[is_new], exact[is_new], values[:, is_new], reached[is_new]
