"""Fits of arrays of dask: a task for each block of the batch, all with one grid."""

from dataclasses import fields
from functools import partial
from typing import Any

import dask
import numpy as np
import numpy.typing as npt

from fastkl.containers._dask import open_chunked, stand_in
from fastkl.fits import fit
from fastkl.fitting._result import Fit
from fastkl.lazy._blocks import Place, block_by_block, check_rows, refuse_at_once, threads_of_task

_Array = npt.NDArray[Any]


class LazyFit(Fit):
    """The fits of an array of dask: `params`, `divergence` and the others are arrays of dask too.

    `compute` gives the `Fit` with values. The methods compute it first, each call anew.
    """

    def compute(self, **options: Any) -> Fit:
        """The fits with values; the options are those of `dask.compute`."""
        names = ("params", "divergence", "grid_index", "converged", "surface")
        values = dask.compute(*(getattr(self, name) for name in names), **options)
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return Fit(**{**known, **dict(zip(names, values, strict=True))})

    def histogram(self) -> npt.NDArray[np.float64]:
        """`Fit.histogram` of the computed fits."""
        return self.compute().histogram()

    def distribution(self, index: int | tuple[int, ...] = (), minimum: int = 0) -> Any:
        """`Fit.distribution` of the computed fits."""
        return self.compute().distribution(index, minimum)

    def to_pandas(self) -> Any:
        """`Fit.to_pandas` of the computed fits."""
        return self.compute().to_pandas()

    def plot(self, index: int | tuple[int, ...] = (), *, ax: Any = None) -> Any:
        """`Fit.plot` of the computed fits."""
        return self.compute().plot(index, ax=ax)

    def __repr__(self) -> str:
        return f"LazyFit of {self.family} to {self.divergence!r}: compute() gives the fits"


class _LaterRows:
    """Histograms that are computed when one is looked at."""

    def __init__(self, lazy: Any) -> None:
        self.lazy, self.bins = lazy, int(stand_in(lazy).shape[-1])

    def moderate(self, start: int, stop: int, pseudocount: float) -> npt.NDArray[np.float64]:
        """Some rows in double precision, the pseudo-count added."""
        batch = self.lazy.shape[:-1]
        rows = [self.lazy[np.unravel_index(row, batch)] for row in range(start, stop)]
        return np.array(dask.compute(*rows), np.float64) + pseudocount


def fit_lazily(p: Any, options: dict[str, Any]) -> LazyFit:
    """What ``fit(p, **options)`` gives, with arrays of dask."""
    refuse_at_once(options)
    array = open_chunked({"p": p}, -1, None).arrays[0]
    # A fit of no histograms checks the options, and tells what results there are.
    known = fit(np.empty((0, stand_in(array).shape[-1]), array.dtype), **options)
    if options["grid"] is None and known.family != "table":
        raise ValueError(
            "a fit of an array of dask needs a grid: the default one depends on all histograms, which are not computed"
            " yet; pass `grid=fastkl.fit(sample, ...).grid` of a sample of them, say"
        )
    each = (known.minima,) if known.minima > 1 else ()
    results: list[Any] = [(name, np.asarray(values).dtype, each) for name, values in known.params.items()]
    results.append(("divergence", np.float64, each))
    results += [("grid_index", np.int64, each), ("converged", np.bool_, each)]
    if options["surface"]:
        results.append(("surface", np.float64, tuple(len(values) for values in known.grid.values())))
    dtype, dimensions = np.dtype(results), tuple(range(array.ndim))
    work = partial(_fit, options | {"threads": threads_of_task(options["threads"])}, dtype)
    found = block_by_block(work, [array], [dimensions], dimensions[:-1], dtype)
    return LazyFit(
        {name: found[name] for name in known.params},
        found["divergence"],
        found["grid_index"],
        found["converged"],
        known.objective,
        known.family,
        known.fixed,
        known.grid,
        found["surface"] if options["surface"] else None,
        known.minima,
        known.axis,
        known._source,
        _LaterRows(array),
        known._pseudocount,
    )


def _fit(options: dict[str, Any], dtype: np.dtype[Any], place: Place, block: _Array) -> _Array:
    if options["on_invalid"] == "raise":
        check_rows("p", block, [part.start for part in place], options["pseudocount"], True)
    fitted = fit(block, **options)
    found = np.empty(block.shape[:-1], dtype)
    for name in dtype.names or ():
        found[name] = fitted.params[name] if name in fitted.params else getattr(fitted, name)
    return found
