"""Rows of `scipy.sparse`: what `_operands` and `_engine` do for dense ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import _check, kernels
from fastkl._compare import has_sparse
from fastkl._engine import Answers, Question, workers_for
from fastkl._operands import as_array, precision_of
from fastkl._threads import for_each_chunk
from fastkl.kernels import CrossEntropy, converter, sparse_rows

_Array = npt.NDArray[Any]

# Stored bins in a chunk, and dense ones: about a millisecond of work.
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class _Rows:
    """Compressed sparse rows without duplicates, or dense ones."""

    matrix: Any
    is_dense: bool
    pointers: npt.NDArray[np.int64]

    @property
    def count(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def most(self) -> int:
        """The most stored bins of a row."""
        return 0 if self.is_dense else int(np.diff(self.pointers).max(initial=0))

    @property
    def bins_in_a_row(self) -> float:
        """How many bins are read for each row, in the mean."""
        if self.is_dense:
            return float(self.matrix.shape[1]) if self.count > 1 else 0.0
        return len(self.matrix.data) / max(self.count, 1)

    @property
    def values(self) -> _Array:
        values: _Array = self.matrix if self.is_dense else self.matrix.data
        return values

    def side(self, precision: np.dtype[Any]) -> npt.NDArray[np.int64]:
        """The vector that describes these rows to the kernel; a single one is that of all."""
        side = np.zeros(kernels.SIDE, np.int64)
        values = self.values
        side[kernels.VALUES] = values.__array_interface__["data"][0]
        if self.is_dense:
            side[kernels.CONVERTER] = converter(values.dtype, precision)
            side[kernels.STEP], row_step = values.strides[1], values.strides[0]
            side[kernels.IS_DENSE] = 1
        else:
            side[kernels.CONVERTER] = 0 if values.dtype == precision else converter(values.dtype, precision)
            side[kernels.STEP], row_step = values.itemsize, self.pointers.itemsize
            side[kernels.INDICES] = self.matrix.indices.__array_interface__["data"][0]
            side[kernels.INDEX_SIZE] = self.matrix.indices.itemsize
            side[kernels.POINTERS] = self.pointers.__array_interface__["data"][0]
        side[kernels.ROW_STEP] = row_step if self.count > 1 else 0
        return side

    def dense(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Some rows with all their bins."""
        part = self.matrix[rows if self.count > 1 else np.zeros_like(rows)]
        return np.asarray(part if self.is_dense else part.toarray(), np.float64)


@dataclass(frozen=True, slots=True)
class SparseBatch:
    """Rows of p and of q, one against one or one against many."""

    sides: list[_Rows]
    bins: int

    @property
    def rows(self) -> int:
        """How many results there are."""
        return max(side.count for side in self.sides) if all(side.count for side in self.sides) else 0

    def exchanged(self) -> "SparseBatch":
        """The same with p and q exchanged."""
        return replace(self, sides=self.sides[::-1])

    @property
    def operands(self) -> list[_Rows]:
        """p and q."""
        return self.sides

    def histograms(self, index: int, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Those of p, or q, in some rows, dense."""
        return self.sides[index].dense(rows)

    def run(
        self,
        question: Question,
        precision: np.dtype[Any],
        threads: int | None,
        wanted: npt.NDArray[np.bool_] | None,
    ) -> Answers:
        """What `fastkl._engine.run` gives for dense rows."""
        o, p, q = question, *self.sides
        out = np.empty(self.rows)
        todo = np.ones(self.rows, np.uint8) if wanted is None else wanted.view(np.uint8)
        room = p.most + q.most + 1
        sides = p.side(precision), q.side(precision)
        per_row = sum(side.bins_in_a_row for side in self.sides) + 1
        # A dense row that meets all is read once in each chunk.
        chunk = max(1, int(max(_CHUNK, 4 * self.bins) / per_row))
        zero = precision.type(0)

        def fill(k: int) -> None:
            part = slice(k * chunk, min((k + 1) * chunk, self.rows))
            where = (*sides, self.bins, room, part.start, part.stop, o.normalize, o.pseudocount, o.factor)
            sparse_rows(o.kind, zero, *where, out[part], todo[part])

        for_each_chunk(fill, -(-self.rows // chunk), workers_for(int(per_row * self.rows), threads))
        return out, bool(np.isnan(out).any())


def compare_sparse(
    question: Question,
    named: dict[str, Any],
    options: Any,
    dtype_of: Callable[[list[_Array]], np.dtype[Any]],
    answer: Callable[..., Answers],
) -> tuple[_Array, np.dtype[Any], int]:
    """The divergences of the named sparse and dense rows, their type, and the axis that the bins had."""
    if options.weights is not None:
        raise ValueError("weights can't be given for sparse rows; multiply the bins of both by them")
    if options.dim is not None:
        raise ValueError("dim is for xarray; sparse rows have an axis")
    axis = _check.check_axis(options.axis)
    if not -2 <= axis <= 1:
        raise ValueError(f"axis {axis} is out of bounds for 2 dimensions")
    are_columns = axis in (0, -2)
    sides = {name: _open(name, value, are_columns) for name, value in named.items()}
    p, q = next(iter(sides.values())), list(sides.values())[-1]
    bins = _check_shapes(sides)
    if question.pseudocount > 0.0:
        _check_pseudocount(question, p, q)
    arrays = [side.values for side in sides.values()]
    result_dtype = dtype_of(arrays)
    precision = precision_of(arrays, result_dtype, question.pseudocount)
    flat, found_invalid = answer(SparseBatch([p, q], bins), question, precision, options.threads)
    if options.on_invalid == "raise" and found_invalid:
        for name, side in sides.items():
            _raise_for_invalid(name, side, bins, question, precision)
    is_single = all(np.ndim(value) == 1 for value in named.values())
    return flat[0] if is_single else flat, result_dtype, 0 if are_columns else -1


def _check_pseudocount(question: Question, p: _Rows, q: _Rows) -> None:
    if isinstance(question.kind, CrossEntropy):
        raise ValueError("the entropies take no pseudocount for sparse rows; pass `.toarray()` of some rows at a time")
    if p.is_dense or q.is_dense:
        raise ValueError("pseudocount needs both p and q sparse; pass `.toarray()` of some rows at a time")


def _open(name: str, value: Any, are_columns: bool) -> _Rows:
    if not has_sparse([value]):
        array = as_array(value, name)
        if array.ndim > 2:
            raise ValueError(f"{name} has {array.ndim} dimensions; beside sparse rows it may have two at most")
        array = array[None] if array.ndim == 1 else array.T if are_columns else array
        return _Rows(array, True, np.zeros(0, np.int64))
    as_array(value.tocoo().data if value.format != "csr" else value.data, name)  # raises unless its type is a real one
    if value.ndim == 1:
        value = value.reshape((1, -1))
    elif are_columns:
        value = value.T
    matrix = value.tocsr()
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return _Rows(matrix, False, np.asarray(matrix.indptr, np.int64))


def _check_shapes(sides: dict[str, _Rows]) -> int:
    (first, p), *others = sides.items()
    bins = int(p.matrix.shape[1])
    for name, side in others:
        if side.matrix.shape[1] != bins:
            raise ValueError(f"{name} has {side.matrix.shape[1]} bins, {first} has {bins}; numbers of bins must agree")
        if side.count != p.count and 1 not in (side.count, p.count):
            raise ValueError(f"batch shapes can't be broadcast: {first} ({p.count},), {name} ({side.count},)")
    return bins


def _raise_for_invalid(name: str, side: _Rows, bins: int, question: Question, precision: np.dtype[Any]) -> None:
    # A histogram is invalid if it can't be compared with itself.
    if side.is_dense:
        bad = ~(side.values >= 0) | ~np.isfinite(side.values)
        is_invalid = bad.any(1) | (question.normalize & ~side.values.any(1))
    else:
        is_invalid = np.isnan(SparseBatch([side, side], bins).run(question, precision, None, None)[0])
    if is_invalid.any():
        first = np.flatnonzero(is_invalid)[:1]
        row = side.values[first[0]] if side.is_dense else side.matrix[first].toarray()[0]
        shape = (side.count,) if side.count > 1 else ()
        raise ValueError(_check.describe_invalid(name, row, is_invalid.reshape(shape), False))
