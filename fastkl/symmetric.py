"""Divergences that do not ask which histogram comes first: Jensen-Shannon and Jeffreys."""

import math
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl._check import check_base, check_fraction
from fastkl._compare import OnInvalid, Options, compare, options_of
from fastkl._zero_policies import Pseudocount
from fastkl.kernels import JS, Jeffreys, WeightedJS

_Array = npt.NDArray[Any]
_JS, _JEFFREYS = JS(), Jeffreys()


def js_divergence(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    *,
    p_weight: float = 0.5,
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
    r"""Jensen-Shannon divergence between each histogram of ``p`` and that of ``q``.

    .. math:: J(P, Q) = w D(P \| M) + (1 - w) D(Q \| M), \qquad M = w P + (1 - w) Q

    of the normalised histograms; with ``normalize=False`` of p and q as they are.

    The other parameters, the errors and the layout of the result are those of `kl_divergence`.

    Parameters
    ----------
    p, q : array_like of real numbers
        Batches of histograms, as for `kl_divergence`.
    p_weight : float
        The weight w of p in the mixture, between 0 and 1, and at least 1e-30: a smaller one is refused. Default: 1/2,
        which makes the divergence symmetric: exchanging p and q changes no bit.

    Returns
    -------
    float or ndarray
        The divergences, exactly 0 for equal rows, never NaN for valid ones. Normalised ones are at most the
        entropy of (w, 1 - w), log 2 by default. Histograms that agree to 12 digits lose none.

    References
    ----------
    J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37 (1991),
    145-151.

    Examples
    --------
    >>> import fastkl
    >>> fastkl.js_divergence([1, 0], [0, 1], base=2)
    np.float64(1.0)
    >>> fastkl.js_divergence([1, 0], [0, 1], base=2, p_weight=0.25).round(12)
    np.float64(0.811278124459)
    """
    options = options_of((axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads, dim))
    return _jensen_shannon(p, q, p_weight, options, distance=False)


def js_distance(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    *,
    p_weight: float = 0.5,
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
    r"""Jensen-Shannon distance between each histogram of ``p`` and that of ``q``: a metric.

    .. math:: d(P, Q) = \sqrt{J(P, Q)}

    The square root of `js_divergence`, whose parameters, errors and conventions it has; but a ``base`` below 1, which
    would make the divergence negative, is refused.

    Returns
    -------
    float or ndarray
        The distances, between 0 and sqrt(log 2) for normalised histograms.

    References
    ----------
    D. M. Endres and J. E. Schindelin, A new metric for probability distributions, IEEE Transactions on Information
    Theory 49 (2003), 1858-1860.

    Examples
    --------
    >>> import fastkl
    >>> fastkl.js_distance([1, 0], [0, 1], base=2)
    np.float64(1.0)
    """
    options = options_of((axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads, dim))
    return _jensen_shannon(p, q, p_weight, options, distance=True)


def jeffreys_divergence(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
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
    r"""Jeffreys divergence between each histogram of ``p`` and that of ``q``: the population stability index.

    .. math:: J(P, Q) = D(P \| Q) + D(Q \| P) = \sum_i w_i (P_i - Q_i) \log \frac{P_i}{Q_i}

    of the normalised histograms; with ``normalize=False`` of p and q as they are.

    The parameters, errors and the layout of the result are those of `kl_divergence`. `psi` is the same function.

    Returns
    -------
    float or ndarray
        The divergences, >= 0, with the same bits when p and q are exchanged. inf where one of p and q is 0 and the
        other is not.

    References
    ----------
    H. Jeffreys, An invariant form for the prior probability in estimation problems, Proceedings of the Royal Society
    A 186 (1946), 453-461.

    Examples
    --------
    >>> import fastkl
    >>> fastkl.jeffreys_divergence([1, 3], [3, 1], base=3).round(12)
    np.float64(1.0)
    """
    options = options_of((axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads, dim))
    return compare(_JEFFREYS, {"p": p, "q": q}, options)


psi = jeffreys_divergence


def _jensen_shannon(p: Any, q: Any, p_weight: float, options: Options, distance: bool) -> Any:
    w = check_fraction("p_weight", p_weight)
    factor = check_base(options.base)
    if distance and factor < 0:
        raise ValueError(f"base must be above 1, or None for nats, not {options.base!r}: a distance is not negative")
    bound = math.inf
    if options.normalize and factor > 0:
        bound = factor * (math.log(2.0) if w == 0.5 else -w * math.log(w) - (1 - w) * math.log1p(-w))

    return compare(_JS if w == 0.5 else WeightedJS(w), {"p": p, "q": q}, options, partial(_bounded, bound, distance))


def _bounded(bound: float, distance: bool, values: Any) -> Any:
    out = values if isinstance(values, np.ndarray) else None  # fresh memory would take longer than the work
    values = np.minimum(values, bound, out=out)
    return np.sqrt(values, out=out) if distance else values
