"""Divergences made of powers of the two histograms: of Rényi, and the alpha-divergences of Amari."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._check import check_order
from fastkl._compare import OnInvalid, compare, options_of
from fastkl._engine import Answers, Question, run
from fastkl._operands import Batch
from fastkl._threads import check_wanted
from fastkl._zero_policies import Pseudocount
from fastkl.kernels import KL, Absent, Alpha, Power

_Array = npt.NDArray[Any]

# An order nearer to 0, a subnormal number, has no reciprocal and counts as 0.
_ZERO = float(np.finfo(float).tiny)
_BLOCK = 1 << 18  # bins whose logarithms are taken together


def alpha_divergence(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    alpha: float,
    *,
    axis: int = -1,
    dim: str | None = None,
    base: float | None = None,
    normalize: bool = True,
    weights: npt.ArrayLike | None = None,
    pseudocount: Pseudocount = 0.0,
    on_invalid: OnInvalid = "raise",
    keepdims: bool = False,
    out: _Array | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
) -> Any:
    r"""Alpha-divergence between each histogram of ``p`` and that of ``q``, in the parametrisation of Minka.

    .. math:: D_\alpha(P \| Q) = \frac{\sum_i w_i P_i^\alpha Q_i^{1 - \alpha} - 1}{\alpha (\alpha - 1)}

    of the normalised histograms; with ``normalize=False`` the generalised divergence
    :math:`\sum_i w_i (p_i^\alpha q_i^{1 - \alpha} - \alpha p_i - (1 - \alpha) q_i) / (\alpha (\alpha - 1))`.
    Order 1 is the forward divergence D(P || Q), order 0 the reverse D(Q || P), order 1/2 is 4 times the squared
    Hellinger distance :math:`1 - \sum \sqrt{P Q}`, order 2 half of Pearson's chi-square.

    The other parameters, the errors and the layout of the result are those of `kl_divergence`.

    Parameters
    ----------
    p, q : array_like of real numbers
        Batches of histograms, as for `kl_divergence`.
    alpha : float
        The order, any finite number.

    Returns
    -------
    float or ndarray
        The divergences, >= 0, exactly 0 for equal rows, smooth in alpha. inf where some q is 0 and p is not if
        alpha >= 1, and where some p is 0 and q is not if alpha <= 0.

    Raises
    ------
    ValueError
        An order that is no finite number, and what `kl_divergence` raises.

    References
    ----------
    T. Minka, Divergence measures and message passing, Microsoft Research technical report MSR-TR-2005-173, 2005.

    S. Amari, Differential-Geometrical Methods in Statistics, Springer 1985.

    Examples
    --------
    >>> import fastkl
    >>> fastkl.alpha_divergence([1, 3], [3, 1], 2).round(12)
    np.float64(0.666666666667)
    >>> fastkl.alpha_divergence([1, 3], [3, 1], 1) == fastkl.kl_divergence([1, 3], [3, 1])
    np.True_
    """
    options = options_of((axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads, dim))
    order = check_order(alpha, may_be_infinite=False)
    kind, answer = alpha_of(order)
    return compare(kind, {"p": p, "q": q}, options, answer=answer)


def renyi_divergence(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    alpha: float,
    *,
    axis: int = -1,
    dim: str | None = None,
    base: float | None = None,
    normalize: bool = True,
    weights: npt.ArrayLike | None = None,
    pseudocount: Pseudocount = 0.0,
    on_invalid: OnInvalid = "raise",
    keepdims: bool = False,
    out: _Array | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
) -> Any:
    r"""Rényi divergence of order ``alpha`` of each histogram of ``p`` from that of ``q``.

    .. math:: R_\alpha(P \| Q) = \frac{1}{\alpha - 1} \log \sum_i w_i P_i^\alpha Q_i^{1 - \alpha}

    of the normalised histograms. Its limits are orders of their own: 0 is :math:`-\log Q(P > 0)`, 1 is D(P || Q), inf
    is :math:`\log \max_i P_i / Q_i` over the bins where P and the weight are not 0.

    With ``normalize=False``, meant for histograms that sum to one already, it is
    :math:`\log(1 + \alpha (\alpha - 1) D_\alpha) / (\alpha - 1)` of the generalised `alpha_divergence`: the same for
    those, >= 0 for others too. Orders 0, inf and -inf take histograms as they are.

    The other parameters, the errors and the layout of the result are those of `kl_divergence`.

    Parameters
    ----------
    p, q : array_like of real numbers
        Batches of histograms, as for `kl_divergence`.
    alpha : float
        The order, any number or inf. Negative orders give values <= 0: R(P || Q) of order alpha is
        alpha / (1 - alpha) times R(Q || P) of order 1 - alpha.

    Returns
    -------
    float or ndarray
        The divergences, growing with alpha, exactly 0 for equal rows. For alpha >= 1 inf where some q is 0 and p
        is not; for smaller ones inf where no bin has both.

    Raises
    ------
    ValueError
        An order that is NaN or no number, and what `kl_divergence` raises.

    References
    ----------
    A. Rényi, On measures of entropy and information, Proceedings of the 4th Berkeley Symposium 1 (1961), 547-561.

    T. van Erven and P. Harremoës, Rényi divergence and Kullback-Leibler divergence, IEEE Transactions on Information
    Theory 60 (2014), 3797-3820.

    Examples
    --------
    >>> import fastkl
    >>> fastkl.renyi_divergence([1, 3], [3, 1], 2, base=3).round(12)
    np.float64(0.771243749161)
    >>> fastkl.renyi_divergence([1, 3], [3, 1], float("inf"), base=3).round(12)
    np.float64(1.0)
    """
    options = options_of((axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads, dim))
    kind, answer = renyi_of(check_order(alpha, may_be_infinite=True))
    return compare(kind, {"p": p, "q": q}, options, answer=answer)


def renyi_of(order: float) -> tuple[Any, Callable[..., Answers] | None]:
    """The kind of term of the Rényi divergence of that order, and what makes divergences if one run won't."""
    if order == 1.0:
        return KL(), None
    if math.isinf(order):
        return KL(), partial(_extreme_ratio, order)
    if counts_as_zero(order):
        return Absent(), _order_zero
    return alpha_of(order)[0], partial(_renyi, order)


def alpha_of(order: float) -> tuple[Any, Callable[..., Answers] | None]:
    """The kind of term of the alpha-divergence of that order, and what makes divergences if one run won't."""
    if order == 1.0:
        return KL(), None
    if counts_as_zero(order):
        return KL(), _reverse
    # Differences from 1 and 0 are exact.
    excess, is_exchanged = _power_of(order)
    return Alpha(excess, 1.0 / excess, 1.0 / (1.0 + excess), is_exchanged), None


def counts_as_zero(order: float) -> bool:
    """True for orders that have no reciprocal."""
    return abs(order) < _ZERO


def _reverse(batch: Batch, question: Question, precision: np.dtype[Any], threads: int | None) -> Answers:
    return run(batch.exchanged(), question, precision, threads)


def _power_of(order: float) -> Power:
    return Power(-order, True) if order < 0.5 else Power(order - 1.0, False)


def _renyi(order: float, batch: Batch, question: Question, precision: np.dtype[Any], threads: int | None) -> Answers:
    factor, question = question.factor, question._replace(factor=1.0)
    alpha, found_invalid = run(batch, question, precision, threads)
    # The sum of powers, less 1: no digit is lost where it is near 1. In place: fresh memory takes longer than the logs.
    with np.errstate(over="ignore", divide="ignore"):
        excess = (order - 1.0) * alpha
        excess *= order
        flat = np.maximum(excess, -1.0, out=alpha)
        np.log1p(flat, out=flat)
        flat /= order - 1.0
    is_small, is_beyond = excess < -0.5, excess == np.inf
    if is_small.any():
        powers, _ = run(batch, question._replace(kind=_power_of(order)), precision, threads, is_small)
        if not question.normalize:  # where totals are not one that sum is another
            is_small &= abs(powers - (1.0 + excess)) < 1e-6
        with np.errstate(divide="ignore"):
            flat[is_small] = np.log(powers[is_small]) / (order - 1.0)
    if is_beyond.any():
        for rows, p, q, w in _blocks(batch, question, np.flatnonzero(is_beyond)):
            flat[rows] = _renyi_of_logs(order, p, q, w)
    if question.normalize and order > 0:  # rounded, rows that are nearly equal are a little below
        np.maximum(flat, 0.0, out=flat)
    flat *= factor
    return flat, found_invalid


def _order_zero(batch: Batch, question: Question, precision: np.dtype[Any], threads: int | None) -> Answers:
    factor, question = question.factor, question._replace(factor=1.0)
    absent, found_invalid = run(batch, question, precision, threads)
    is_most = absent > 0.5
    with np.errstate(divide="ignore"):
        flat = -np.log1p(-np.minimum(absent, 1.0))
        if is_most.any():
            common, _ = run(batch, question._replace(kind=Power(0.0, True)), precision, threads, is_most)
            flat[is_most] = -np.log(common[is_most])
    return factor * flat, found_invalid


def _extreme_ratio(
    order: float, batch: Batch, question: Question, precision: np.dtype[Any], threads: int | None
) -> Answers:
    # log max P / Q, or log min P / Q for the order -inf.
    kl, found_invalid = run(batch, question._replace(factor=1.0), precision, threads)
    flat = np.where(np.isnan(kl), np.nan, 0.0)
    for rows, p, q, w in _blocks(batch, question, np.flatnonzero(kl > 0)):
        logs = _log_ratios(p, q)
        counts = (w > 0) & ~np.isnan(logs)
        if order > 0:
            flat[rows] = logs.max(1, where=counts, initial=-np.inf)
        else:
            flat[rows] = logs.min(1, where=counts, initial=np.inf)
    return question.factor * flat, found_invalid


# Histograms scaled to one, and their logarithms, which reach further than doubles do.
_Logs = tuple[_Array, _Array]


def _blocks(
    batch: Batch, question: Question, rows: npt.NDArray[np.intp]
) -> Iterator[tuple[npt.NDArray[np.intp], _Logs, _Logs, _Array]]:
    together = max(1, _BLOCK // max(batch.bins, 1))
    for start in range(0, len(rows), together):
        check_wanted()
        part = rows[start : start + together]
        p, q, *weights = (batch.histograms(index, part) for index in range(len(batch.operands)))
        w = weights[0] if weights else np.ones((1, batch.bins))
        yield part, _with_logs(p, w, question), _with_logs(q, w, question), w


def _with_logs(x: _Array, w: _Array, question: Question) -> _Logs:
    x = x + question.pseudocount
    with np.errstate(divide="ignore"):
        logs = np.log(x)
    if question.normalize:
        most = x.max(1, keepdims=True)
        x = x / most
        total = (w * x).sum(1, keepdims=True)
        x = x / total
        logs -= np.log(most) + np.log(total)
    return x, logs


def _log_ratios(p: _Logs, q: _Logs) -> _Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = p[1] - q[1]
        # Of near operands the difference is exact, and no subnormals.
        is_near = (abs(logs) < 0.5) & (q[0] > 2.0**-900)
        logs[is_near] = np.log1p((p[0] - q[0]) / q[0])[is_near]
    return logs


def _renyi_of_logs(order: float, p: _Logs, q: _Logs, w: _Array) -> _Array:
    """The divergence of an order other than 1, where powers are beyond the doubles: orders of any size have room."""
    scale, sign = abs(order - 1.0), 1.0 if order > 1.0 else -1.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # log(w p^order q^(1 - order)) / scale, from the operand whose power is not the one that grows where it is 0.
        ratios = _log_ratios(p, q)
        parts = sign * ratios + p[1] / scale if order >= 0.5 else order / scale * ratios + q[1] / scale
        logs = parts + np.log(w) / scale
        logs[np.isnan(logs)] = -np.inf  # a bin that is empty on both sides
        most = logs.max(1)
        total = np.exp(np.where(np.isinf(most[:, None]), 0.0, scale * (logs - most[:, None]))).sum(1)
        values: _Array = sign * (most + np.log(total) / scale)
    return values
