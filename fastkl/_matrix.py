"""The histograms of one argument as the rows of a matrix, dense or sparse, read block by block."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl._check import describe_invalid
from fastkl._engine import Question, run
from fastkl._mapped import is_mapped, let_go
from fastkl._operands import as_array, batch_of
from fastkl._sparse import check_indices, has_sparse, in_order, is_movable
from fastkl.containers import open_containers

_Array = npt.NDArray[Any]
_DOUBLE = np.dtype(np.float64)
_DENSE = 1 << 16  # bins of sparse rows that are made dense together
_HUGE = 1e290
_MAPPED = 1 << 22  # bins of a mapped file whose pages are let go together


class Matrix:
    """Histograms as rows, of any type and layout; dense copies are made of blocks alone."""

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.is_sparse = has_sparse([value])
        if self.is_sparse:
            as_array(np.zeros(1, value.dtype), name)  # raises unless its type is a real one
        if value.ndim != 2:
            hint = f"; `{name}[None, :]` makes one row of it" if value.ndim == 1 and not self.is_sparse else ""
            raise ValueError(f"{name} has {value.ndim} dimensions; it must have two, a histogram a row{hint}")
        if self.is_sparse:
            if value.format != "csr" or not value.has_canonical_format or not is_movable(value.dtype):
                value = in_order(value)
            check_indices(name, value.indices, value.indptr, value.shape[1])
        self.values = value
        self.count, self.bins = value.shape
        self.dtype: np.dtype[Any] = value.dtype
        self.is_mapped = not self.is_sparse and is_mapped(value)

    def rows(self, start: int, stop: int) -> _Array:
        """Some rows as they are."""
        return self._dense(self.values[start:stop])

    def take(self, index: npt.NDArray[np.intp]) -> _Array:
        """A copy of the rows with these numbers."""
        return self._dense(self.values[index])

    def _dense(self, rows: Any) -> _Array:
        dense: _Array = rows.toarray() if self.is_sparse else rows
        return dense

    def doubles(self, start: int, stop: int, pseudocount: float) -> npt.NDArray[np.float64]:
        """Some rows in contiguous double precision, the pseudo-count added."""
        rows = np.ascontiguousarray(self.rows(start, stop), np.float64)
        return rows + pseudocount if pseudocount else rows

    def moderate(self, start: int, stop: int, pseudocount: float) -> npt.NDArray[np.float64]:
        """The same for those who want shares: rows whose totals would overflow are scaled down by a power of two."""
        rows = self.doubles(start, stop, pseudocount)
        with np.errstate(over="ignore", invalid="ignore"):
            if not rows.sum() < np.inf:
                rows = rows * np.where(rows.max(axis=1, initial=0.0) > _HUGE, 2.0**-64, 1.0)[:, None]
        return rows

    def let_go(self, start: int, stop: int) -> None:
        """Say that some rows have been read: those of a mapped file need not stay in memory."""
        if self.is_mapped:
            let_go(self.values[start:stop])

    def spread(self, pseudocount: float, normalize: bool, threads: int) -> npt.NDArray[np.float64]:
        """The divergence of each row from the uniform one, NaN for rows that are no histograms."""
        spread = np.empty(self.count)
        names, uniform = [self.name, "uniform"], np.ones(self.bins)
        together = _DENSE if self.is_sparse else _MAPPED if self.is_mapped else max(self.count * self.bins, 1)
        step = max(1, together // max(self.bins, 1))
        for start in range(0, self.count, step):
            part = slice(start, min(start + step, self.count))
            batch = batch_of(names, [self.rows(part.start, part.stop), uniform])
            question = Question(kernels.KL(), True, pseudocount, 1.0)
            found, has_invalid = run(batch, question, _DOUBLE, threads)
            if has_invalid and not normalize:  # rows of total zero are histograms then
                as_they_are, _ = run(batch, question._replace(normalize=False), _DOUBLE, threads)
                found[np.isnan(found) & ~np.isnan(as_they_are)] = 0.0
            spread[part] = found
            self.let_go(part.start, part.stop)
        return spread

    def describe_invalid(self, is_invalid: npt.NDArray[np.bool_]) -> str:
        """What is wrong with the first of the rows that are no histograms."""
        first = int(np.argmax(is_invalid))
        return describe_invalid(self.name, self.rows(first, first + 1)[0], is_invalid, False)


def open_matrices(x: Any, y: Any) -> tuple[Matrix, Matrix]:
    """The arguments as matrices, from whatever container; the same one where y is None."""
    if y is None:
        left = right = _open({"x": x})[0]
    elif has_sparse([x, y]) or any(hasattr(value, "dims") for value in (x, y)):
        left, right = _open({"x": x})[0], _open({"y": y})[0]
    else:
        left, right = _open({"x": x, "y": y})
    if left.bins != right.bins:
        raise ValueError(f"y has {right.bins} bins, x has {left.bins}; numbers of bins must agree")
    return left, right


def _open(given: dict[str, Any]) -> list[Matrix]:
    is_sparse = has_sparse(list(given.values()))
    arrays = list(given.values()) if is_sparse else open_containers(given, -1, None).arrays
    return [Matrix(name, array) for name, array in zip(given, arrays, strict=True)]
