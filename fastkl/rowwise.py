"""The public functions that compare histograms row by row."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastkl import _check
from fastkl._engine import Options, is_single, run, run_single
from fastkl._operands import as_array, batch_of, bins_last, precision_of
from fastkl.kernels import JS, KL, CrossEntropy

_Array = npt.NDArray[Any]
OnInvalid = Literal["raise", "nan"]


def kl_divergence(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    *,
    axis: int = -1,
    base: float | None = None,
    normalize: bool = True,
    weights: npt.ArrayLike | None = None,
    pseudocount: float = 0.0,
    on_invalid: OnInvalid = "raise",
    keepdims: bool = False,
    out: _Array | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
) -> Any:
    r"""Kullback-Leibler divergence of each histogram of ``p`` from that of ``q``.

    .. math:: D(P \| Q) = \sum_i w_i P_i \log \frac{P_i}{Q_i}, \qquad P = p / \sum_i w_i p_i, \quad Q = q / \sum_i w_i
    q_i

    and with ``normalize=False`` the generalised divergence :math:`\sum_i w_i (p_i \log (p_i / q_i) - p_i + q_i)`.

    Parameters
    ----------
    p, q : array_like of real numbers
        Batches of histograms, counts or probabilities, whose batch dimensions broadcast as in NumPy; the numbers of
        bins must agree. Floats, integers and bools of any width, layout and byte order are read in place.
    axis : int
        The axis of the bins, counted in the argument with the most dimensions. A 1-D argument is one histogram,
        whatever the axis.
    base : float, optional
        The base of the logarithm: 2 gives bits. Default: e, nats.
    normalize : bool
        Scale each histogram to a total of one first (default). It costs no copy.
    weights : array_like, optional
        Weights of the bins, >= 0: bin widths or quadrature weights, which make densities on a grid give their
        continuous divergence. One for each bin, or an array that broadcasts as p and q do.
    pseudocount : float
        Added to every bin of both before anything else.
    on_invalid : {"raise", "nan"}
        What to do about invalid histograms: those with a negative, NaN or infinite bin or, where they are normalised,
        a total of zero.
    keepdims : bool
        Keep the axis of the bins, with length 1.
    out : ndarray, optional
        Where the result is written. It is untouched if an error is raised.
    dtype : float64 or float32, optional
        The type of the result. Default: float32 where p and q are float32 or float16, else float64.
    threads : int, optional
        The most threads to use. Default: the CPUs this process may use. The result does not depend on it.

    Returns
    -------
    float or ndarray
        The divergences, >= 0, of the shape of the batch. inf where some q is 0 and p is not.

    Raises
    ------
    ValueError
        An invalid histogram (unless ``on_invalid="nan"``), shapes that do not fit, or an option out of range.
    TypeError
        Complex, string or object arrays.

    Notes
    -----
    0 log 0 is 0. With ``normalize=False`` the relative error is below 1e-14 (1e-5 in single precision), also where p
    and q agree to many digits; normalised results are exact for inputs moved by a few units in the last place.

    References
    ----------
    S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86.

    Examples
    --------
    >>> import fastkl
    >>> fastkl.kl_divergence([1, 2, 1], [1, 1, 2], base=2)
    np.float64(0.25)
    >>> counts = [[8, 1, 1], [1, 8, 1]]
    >>> fastkl.kl_divergence(counts, [1, 1, 1])
    array([0.45958043, 0.45958043])
    """
    return _compare(
        KL(),
        {"p": p, "q": q},
        axis,
        base,
        normalize,
        weights,
        pseudocount,
        on_invalid,
        keepdims,
        out,
        dtype,
        threads,
    )


def cross_entropy(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    *,
    axis: int = -1,
    base: float | None = None,
    normalize: bool = True,
    weights: npt.ArrayLike | None = None,
    pseudocount: float = 0.0,
    on_invalid: OnInvalid = "raise",
    keepdims: bool = False,
    out: _Array | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
) -> Any:
    r"""Cross-entropy of each histogram of ``p`` and that of ``q``.

    .. math:: H(P, Q) = -\sum_i w_i P_i \log Q_i = H(P) + D(P \| Q)

    of the normalised histograms; with ``normalize=False`` of p and q as they are.

    The parameters, errors and the layout of the result are those of `kl_divergence`.

    Returns
    -------
    float or ndarray
        The cross-entropies in nats (or the unit of ``base``). inf where some q is 0 and p is not.

    References
    ----------
    T. M. Cover and J. A. Thomas, Elements of Information Theory, 2nd ed., Wiley 2006, chapter 2.

    Examples
    --------
    >>> import fastkl
    >>> fastkl.cross_entropy([1, 1], [1, 3], base=2)
    np.float64(1.207518749639422)
    """
    return _compare(
        CrossEntropy(),
        {"p": p, "q": q},
        axis,
        base,
        normalize,
        weights,
        pseudocount,
        on_invalid,
        keepdims,
        out,
        dtype,
        threads,
    )


def entropy(
    p: npt.ArrayLike,
    *,
    axis: int = -1,
    base: float | None = None,
    normalize: bool = True,
    weights: npt.ArrayLike | None = None,
    pseudocount: float = 0.0,
    on_invalid: OnInvalid = "raise",
    keepdims: bool = False,
    out: _Array | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
) -> Any:
    r"""Shannon entropy of each histogram of ``p``.

    .. math:: H(P) = -\sum_i w_i P_i \log P_i

    of the normalised histograms; with ``normalize=False`` of p as it is.

    The parameters, errors and the layout of the result are those of `kl_divergence`.

    Returns
    -------
    float or ndarray
        The entropies in nats (or the unit of ``base``).

    References
    ----------
    C. E. Shannon, A mathematical theory of communication, Bell System Technical Journal 27 (1948), 379-423.

    Examples
    --------
    >>> import fastkl
    >>> fastkl.entropy([1, 1, 1, 1], base=2)
    np.float64(2.0)
    >>> fastkl.entropy([0, 7, 0])
    np.float64(0.0)
    """
    return _compare(
        CrossEntropy(),
        {"p": p},
        axis,
        base,
        normalize,
        weights,
        pseudocount,
        on_invalid,
        keepdims,
        out,
        dtype,
        threads,
    )


def js_divergence(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    *,
    axis: int = -1,
    base: float | None = None,
    normalize: bool = True,
    weights: npt.ArrayLike | None = None,
    pseudocount: float = 0.0,
    on_invalid: OnInvalid = "raise",
    keepdims: bool = False,
    out: _Array | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
) -> Any:
    r"""Jensen-Shannon divergence between each histogram of ``p`` and that of ``q``.

    .. math:: J(P, Q) = \tfrac12 D(P \| M) + \tfrac12 D(Q \| M), \qquad M = (P + Q) / 2

    of the normalised histograms; with ``normalize=False`` of p and q as they are.

    The parameters, errors and the layout of the result are those of `kl_divergence`.

    Returns
    -------
    float or ndarray
        The divergences, between 0 and log 2 for normalised histograms.

    References
    ----------
    J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37 (1991),
    145-151.

    Examples
    --------
    >>> import fastkl
    >>> fastkl.js_divergence([1, 0], [0, 1], base=2)
    np.float64(1.0)
    """
    return _compare(
        JS(),
        {"p": p, "q": q},
        axis,
        base,
        normalize,
        weights,
        pseudocount,
        on_invalid,
        keepdims,
        out,
        dtype,
        threads,
    )


def _compare(
    kind: Any,
    named: dict[str, Any],
    axis: int,
    base: float | None,
    normalize: bool,
    weights: npt.ArrayLike | None,
    pseudocount: float,
    on_invalid: OnInvalid,
    keepdims: bool,
    out: _Array | None,
    dtype: npt.DTypeLike | None,
    threads: int | None,
) -> Any:
    _check.check_option("on_invalid", on_invalid, ("raise", "nan"))
    _check.check_threads(threads)
    options = Options(kind, bool(normalize), _check.check_pseudocount(pseudocount), _check.check_base(base))
    values = list(named.values())
    is_plain = weights is None and out is None and dtype is None and not keepdims and axis in (0, -1)
    if is_plain and is_single(values[0], values[-1]):
        single = run_single(values[0], values[-1], options)
        if single is not None:
            return single
    arrays = [as_array(value, name) for name, value in named.items()]
    result_dtype = _result_dtype(arrays, dtype)
    if weights is not None:
        arrays.append(as_array(weights, "weights"))
        _check.check_weights(arrays[-1])
    # Weights and pseudo-counts of more than single precision would be rounded, the smallest to zero.
    precision = precision_of(arrays, None if dtype is None else result_dtype, options.pseudocount)
    moved, axis = bins_last(arrays, axis)
    histograms = dict(zip(named, moved, strict=False))
    weighing = moved[len(named) :]
    if len(named) == 1:  # the entropy is the cross-entropy with itself
        moved = [moved[0], *moved]
    batch = batch_of(["p", "q", "weights"], moved)
    flat, found_invalid = run(batch, options, precision, threads)
    if on_invalid == "raise" and found_invalid:
        for name, array in histograms.items():
            _raise_for_invalid(name, array, weighing, options, precision)
    return _deliver(batch.unmerged(flat), axis if keepdims else None, out, result_dtype)


def _raise_for_invalid(
    name: str, array: _Array, weights: list[_Array], options: Options, precision: np.dtype[Any]
) -> None:
    # A histogram is invalid if it can't be compared with itself: the kernels find those in no time.
    batch = batch_of([name, name, "weights"], [array, array, *weights])
    is_invalid = np.isnan(batch.unmerged(run(batch, options, precision, None)[0]))
    if is_invalid.any():
        raise ValueError(_check.describe_invalid(name, array, is_invalid, bool(weights)))


def _result_dtype(arrays: list[_Array], dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    if dtype is None:
        return precision_of(arrays, None)
    wanted = np.dtype(dtype)
    if wanted not in (np.float64, np.float32):
        raise ValueError(f"dtype must be float64 or float32, not {wanted}")
    return wanted


def _deliver(result: _Array, kept_axis: int | None, out: _Array | None, dtype: np.dtype[Any]) -> Any:
    if kept_axis is not None:
        result = np.expand_dims(result, kept_axis)
    if out is None:
        with np.errstate(over="ignore"):  # beyond single precision it is inf
            result = result.astype(dtype, copy=False)
        return result if result.ndim else result[()]
    if not isinstance(out, np.ndarray) or out.shape != result.shape:
        found = f"shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out must be an array of shape {result.shape}, not {found}")
    if out.dtype.kind != "f":
        raise TypeError(f"out has dtype {out.dtype}; divergences are floats")
    with np.errstate(over="ignore"):
        np.copyto(out, result, casting="same_kind")
    return out
