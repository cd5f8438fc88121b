"""What a contestant is asked to compute, and how far its answer is from the truth."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]

# Bins whose exact divergence is worth computing per case, but never less than one row.
_SAMPLE = 1 << 14
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """The divergences KL(p || q) along ``axis``, normalised or not."""

    p: _Array
    q: _Array
    threads: int
    normalize: bool
    axis: int = -1
    has_zeros: bool = False

    @property
    def items(self) -> int:
        """Bins that are compared, those of a broadcast p counted each time."""
        return int(np.broadcast(self.p, self.q).size)

    def head(self, items: int) -> "Case":
        """The first rows, of so many bins together; of a longer row the first bins, scaled to its total."""
        if self.items <= items:
            return self
        return replace(self, p=self._head_of(self.p, items), q=self._head_of(self.q, items))

    def _head_of(self, array: _Array, items: int) -> _Array:
        rows = np.moveaxis(array, self.axis, -1)
        bins = rows.shape[-1]
        if rows.ndim > 1:
            rows = rows[: max(1, items // bins)]
        if bins > items:
            part = rows[..., :items]
            # Libraries that do not normalise rely on rows that sum to one.
            rows = part * (rows.sum(axis=-1, keepdims=True) / part.sum(axis=-1, keepdims=True))
        return np.moveaxis(rows, -1, self.axis)


class Truth:
    """The divergences of a sample of a case's rows, in extended precision where this machine has it."""

    def __init__(self, case: Case) -> None:
        self._rows: npt.NDArray[np.intp] | None = None
        p, q = case.p, case.q
        if q.ndim > 1:
            p, q = (np.moveaxis(array, case.axis, -1) if array.ndim > 1 else array for array in (p, q))
            rows, bins = q.shape
            self._rows = np.unique(np.linspace(0, rows - 1, max(1, _SAMPLE // bins)).astype(np.intp))
            pairs = [(p if p.ndim == 1 else p[row], q[row]) for row in self._rows]
        else:
            pairs = [(p, q)]
        self._is_known = bool(np.finfo(np.longdouble).eps < 1e-18)
        self._values = np.array([_divergence(*pair, case.normalize) for pair in pairs]) if self._is_known else None

    def error_of(self, result: Any) -> float | None:
        """The largest relative error of a result, inf if it is not finite where the truth is, or the reverse.

        None where there is no truth to compare with.
        """
        if self._values is None:
            return None
        found = np.asarray(result)
        found = found[self._rows] if self._rows is not None else found.reshape(1)
        with np.errstate(invalid="ignore"):  # inf - inf
            errors = np.where(found == self._values, 0, abs(found - self._values) / self._values)
        return float(errors.max()) if np.isfinite(errors).all() else math.inf


def _divergence(p: _Array, q: _Array, normalize: bool) -> np.longdouble:
    # By blocks: a row of 10^8 bins must not take four times its own memory.
    blocks = [slice(start, start + _BLOCK) for start in range(0, q.size, _BLOCK)]
    p_total = p.sum(dtype=np.longdouble) if normalize else np.longdouble(1)
    q_total = q.sum(dtype=np.longdouble) if normalize else np.longdouble(1)
    total = np.longdouble(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        for block in blocks:
            x, y = p[block] / p_total, q[block] / q_total
            terms = np.where(x > 0, x * np.log(x / y) - x, 0) + y
            total += terms.sum()
    return total
