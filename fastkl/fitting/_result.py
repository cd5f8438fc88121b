"""What a fit gives back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl.fitting._axis import Axis
from fastkl.fitting._families import Family

_Array = npt.NDArray[Any]
_SHOWN = 5  # histograms in the representation of a batch


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """The distributions of a family that are nearest to the histograms of a batch.

    Arrays have the shape of the batch, and where more than one minimum was asked for a last axis with them, the best
    one first; NaN and -1 where there are fewer, where a histogram is invalid, and where no divergence is finite.

    Attributes
    ----------
    params : dict of str to ndarray
        The fitted parameters by name; of a table of candidates the number of the nearest.
    divergence : ndarray or float
        The divergences, in nats, as `kl_divergence` gives them for the histogram and ``histogram()``.
    grid_index : ndarray of int64
        Numbers of the points of the grid, in C order, that were best, or from which the minima were reached.
    converged : ndarray of bool
        True where a minimum was reached; False where a parameter grows for ever, or nothing was to be refined.
    objective : "forward", "reverse" or float
        What was minimised.
    family : str
        The name of the family.
    fixed : dict of str to float
        The parameters that were not fitted.
    grid : dict of str to ndarray
        The grid that was searched.
    surface : ndarray or None
        The divergences on the whole grid, of the shape of the batch followed by that of the grid.
    """

    params: dict[str, _Array]
    divergence: Any
    grid_index: Any
    converged: Any
    objective: str | float
    family: str
    fixed: dict[str, float]
    grid: dict[str, _Array]
    surface: _Array | None
    minima: int
    axis: Axis | None = field(repr=False)
    _source: Any = field(repr=False)  # the family, or the table of candidates
    _p: Any = field(repr=False)  # the histograms, as rows, and what is added to them
    _pseudocount: float = field(default=0.0, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the batch."""
        shape: tuple[int, ...] = np.shape(self.divergence)
        return shape[:-1] if self.minima > 1 else shape

    def histogram(self) -> npt.NDArray[np.float64]:
        """The shares of the bins of the fitted distributions, conditioned on the range of the histograms.

        The last axis has the bins. NaN where there is no fit.
        """
        index, bins = np.ravel(self.grid_index), self._p.bins
        shares = np.full((index.size, bins), np.nan)
        is_fitted = index >= 0
        if not isinstance(self._source, Family):
            table = self._source.moderate(0, self._source.count, self._pseudocount)[index[is_fitted]]
            shares[is_fitted] = table / table.sum(1, keepdims=True)
        elif is_fitted.any():
            assert self.axis is not None
            values = self._values()[:, is_fitted]
            fitted = np.empty((values.shape[1], bins))
            kernels.shares_of_logs(self._source.log_masses(self.axis, values), fitted)
            shares[is_fitted] = fitted
        return shares.reshape(*np.shape(self.divergence), bins)

    def _values(self) -> npt.NDArray[np.float64]:
        size = np.size(self.divergence)
        return np.array(
            [
                np.ravel(self.params[name]) if name in self.params else np.full(size, self.fixed[name])
                for name in self._source.names
            ],
            float,
        ).reshape(-1, size)

    def distribution(self, index: int | tuple[int, ...] = (), minimum: int = 0) -> Any:
        """The fitted distribution of one histogram of the batch, frozen, of `scipy.stats`.

        Parameters
        ----------
        index : int or tuple of int
            Which histogram; () for a single one.
        minimum : int
            Which of its minima, if more than one was asked for.

        Raises
        ------
        ValueError
            There is no fit of that histogram, or candidates were histograms and no distributions.
        """
        if not isinstance(self._source, Family):
            raise ValueError("the candidates of this fit are histograms; histogram() gives the nearest ones")
        place = self._place(index, minimum)
        if np.asarray(self.grid_index)[place] < 0:
            raise ValueError(
                f"there is no fit at index {place}: its divergence is {np.asarray(self.divergence)[place]}"
            )
        values = {name: float(np.asarray(array)[place]) for name, array in self.params.items()} | self.fixed
        return self._source.dist(**values)

    def _place(self, index: int | tuple[int, ...], minimum: int) -> tuple[int, ...]:
        place = index if isinstance(index, tuple) else (index,)
        if not all(isinstance(i, int | np.integer) for i in place):
            raise TypeError(f"index is {index!r}; it must be a whole number, or a tuple of them")
        if len(place) != len(self.shape):
            one = "this fit is of one histogram, which has no index"
            many = f"this fit is of histograms of shape {self.shape}: index must have {len(self.shape)} numbers"
            raise ValueError(f"{many if self.shape else one}, and is {index!r}")
        for i, length in zip(place, self.shape, strict=True):
            if not -length <= i < length:
                raise IndexError(f"index {index!r} is out of range for a batch of shape {self.shape}")
        if not 0 <= minimum < self.minima:
            raise IndexError(f"minimum {minimum!r} is out of range: {self.minima} were asked for")
        return (*place, minimum) if self.minima > 1 else place

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each histogram and minimum.

        Columns are the parameters, fixed ones after the fitted, divergence, grid_index and converged.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("Fit.to_pandas needs pandas: pip install 'fastkl[pandas]'") from error
        shape = np.shape(self.divergence)
        columns = {name: np.ravel(array) for name, array in self.params.items()}
        columns |= {name: np.full(np.size(self.divergence), value) for name, value in self.fixed.items()}
        columns |= {name: np.ravel(getattr(self, name)) for name in ("divergence", "grid_index", "converged")}
        names = [f"axis_{k}" for k in range(len(self.shape))] if len(self.shape) != 1 else ["histogram"]
        names = names[: len(self.shape)] + (["minimum"] if self.minima > 1 else [])
        if not shape:
            return pandas.DataFrame(columns)
        places = [place.ravel() for place in np.indices(shape)]
        index = pandas.MultiIndex.from_arrays(places, names=names) if len(shape) > 1 else None
        frame = pandas.DataFrame(columns, index=index)
        if index is None:
            frame.index.name = names[0]
        return frame

    def plot(self, index: int | tuple[int, ...] = (), *, ax: Any = None) -> Any:
        """The histogram and its fit; see `fastkl.plot.fit`."""
        from fastkl.plot import fit

        return fit(self, index, ax=ax)

    def target(self, index: int | tuple[int, ...] = ()) -> npt.NDArray[np.float64]:
        """The histogram that was fitted, scaled to a total of one, with the pseudo-count in it."""
        place = self._place(index, 0)[: len(self.shape)]
        row = int(np.ravel_multi_index(place, self.shape, mode="wrap")) if place else 0
        bins: npt.NDArray[np.float64] = self._p.moderate(row, row + 1, self._pseudocount)[0]
        shares: npt.NDArray[np.float64] = bins / bins.sum()
        return shares

    def __repr__(self) -> str:
        objective = self.objective if isinstance(self.objective, str) else f"alpha={self.objective:g}"
        grid = ", ".join(f"{name} {_range(values)}" for name, values in self.grid.items())
        of = f" of {' x '.join(map(str, self.shape))} histograms" if self.shape else ""
        lines = [f"Fit{of}: {self.family}, {objective}", f"grid: {grid}"]
        if self.fixed:
            lines.append("fixed: " + ", ".join(f"{name}={value:g}" for name, value in self.fixed.items()))
        names = [*self.params, "divergence"]
        columns = [np.ravel(array) for array in (*self.params.values(), self.divergence)]
        count = min(len(columns[-1]), _SHOWN * self.minima)
        cells = [[f"{column[i]:.6g}" for column in columns] for i in range(count)]
        widths = [max(len(name), *(len(row[k]) for row in cells), 0) for k, name in enumerate(names)] if cells else []
        for row in [names, *cells] if cells else []:
            lines.append("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
        if len(columns[-1]) > count:
            lines.append(f"... ({len(columns[-1]) - count} more)")
        return "\n".join(lines)


def _range(values: _Array) -> str:
    ends = f"{values[0]:.4g} to {values[-1]:.4g}, " if len(values) > 1 else f"{values[0]:.4g}, "
    return f"{ends}{len(values)} value{'s' * (len(values) != 1)}"
