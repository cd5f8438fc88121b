"""Runs of fits: a family of distributions fitted to each row, on a grid that is that of the whole file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._matrix import Matrix
from fastkl._threads import available_cpus
from fastkl.batch._kinds import Answer, Tell, invalid_rows, reason_of
from fastkl.batch._plan import MIB, Need
from fastkl.batch._protocols import Column, Source, SourceError
from fastkl.fits import fit
from fastkl.fitting._axis import axis_of
from fastkl.fitting._families import family_of
from fastkl.fitting._grid import Moments, grid_of
from fastkl.fitting._result import Fit

_Array = npt.NDArray[Any]
_WORKING = 192 * MIB  # of the surfaces of a grid
_BLOCK_BINS = 1 << 21  # of histograms fitted together, whatever the memory, and at most so many of them
_MOST_ROWS, _FIRST_ROWS = 8192, 64
_LOOKED_AT = 1 << 18  # bins whose moments `fastkl.fit` takes together: sums in another order have other last bits
RESULTS = ("divergence", "grid_index", "converged")


class FitKind:
    """Fits by one objective or several; the columns of each but a single one begin with its name."""

    is_side_by_side = False

    def __init__(
        self, p: Source, objectives: tuple[Any, ...], grid: Mapping[str, Any] | None, options: dict[str, Any]
    ) -> None:
        self.row_source, self.streamed = p, {"p": p}
        self.objectives, self._options = objectives, options
        self.minima = int(options.get("minima", 1))
        is_table = np.ndim(options.get("family", "norm")) == 2
        self.grid = grid if grid is not None or is_table else _default_grid(p, options)
        self._validity = {"pseudocount": options.get("pseudocount", 0.0)}
        nothing = np.empty((0, p.bins), p.dtype)
        width = self.minima if self.minima > 1 else None
        self.columns = {
            name: Column(np.asarray(values).dtype, width) for name, values in self._results(nothing).items()
        }
        rows = min(max(1, _BLOCK_BINS // max(p.bins, 1)), _MOST_ROWS)
        result = sum(column.dtype.itemsize * (column.width or 1) for column in self.columns.values())
        self.need = Need(p.bins * p.dtype.itemsize, result, _WORKING, most_rows=rows, first_rows=_FIRST_ROWS)

    def name_of(self, objective: Any, column: str) -> str:
        """How a column of an objective is called among those of all."""
        return f"{objective}_{column}" if len(self.objectives) > 1 else column

    def compute(self, start: int, blocks: dict[str, _Array]) -> Answer:
        """The fits of a block."""
        p = blocks["p"]
        return Answer(self._results(p), self.invalid(p))

    def check_rest(self, tell: Tell) -> None:
        """There is only p."""

    def invalid(self, rows: _Array) -> npt.NDArray[np.bool_]:
        """Which rows are no histograms."""
        return invalid_rows(rows, **self._validity)

    def reason(self, row: _Array) -> str:
        """Why a row is no histogram."""
        return reason_of(row)

    def fits(self, p: _Array) -> list[Fit]:
        """The fits of some histograms, by each objective."""
        return [
            fit(p, grid=self.grid, objective=objective, on_invalid="nan", **self._options)
            for objective in self.objectives
        ]

    def _results(self, p: _Array) -> dict[str, _Array]:
        found: dict[str, _Array] = {}
        for objective, fits in zip(self.objectives, self.fits(p), strict=True):
            columns = fits.params | {name: getattr(fits, name) for name in RESULTS}
            found |= {self.name_of(objective, name): values for name, values in columns.items()}
        return found


def _default_grid(p: Source, options: dict[str, Any]) -> dict[str, _Array]:
    """The grid that `fastkl.fit` would search if the whole file were one array."""
    axis = axis_of(options.get("edges"), options.get("points"))
    if axis.bins != p.bins:
        raise SourceError(
            f"{p.name} has {p.bins} bins and {axis.name} has {len(axis.values)} numbers; there must be "
            f"{p.bins + axis.is_edges}"
        )
    family, frozen = family_of(options.get("family", "norm"))
    pseudocount, threads = options.get("pseudocount", 0.0), options.get("threads") or available_cpus()

    def moments() -> Moments:
        found, together = Moments(axis), max(1, _LOOKED_AT // max(p.bins, 1))
        for start in range(0, p.rows, together):
            matrix = Matrix("p", p.read(start, min(start + together, p.rows)))
            is_valid = ~np.isnan(matrix.spread(pseudocount, True, threads))
            found.add(matrix.moderate(0, matrix.count, pseudocount)[is_valid])
        return found

    return grid_of(family, None, frozen | dict(options.get("fixed") or {}), axis, moments).axes
