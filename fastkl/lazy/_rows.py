"""The functions of rows, for arrays of dask."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import _check
from fastkl._compare import Form, Options, result_dtype_of
from fastkl._operands import batch_of, bins_last
from fastkl.containers._dask import open_chunked, stand_in
from fastkl.lazy._blocks import Place, block_by_block, describe_row, name_of_row, refuse_at_once, threads_of_task

_Array = npt.NDArray[Any]


def compare_lazily(
    task: Callable[..., Any], form: Form, named: dict[str, Any], options: Options, fields: tuple[str, ...] = ()
) -> Any:
    """The results of ``task(named, options, form=form)``, `compare` of some kind, as an array of dask.

    A task that gives several results has ``fields``, their names; they become as many arrays.
    """
    refuse_at_once({"out": options.out})
    given = named if options.weights is None else {**named, "weights": options.weights}
    arrays, axis, give, _ = open_chunked(given, _check.check_axis(options.axis), options.dim)
    if isinstance(arrays[-1], np.ndarray) and options.weights is not None:
        _check.check_weights(arrays[-1])
    result = _check_shapes(list(given), arrays, axis, options)

    ndim = max(array.ndim for array in arrays)
    bins = axis % ndim
    indices = [(bins,) if array.ndim == 1 else tuple(range(ndim - array.ndim, ndim)) for array in arrays]
    batch = [d for d in range(ndim) if d != bins]
    spread = {
        name: {d for d, size in zip(index, array.shape, strict=True) if size != 1}
        for name, array, index in zip(given, arrays, indices, strict=True)
    }
    kept = options._replace(weights=None, axis=bins - ndim, dim=None, threads=threads_of_task(options.threads))
    work = _RowsOfBlock(task, form, list(given), len(named), kept, batch, spread, result, fields)
    dtype = np.dtype([(name, result) for name in fields]) if fields else result
    dimensions = [ndim if options.keepdims and d == bins else d for d in range(ndim) if options.keepdims or d != bins]
    lazy = block_by_block(work, arrays, indices, tuple(dimensions), dtype, {ndim: 1} if options.keepdims else {})
    return tuple(give(lazy[name]) for name in fields) if fields else give(lazy)


def _check_shapes(names: list[str], arrays: list[Any], axis: int, options: Options) -> np.dtype[Any]:
    """Raise where shapes do not fit; the type of the result."""
    alike = [stand_in(array) for array in arrays]
    compared = len(names) - (options.weights is not None)
    moved, _ = bins_last(names, alike, axis)
    known = [k for k, array in enumerate(bins_last(names, arrays, axis)[0]) if not np.isnan(array.shape[-1])]
    if known:
        batch_of([names[k] for k in known], [moved[k] for k in known])
    return result_dtype_of(alike[:compared], options.dtype)


@dataclass(frozen=True)
class _RowsOfBlock:
    """The work of a task."""

    task: Callable[..., Any]
    form: Form
    names: list[str]
    compared: int  # of the names; another one is that of weights
    options: Options
    batch: list[int]  # the dimensions of the results
    spread: dict[str, set[int]]  # of each argument those along which it has more than one element
    result: np.dtype[Any]
    fields: tuple[str, ...]

    def __call__(self, place: Place, *blocks: _Array) -> Any:
        named = dict(zip(self.names[: self.compared], blocks, strict=False))
        weights = blocks[-1] if len(blocks) > self.compared else None
        form = self.form._replace(describe_invalid=partial(self.describe, place))
        found = self.task(named, self.options._replace(weights=weights), form=form)
        if not self.fields:
            return found
        packed = np.empty(np.shape(found[0]), [(name, self.result) for name in self.fields])
        for name, values in zip(self.fields, found, strict=True):
            packed[name] = values
        return packed

    def describe(
        self, place: Place, name: str, array: _Array, is_invalid: npt.NDArray[np.bool_], is_weighted: bool
    ) -> str:
        """What is wrong with the first invalid row of a block, which is named by its place in the whole argument."""
        index = tuple(int(i) for i in np.argwhere(is_invalid)[0])
        row = np.broadcast_to(array, (*is_invalid.shape, array.shape[-1]))[index]
        spread = self.spread[name] | self.spread.get("weights", set())
        origin = [part.start if d in spread else 0 for d, part in zip(self.batch, place, strict=True)]
        where = name_of_row(name, index, origin[len(origin) - len(index) :])
        return describe_row(self.form.describe_invalid, where, row, is_invalid, is_weighted)
