"""The divergences of one row, and the terms of one bin, for other people's Numba code.

They are compiled functions that functions under `numba.njit` call, in ``prange`` loops too, and that take no part in
threads themselves::

    @numba.njit(parallel=True)
    def to_the_first(rows):
        out = np.empty(len(rows))
        for i in numba.prange(len(rows)):
            out[i] = fastkl.jit.kl_divergence(rows[0], rows[i])
        return out

A row is a 1-D array of float64, float32, integers or bools; anything else is a TypeError when the caller is compiled.
The result is that of the function of the same name in `fastkl`, bit for bit: float32 if both rows are, else a double.
Rows of float64 or float32 that are contiguous are read in place, others are copied first.

There are no exceptions in here: the result is NaN where `fastkl` would raise, for a row with a negative, NaN or
infinite bin, for one with a total of zero where it is normalised, and for rows that differ in length.

Nothing is compiled until the first call, or until a function that calls is compiled; that takes a few seconds and is
kept on disk. Callers may be cached too (``cache=True``): their machine code contains fastkl's, so after an update of
fastkl delete their caches, which Numba does not notice. ``fastmath=True`` at the caller does not reach what it calls.
But it lets the compiler assume that the caller's own arithmetic meets neither NaN nor infinity: what such a function
does with an infinite or invalid result is open. ``fastmath={"reassoc", "nsz", "contract", "arcp", "afn"}`` is safe.
"""

import math
from typing import Any

import numpy as np

from fastkl.kernels import JS, KL, CrossEntropy, Jeffreys, entry, one_bin, one_relative_entropy, one_row, rounded

__all__ = [
    "cross_entropy",
    "cross_entropy_term",
    "entropy",
    "jeffreys_divergence",
    "jeffreys_term",
    "js_distance",
    "js_divergence",
    "js_term",
    "kl_divergence",
    "kl_term",
    "psi",
    "rel_entr",
]

_KL, _CROSS_ENTROPY, _JS, _JEFFREYS = KL(), CrossEntropy(), JS(), Jeffreys()
_LOG2 = math.log(2.0)


@entry
def kl_divergence(p: Any, q: Any, normalize: Any = True) -> Any:
    r"""Kullback-Leibler divergence of a row from another, `fastkl.kl_divergence` in compiled code.

    .. math:: D(P \| Q) = \sum_i P_i \log \frac{P_i}{Q_i}, \qquad P = p / \sum_i p_i, \quad Q = q / \sum_i q_i

    Parameters
    ----------
    p, q : 1-D arrays of real numbers
        Histograms with as many bins.
    normalize : bool
        Scale both to a total of one first (default). Otherwise it is the generalised divergence
        :math:`\sum_i p_i \log (p_i / q_i) - p_i + q_i`.

    Returns
    -------
    float
        The divergence in nats, >= 0; inf where some q is 0 and p is not; NaN if a row is invalid.

    References
    ----------
    S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86.

    Examples
    --------
    >>> import numba, numpy as np, fastkl.jit
    >>> @numba.njit
    ... def nearest(row, others):
    ...     best, least = -1, np.inf
    ...     for i in range(len(others)):
    ...         divergence = fastkl.jit.kl_divergence(row, others[i])
    ...         if divergence < least:
    ...             best, least = i, divergence
    ...     return best, least
    >>> nearest(np.array([1.0, 2.0, 1.0]), np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 2.0]]))
    (1, 0.04985675617422...)
    """
    return rounded(one_row(_KL, p, q, bool(normalize)), p, q)


@entry
def cross_entropy(p: Any, q: Any, normalize: Any = True) -> Any:
    r"""Cross-entropy of two rows, `fastkl.cross_entropy` in compiled code.

    .. math:: H(P, Q) = -\sum_i P_i \log Q_i

    Parameters
    ----------
    p, q : 1-D arrays of real numbers
        Histograms with as many bins.
    normalize : bool
        Scale both to a total of one first (default).

    Returns
    -------
    float
        The cross-entropy in nats; inf where some q is 0 and p is not; NaN if a row is invalid.

    Examples
    --------
    >>> import numpy as np, fastkl.jit
    >>> round(fastkl.jit.cross_entropy(np.array([1.0, 1.0]), np.array([1.0, 3.0])), 12)
    0.836988216786
    """
    return rounded(one_row(_CROSS_ENTROPY, p, q, bool(normalize)), p, q)


@entry
def entropy(p: Any, normalize: Any = True) -> Any:
    r"""Shannon entropy of a row, `fastkl.entropy` in compiled code.

    .. math:: H(P) = -\sum_i P_i \log P_i

    Parameters
    ----------
    p : 1-D array of real numbers
        A histogram.
    normalize : bool
        Scale it to a total of one first (default).

    Returns
    -------
    float
        The entropy in nats; NaN if the row is invalid.

    Examples
    --------
    >>> import numpy as np, fastkl.jit
    >>> round(fastkl.jit.entropy(np.array([1.0, 1.0, 0.0])), 12)
    0.69314718056
    """
    return rounded(one_row(_CROSS_ENTROPY, p, p, bool(normalize)), p, p)


@entry
def js_divergence(p: Any, q: Any, normalize: Any = True) -> Any:
    r"""Jensen-Shannon divergence between two rows, `fastkl.js_divergence` in compiled code.

    .. math:: J(P, Q) = \tfrac12 D(P \| M) + \tfrac12 D(Q \| M), \qquad M = \tfrac12 (P + Q)

    Parameters
    ----------
    p, q : 1-D arrays of real numbers
        Histograms with as many bins.
    normalize : bool
        Scale both to a total of one first (default).

    Returns
    -------
    float
        The divergence in nats, at most log 2 for normalised rows; NaN if a row is invalid.

    References
    ----------
    J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37 (1991),
    145-151.

    Examples
    --------
    >>> import numpy as np, fastkl.jit
    >>> round(fastkl.jit.js_divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0])), 12)
    0.69314718056
    """
    most = _LOG2 if normalize else np.inf
    return rounded(np.minimum(one_row(_JS, p, q, bool(normalize)), most), p, q)


@entry
def js_distance(p: Any, q: Any, normalize: Any = True) -> Any:
    r"""Jensen-Shannon distance between two rows, a metric: `fastkl.js_distance` in compiled code.

    .. math:: d(P, Q) = \sqrt{J(P, Q)}

    Parameters
    ----------
    p, q : 1-D arrays of real numbers
        Histograms with as many bins.
    normalize : bool
        Scale both to a total of one first (default).

    Returns
    -------
    float
        The square root of `js_divergence`.

    References
    ----------
    D. M. Endres and J. E. Schindelin, A new metric for probability distributions, IEEE Transactions on Information
    Theory 49 (2003), 1858-1860.

    Examples
    --------
    As the metric of an index of nearest neighbours, `pynndescent.NNDescent(data, metric=fastkl.jit.js_distance)`.

    >>> import numpy as np, fastkl.jit
    >>> round(fastkl.jit.js_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])), 12)
    0.832554611158
    """
    most = _LOG2 if normalize else np.inf
    return rounded(math.sqrt(np.minimum(one_row(_JS, p, q, bool(normalize)), most)), p, q)


@entry
def jeffreys_divergence(p: Any, q: Any, normalize: Any = True) -> Any:
    r"""Jeffreys divergence between two rows, `fastkl.jeffreys_divergence` in compiled code. `psi` is the same.

    .. math:: J(P, Q) = \sum_i (P_i - Q_i) \log \frac{P_i}{Q_i}

    Parameters
    ----------
    p, q : 1-D arrays of real numbers
        Histograms with as many bins.
    normalize : bool
        Scale both to a total of one first (default).

    Returns
    -------
    float
        The divergence in nats, >= 0; inf where one of p and q is 0 and the other is not; NaN if a row is invalid.

    References
    ----------
    H. Jeffreys, An invariant form for the prior probability in estimation problems, Proceedings of the Royal Society
    A 186 (1946), 453-461.

    Examples
    --------
    >>> import numpy as np, fastkl.jit
    >>> round(fastkl.jit.jeffreys_divergence(np.array([1.0, 3.0]), np.array([3.0, 1.0])), 12)
    1.098612288668
    """
    return rounded(one_row(_JEFFREYS, p, q, bool(normalize)), p, q)


psi = jeffreys_divergence


@entry
def kl_term(x: Any, y: Any) -> Any:
    """x log(x / y) - x + y, one bin of the generalised Kullback-Leibler divergence.

    Parameters
    ----------
    x, y : real numbers
        Computed with as doubles of any magnitude, zeros and subnormal ones too.

    Returns
    -------
    float
        The term, >= 0, to all digits also where x and y agree to many: y for x = 0, inf for y = 0 < x, NaN if one of
        them is negative, NaN or infinite.

    Examples
    --------
    >>> import fastkl.jit
    >>> fastkl.jit.kl_term(1.0, 1.0 + 1e-12) * 2e24  # (y - x)^2 / 2
    1.00017...
    """
    return one_bin(_KL, np.float64(x), np.float64(y))


@entry
def rel_entr(x: Any, y: Any) -> Any:
    """x log(x / y), one bin of the Kullback-Leibler divergence of histograms that sum to one.

    Parameters
    ----------
    x, y : real numbers
        Computed with as doubles of any magnitude, zeros and subnormal ones too.

    Returns
    -------
    float
        The term: 0 for x = 0, inf for y = 0 < x, NaN if one of them is negative, NaN or infinite, where
        `scipy.special.rel_entr` has inf for negative ones.

    Examples
    --------
    >>> import fastkl.jit
    >>> round(fastkl.jit.rel_entr(1.0, 2.0), 12)
    -0.69314718056
    """
    return one_relative_entropy(np.float64(x), np.float64(y))


@entry
def cross_entropy_term(x: Any, y: Any) -> Any:
    """-x log y, one bin of the cross-entropy, and for x = y of the entropy.

    Parameters
    ----------
    x, y : real numbers
        Computed with as doubles of any magnitude, zeros and subnormal ones too.

    Returns
    -------
    float
        The term: 0 for x = 0, inf for y = 0 < x, NaN if one of them is negative, NaN or infinite.

    Examples
    --------
    >>> import fastkl.jit
    >>> round(fastkl.jit.cross_entropy_term(0.5, 0.5), 12)
    0.34657359028
    """
    return one_bin(_CROSS_ENTROPY, np.float64(x), np.float64(y))


@entry
def js_term(x: Any, y: Any) -> Any:
    """(x log(x / m) + y log(y / m)) / 2, m = (x + y) / 2, one bin of the Jensen-Shannon divergence.

    Parameters
    ----------
    x, y : real numbers
        Computed with as doubles of any magnitude, zeros and subnormal ones too.

    Returns
    -------
    float
        The term, >= 0, the same for (y, x); NaN if one of them is negative, NaN or infinite.

    Examples
    --------
    >>> import fastkl.jit
    >>> round(fastkl.jit.js_term(1.0, 0.0), 12)
    0.34657359028
    """
    return one_bin(_JS, np.float64(x), np.float64(y))


@entry
def jeffreys_term(x: Any, y: Any) -> Any:
    """(x - y) log(x / y), one bin of the Jeffreys divergence, the population stability index.

    Parameters
    ----------
    x, y : real numbers
        Computed with as doubles of any magnitude, zeros and subnormal ones too.

    Returns
    -------
    float
        The term, >= 0, the same for (y, x): inf where one of them is 0 and the other is not, NaN if one of them is
        negative, NaN or infinite.

    Examples
    --------
    >>> import fastkl.jit
    >>> round(fastkl.jit.jeffreys_term(1.0, 2.0), 12)
    0.69314718056
    """
    return one_bin(_JEFFREYS, np.float64(x), np.float64(y))
