"""Fits of many histograms of two modes, timed, with an estimate of what SciPy would take, from a part."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._threads import for_each_chunk
from fastkl.cli._story_timing import timed
from fastkl.fits import fit

_BINS, _LOW, _HIGH = 256, -8.0, 18.0
_GRID = {"loc": np.linspace(-4.0, 14.0, 128), "scale": np.geomspace(0.25, 8.0, 32)}
SCIPY_ROWS = 12

_Array = npt.NDArray[np.float64]
_OBJECTIVES = ("forward", "reverse")


@dataclass(frozen=True)
class Timed:
    """What was measured: seconds of all fits by objective, of SciPy's grids, and by what the answers differ."""

    rows: int
    seconds: dict[str, float]
    scipy_rows: int
    scipy_seconds: float  # for one histogram, by both objectives
    difference: float

    @property
    def scipy_text(self) -> str:
        """What SciPy took for a part, and would take for all."""
        total, ours = self.scipy_seconds * self.rows, sum(self.seconds.values())
        return (
            f"{self.scipy_seconds * 1e3:.0f} ms per histogram for both, from {self.scipy_rows} of them; "
            f"all would take {_duration(total)}, {total / ours:.0f} times as long"
        )


def description(rows: int) -> str:
    """What is fitted."""
    return (
        f"{rows:,} histograms of two modes and {_BINS} bins: the best of "
        f"{' x '.join(str(len(values)) for values in _GRID.values())} normal distributions, then Newton's method"
    )


def time_fits(rows: int, threads: int) -> Timed:
    """Make the histograms, fit all, and do a part by SciPy too."""
    p, x = _histograms(rows, threads), _middles()
    part = p[:SCIPY_ROWS]

    def search(p: _Array, objective: Any, refine: bool = True) -> _Array:
        found = fit(p, points=x, grid=_GRID, objective=objective, refine=refine, threads=threads)
        return np.asarray(found.divergence)

    seconds = {}
    for objective in _OBJECTIVES:
        search(p[:2], objective)  # compiles, or reads the kernels from disk
        seconds[objective], _ = timed(partial(search, p, objective))
    ours = [search(part, objective, refine=False) for objective in _OBJECTIVES]
    scipy_seconds, theirs = timed(_by_scipy(part, x))
    difference = max(float(np.max(np.abs(a - b) / b)) for a, b in zip(ours, theirs, strict=True))
    return Timed(rows, seconds, len(part), scipy_seconds / len(part), difference)


def _by_scipy(p: _Array, x: _Array) -> Callable[[], list[_Array]]:
    """The least divergences on the grid, by a loop over histograms; the table is made before it."""
    from scipy.special import rel_entr

    loc, scale = (values.ravel() for values in np.meshgrid(*_GRID.values(), indexing="ij"))
    logs = -0.5 * ((x - loc[:, None]) / scale[:, None]) ** 2
    table = np.exp(logs - logs.max(1, keepdims=True))
    table /= table.sum(1, keepdims=True)
    p = p / p.sum(1, keepdims=True)

    def search() -> list[_Array]:
        return [
            np.array([rel_entr(row, table).sum(1).min() for row in p]),
            np.array([rel_entr(table, row).sum(1).min() for row in p]),
        ]

    return search


def _middles() -> _Array:
    edges = np.linspace(_LOW, _HIGH, _BINS + 1)
    return 0.5 * (edges[:-1] + edges[1:])


def _histograms(rows: int, threads: int) -> _Array:
    """Two normal modes of random weights, places and widths, which depend on their number alone."""
    p, x, chunk = np.empty((rows, _BINS)), _middles(), 1 << 10
    seeds = np.random.SeedSequence(2).spawn(-(-rows // chunk))

    def fill(k: int) -> None:
        part = p[k * chunk : (k + 1) * chunk]
        low, high = [-2.0, 4.0, 0.2, 0.5, 0.5], [2.0, 10.0, 0.8, 1.5, 1.5]
        numbers = np.random.default_rng(seeds[k]).uniform(low, high, (len(part), 5))
        first, gap, weight, *widths = (column[:, None] for column in numbers.T)
        part[:] = weight * _density(x, first, widths[0]) + (1 - weight) * _density(x, first + gap, widths[1])

    for_each_chunk(fill, len(seeds), threads)
    return p


def _density(x: _Array, loc: _Array, scale: _Array) -> _Array:
    """Of a normal distribution, but for a factor that all have."""
    density: _Array = np.exp(-0.5 * ((x - loc) / scale) ** 2) / scale
    return density


def _duration(seconds: float) -> str:
    return f"{seconds / 60:,.0f} minutes" if seconds >= 600 else f"{seconds:,.0f} s"
