"""The divergence of histograms that are given by their logarithms."""

from typing import Any

import numpy.typing as npt

from fastkl._compare import LOGITS, OnInvalid, Options, compare
from fastkl.kernels import KL

_Array = npt.NDArray[Any]


def kl_divergence_from_logits(
    p_logits: npt.ArrayLike,
    q_logits: npt.ArrayLike,
    *,
    axis: int = -1,
    dim: str | None = None,
    base: float | None = None,
    normalize: bool = True,
    on_invalid: OnInvalid = "raise",
    keepdims: bool = False,
    out: _Array | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
) -> Any:
    r"""Kullback-Leibler divergence of histograms that are given by logits or by log-probabilities.

    .. math:: D(P \| Q) = \sum_i P_i \log \frac{P_i}{Q_i}, \qquad P = \operatorname{softmax}(x), \quad Q =
        \operatorname{softmax}(y)

    of the rows x of ``p_logits`` and y of ``q_logits``, and with ``normalize=False`` the generalised divergence
    :math:`\sum_i (e^{x_i} (x_i - y_i) - e^{x_i} + e^{y_i})`. Neither the logarithms nor the probabilities are stored.

    Parameters
    ----------
    p_logits, q_logits : array_like of real numbers
        Batches of rows of unnormalised log-probabilities in nats, whose batch dimensions broadcast as in NumPy; the
        numbers of bins must agree. A constant added to a row changes nothing. A logit of -inf is a bin that is zero.
        Floats, integers and bools of any width, layout and byte order are read in place; containers of other libraries
        as `kl_divergence` takes them.
    axis : int
        The axis of the bins, counted in the argument with the most dimensions. A 1-D argument is one row, whatever the
        axis.
    dim : str, optional
        The dimension of the bins of xarray's DataArrays, in place of ``axis``.
    base : float, optional
        The base of the logarithm of the result: 2 gives bits; one below 1 changes the sign. Default: e, nats. The
        logits themselves are natural logarithms in any case.
    normalize : bool
        Take logits, and scale each row to a total of one (default). False takes log-probabilities as they are.
    on_invalid : {"raise", "nan"}
        What to do about invalid rows: those with NaN, +inf or a number above 2^960 or, where they are normalised, with
        -inf alone.
    keepdims : bool
        Keep the axis of the bins, with length 1.
    out : ndarray, optional
        Where the result is written. It is untouched if an error is raised.
    dtype : float64 or float32, optional
        The type of the result; with float64 single precision is computed with in double precision too. Default: float32
        where both arguments are float32 or float16, else float64.
    threads : int, optional
        The most threads to use. Default: the CPUs this process may use. The result does not depend on it.

    Returns
    -------
    float, ndarray or a container like p_logits
        The divergences, >= 0, of the shape of the batch. inf where some q logit is -inf and that of p is not.

    Raises
    ------
    ValueError
        An invalid row (unless ``on_invalid="nan"``), shapes that do not fit, or an option out of range.
    TypeError
        Complex, string or object arrays.

    Notes
    -----
    The relative error is below 1e-13 (1e-6 in single precision), also where the two distributions agree to many digits,
    as far as the logits tell them apart, and for logits of any size. Probabilities below 1e-307 of the largest in their
    part of the row count as zero.

    References
    ----------
    S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86.

    Examples
    --------
    >>> import numpy as np
    >>> import fastkl
    >>> fastkl.kl_divergence_from_logits([0, 0, -np.inf], [10, 10, 10], base=2).round(12)
    np.float64(0.584962500721)
    >>> log_p, log_q = np.log([0.25, 0.75]), np.log([0.5, 0.5])
    >>> fastkl.kl_divergence_from_logits(log_p, log_q, normalize=False).round(12)
    np.float64(0.130812035941)
    """
    options = Options(axis, base, normalize, None, 0.0, on_invalid, keepdims, out, dtype, threads, dim)
    return compare(KL(), {"p_logits": p_logits, "q_logits": q_logits}, options, form=LOGITS)
