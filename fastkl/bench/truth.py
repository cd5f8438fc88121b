"""How far an answer is from the truth: the divergences of a sample of rows, in extended precision."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fastkl.bench.case import Case

_Array = npt.NDArray[Any]
_Real = np.longdouble

ALPHA = 0.7  # of the divergences that have an order

# Bins whose exact divergence is worth computing per case, but never less than one row.
_SAMPLE = 1 << 14
_BLOCK = 1 << 20
_SPARSE_ROWS = 20


class Truth:
    """The divergences of a sample of a case's rows, in extended precision where this machine has it."""

    def __init__(self, case: "Case") -> None:
        self._rows: npt.NDArray[np.intp] | None = None
        p, q = case.p, case.q
        if case.is_sparse:
            self._rows = np.unique(np.linspace(0, p.shape[0] - 1, _SPARSE_ROWS).astype(np.intp))
            pairs = [(row, q) for row in cast(Any, p)[self._rows].toarray()]
        elif q.ndim > 1:
            p, q = (np.moveaxis(array, case.axis, -1) if array.ndim > 1 else array for array in (p, q))
            rows, bins = q.shape
            self._rows = np.unique(np.linspace(0, rows - 1, max(1, _SAMPLE // bins)).astype(np.intp))
            pairs = [(p if p.ndim == 1 else p[row], q[row]) for row in self._rows]
        else:
            pairs = [(p, q)]
        self._values = np.array([extended_divergence(*pair, case) for pair in pairs])

    def error_of(self, result: Any) -> float | None:
        """The largest relative error of a result, inf if it is not finite where the truth is, or the reverse.

        None where there is no truth to compare with.
        """
        if not has_extended_precision():
            return None
        found = np.asarray(result)
        return largest_error(found[self._rows] if self._rows is not None else found.reshape(1), self._values)


def has_extended_precision() -> bool:
    """Whether this machine has more than double precision."""
    return bool(np.finfo(np.longdouble).eps < 1e-18)


def largest_error(found: _Array, true: _Array) -> float:
    """The largest relative error, inf where something is not finite where the truth is, or the reverse."""
    with np.errstate(invalid="ignore", divide="ignore"):  # inf - inf
        errors = np.where(found == true, 0, abs(found - true) / true)
    return float(errors.max()) if np.isfinite(errors).all() else math.inf


def extended_divergence(p: _Array, q: _Array, case: "Case") -> Any:
    """The divergence of two rows in extended precision."""
    # By blocks: a row of 10^8 bins must not take four times its own memory.
    blocks = [slice(start, start + _BLOCK) for start in range(0, q.size, _BLOCK)]
    if case.divergence == "logits":
        p, q = (np.exp(x - x.max()) for x in (p.astype(_Real), q.astype(_Real)))
    scale = case.normalize or case.divergence == "logits"
    p_total, q_total = (x.sum(dtype=_Real) if scale else _Real(1) for x in (p, q))
    terms, finish = _TERMS.get(case.divergence, _kl), _FINISH.get(case.divergence, _as_it_is)
    with np.errstate(divide="ignore", invalid="ignore"):
        return finish(sum(terms(p[block] / p_total, q[block] / q_total).sum() for block in blocks))


def _kl(x: _Array, y: _Array) -> Any:
    # y ((1 + t) log(1 + t) - t), x = (1 + t) y: by its series where t is small and the digits of the logarithm cancel.
    t = (x - y) / y
    series: Any = _Real(0)
    for k in range(12, 1, -1):
        series = _Real(1) / (k * (k - 1)) - t * series
    return np.where(abs(t) < 0.01, y * t * t * series, np.where(x > 0, x * np.log(x / y) - x, 0) + y)


def _js(x: _Array, y: _Array) -> Any:
    m = (x + y) / 2
    return (_kl(x, m) + _kl(y, m)) / 2


def _jeffreys(x: _Array, y: _Array) -> Any:
    return (x - y) * np.log(x / y)


def _alpha(x: _Array, y: _Array) -> Any:
    a = _Real(ALPHA)
    return (x**a * y ** (1 - a) - a * x - (1 - a) * y) / (a * (a - 1))


def _as_it_is(value: Any) -> Any:
    return value


def _renyi(value: Any) -> Any:
    a = _Real(ALPHA)
    return np.log1p(a * (a - 1) * value) / (a - 1)


_TERMS: dict[str, Callable[[_Array, _Array], Any]] = {
    "js": _js,
    "jeffreys": _jeffreys,
    "alpha": _alpha,
    "renyi": _alpha,
}
_FINISH: dict[str, Callable[[Any], Any]] = {"renyi": _renyi}
