"""Rows of `scipy.sparse`: what `_operands` and `_engine` do for dense ones."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import _check
from fastkl._engine import Answers, Question, run, workers_for
from fastkl._operands import as_array, batch_of, precision_of
from fastkl._threads import for_each_chunk
from fastkl.kernels import HUGE_32, CrossEntropy, converter, sparse_rows

_Array = npt.NDArray[Any]

# Stored bins in a chunk, and dense ones: about a millisecond of work.
_CHUNK = 1 << 18


def has_sparse(values: list[Any]) -> bool:
    """True where some histograms are those of scipy.sparse, which is imported then."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and any(sparse.issparse(value) for value in values)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Sparse rows, their indices sorted and without duplicates, or dense ones."""

    values: _Array  # what is stored; of dense rows all bins
    bins: int
    indices: _Array
    pointers: npt.NDArray[np.int64]
    is_one: bool  # one histogram, and not a batch of one

    @property
    def is_dense(self) -> bool:
        return self.values.ndim == 2

    @property
    def count(self) -> int:
        return len(self.values) if self.is_dense else len(self.pointers) - 1

    @property
    def most(self) -> int:
        """The most stored bins of a row."""
        return 0 if self.is_dense else int(np.diff(self.pointers).max(initial=0))

    @property
    def bins_in_a_row(self) -> float:
        """How many bins are read for each row, in the mean."""
        if self.is_dense:
            return float(self.bins) if self.count > 1 else 0.0
        return len(self.values) / max(self.count, 1)

    def side(self, precision: np.dtype[Any]) -> npt.NDArray[np.int64]:
        """The vector that describes these rows to the kernel; a single one is that of all."""
        values, indices, pointers = (
            array.__array_interface__["data"][0] for array in (self.values, self.indices, self.pointers)
        )
        dtype, steps = self.values.dtype, self.values.strides
        is_in_place = dtype == precision and self.values.flags.c_contiguous and not self.is_dense
        convert = 0 if is_in_place else converter(dtype, precision)
        row_step = steps[0] if self.is_dense else self.pointers.itemsize
        row_step = row_step if self.count > 1 else 0
        places = indices, self.indices.itemsize, pointers
        return np.array((values, convert, steps[-1], row_step, *places, self.is_dense), np.int64)

    def row(self, index: int) -> _Array:
        """One row with all its bins."""
        if self.is_dense:
            dense: _Array = self.values[index]
            return dense
        part = slice(self.pointers[index], self.pointers[index + 1])
        row = np.zeros(self.bins, self.values.dtype)
        row[self.indices[part]] = self.values[part]
        return row


@dataclass(frozen=True, slots=True)
class SparseBatch:
    """Rows of p and of q, one against one or one against many."""

    operands: list[_Rows]

    @property
    def bins(self) -> int:
        """Those of a row, stored or not."""
        return self.operands[0].bins

    @property
    def rows(self) -> int:
        """How many results there are."""
        counts = [side.count for side in self.operands]
        return max(counts) if all(counts) else 0

    def exchanged(self) -> "SparseBatch":
        """The same with p and q exchanged."""
        return replace(self, operands=self.operands[::-1])

    def histograms(self, index: int, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Those of p, or q, in some rows, dense."""
        side = self.operands[index]
        return np.array([side.row(row if side.count > 1 else 0) for row in rows], np.float64)

    def _is_spread(self, question: Question) -> bool:
        """True where pseudo-counts in bins that a side lacks can't be gathered into one bin."""
        c = question.pseudocount
        has_dense = any(side.is_dense for side in self.operands)
        return c > 0.0 and (has_dense or isinstance(question.kind, CrossEntropy) or not c * self.bins <= float(HUGE_32))

    def run(
        self,
        question: Question,
        precision: np.dtype[Any],
        threads: int | None,
        wanted: npt.NDArray[np.bool_] | None,
    ) -> Answers:
        """What `fastkl._engine.run` gives for dense rows."""
        o, p, q = question, *self.operands
        out = np.empty(self.rows)
        todo = np.ones(self.rows, np.uint8) if wanted is None else wanted.view(np.uint8)
        is_spread = self._is_spread(question)
        room = max(p.most + q.most + 1, self.bins if is_spread or p.is_dense or q.is_dense else 0)
        sides = p.side(precision), q.side(precision)
        per_row = self.bins if is_spread else p.bins_in_a_row + q.bins_in_a_row + 1
        # A dense row that meets all is read once in each chunk.
        chunk = max(1, int(max(_CHUNK, 4 * self.bins) / max(per_row, 1)))
        zero = precision.type(0)

        def fill(k: int) -> None:
            part = slice(k * chunk, min((k + 1) * chunk, self.rows))
            where = (*sides, self.bins, room, part.start, part.stop, o.normalize, o.pseudocount, is_spread, o.factor)
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
        raise ValueError(f"weights can't be given for sparse rows; {_instead_of_weights(question)}")
    if options.dim is not None:
        raise ValueError("dim is for xarray; sparse rows have an axis")
    given = {name: value if has_sparse([value]) else as_array(value, name) for name, value in named.items()}
    are_columns = _are_columns(given, _check.check_axis(options.axis))
    sides = {name: _open(name, value, are_columns) for name, value in given.items()}
    p, q = next(iter(sides.values())), list(sides.values())[-1]
    _check_shapes(sides)
    arrays = [side.values for side in sides.values()]
    result_dtype = dtype_of(arrays)
    precision = precision_of(arrays, result_dtype, question.fits_single)
    flat, found_invalid = answer(SparseBatch([p, q]), question, precision, options.threads)
    if options.on_invalid == "raise" and found_invalid:
        for name, side in sides.items():
            _raise_for_invalid(name, side, question, precision)
    return flat[0] if p.is_one and q.is_one else flat, result_dtype, -2 if are_columns else -1


def _instead_of_weights(question: Question) -> str:
    if isinstance(question.kind, CrossEntropy):
        return "pass dense arrays, which `.toarray()` makes: bins multiplied by them have another entropy"
    if question.pseudocount > 0.0:
        return "pass dense arrays, which `.toarray()` makes: the pseudocount is added before bins are weighted"
    return "multiply the bins of both by them, which gives the same divergence"


def _are_columns(given: dict[str, Any], axis: int) -> bool:
    """True where the bins lie along the first of two axes."""
    for name, value in given.items():
        if value.ndim > 2:
            raise ValueError(
                f"{name} has {value.ndim} dimensions; sparse rows, and what is beside them, have at most two"
            )
    ndim = max(value.ndim for value in given.values())
    _check.check_within(axis, ndim)
    return ndim == 2 and axis in (0, -2)


def _open(name: str, value: Any, are_columns: bool) -> _Rows:
    no_indices, is_one = np.zeros(0, np.int64), value.ndim == 1
    if isinstance(value, np.ndarray):
        array = value[None] if is_one else value.T if are_columns else value
        return _Rows(array, array.shape[1], no_indices, no_indices, is_one)
    as_array(np.zeros(1, value.dtype), name)  # raises unless its type is a real one
    matrix = value.reshape((1, -1)) if is_one else value.T if are_columns else value
    if matrix.format != "csr" or not matrix.has_canonical_format:
        matrix = in_order(matrix)
    indices, pointers = np.ascontiguousarray(matrix.indices), np.ascontiguousarray(matrix.indptr, np.int64)
    check_indices(name, indices, pointers, matrix.shape[1])
    return _Rows(matrix.data, matrix.shape[1], indices, pointers, is_one)


def in_order(matrix: Any) -> Any:
    """A copy in rows, with indices in order and none twice."""
    if not is_movable(matrix.dtype):
        native = matrix.dtype.newbyteorder("=")
        matrix = matrix.astype(np.float32 if native == np.float16 else native)
    matrix = matrix.tocsr(copy=True)
    matrix.sum_duplicates()
    return matrix


def is_movable(dtype: np.dtype[Any]) -> bool:
    """True for values that SciPy can move: not in half precision, nor in the other byte order."""
    return dtype.isnative and dtype != np.float16


def check_indices(name: str, indices: _Array, pointers: npt.NDArray[np.int64], bins: int) -> None:
    """Raise for indices beyond the bins, which SciPy does not look for."""
    filled = np.flatnonzero(pointers[:-1] < pointers[1:])
    wrong = (indices[pointers[filled]] < 0) | (indices[pointers[filled + 1] - 1] >= bins)
    if wrong.any():
        raise ValueError(f"{name} stores indices beyond its {bins} bins, first in row {filled[wrong][0]}")


def _check_shapes(sides: dict[str, _Rows]) -> None:
    (first, p), *others = sides.items()
    for name, side in others:
        if side.bins != p.bins:
            raise ValueError(f"{name} has {side.bins} bins, {first} has {p.bins}; numbers of bins must agree")
        if side.count != p.count and 1 not in (side.count, p.count):
            raise ValueError(f"batch shapes can't be broadcast: {first} ({p.count},), {name} ({side.count},)")


def _raise_for_invalid(name: str, side: _Rows, question: Question, precision: np.dtype[Any]) -> None:
    # A histogram is invalid if it can't be compared with itself.
    if side.is_dense:
        values, _ = run(batch_of([name, name], [side.values] * 2), question, precision, None)
    else:
        values, _ = SparseBatch([side, side]).run(question, precision, None, None)
    is_invalid = np.isnan(values).reshape(() if side.is_one else (side.count,))
    if is_invalid.any():
        row = side.row(int(np.argmax(is_invalid)))
        raise ValueError(_check.describe_invalid(name, row, is_invalid, False))
