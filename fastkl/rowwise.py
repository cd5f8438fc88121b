"""The divergence of histograms row by row, and the entropies that it is made of."""

from typing import Any

import numpy.typing as npt

from fastkl._compare import OnInvalid, compare, options_of
from fastkl._zero_policies import Pseudocount
from fastkl.kernels import KL, CrossEntropy

_Array = npt.NDArray[Any]
_KL, _CROSS_ENTROPY = KL(), CrossEntropy()


def kl_divergence(
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
    r"""Kullback-Leibler divergence of each histogram of ``p`` from that of ``q``.

    .. math:: D(P \| Q) = \sum_i w_i P_i \log \frac{P_i}{Q_i}, \qquad P = p / \sum_i w_i p_i, \quad Q = q / \sum_i w_i
    q_i

    and with ``normalize=False`` the generalised divergence :math:`\sum_i w_i (p_i \log (p_i / q_i) - p_i + q_i)`.

    Parameters
    ----------
    p, q : array_like of real numbers
        Batches of histograms, counts or probabilities, whose batch dimensions broadcast as in NumPy; the numbers of
        bins must agree. Floats, integers and bools of any width, layout and byte order are read in place. Containers
        of other libraries are accepted, and labels in them must agree: see the notes.
    axis : int
        The axis of the bins, counted in the argument with the most dimensions. A 1-D argument is one histogram,
        whatever the axis.
    dim : str, optional
        The dimension of the bins of xarray's DataArrays, in place of ``axis``.
    base : float, optional
        The base of the logarithm: 2 gives bits; one below 1 changes the sign. Default: e, nats.
    normalize : bool
        Scale each histogram to a total of one first (default). It costs no copy.
    weights : array_like, optional
        Weights of the bins, finite and >= 0: bin widths or quadrature weights, which make densities on a grid give
        their continuous divergence. One for each bin, or an array that broadcasts as p and q do. A weight of 0 hides
        what a bin adds, but an invalid bin stays one.
    pseudocount : float or {"evidently", "popmon", "deepchecks", "philentropy"}
        Added to every bin of both, once they are found valid and before they are scaled. The sums are rounded. The name
        of a tool stands for what that tool does about empty bins, and gives its figures: see the notes.
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
    float, ndarray or a container like p
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

    Containers of other libraries are read in place where their numbers lie in one piece. Labels, where two arguments
    have them, must be the same in the same order. The result is made by the library of the first of p and q that is a
    container (of several histograms, if there is one), unless ``out`` is given. A missing value is an error.

    - pandas: each row of a DataFrame is a histogram (each column with ``axis=0``), a Series is one. The result is a
      Series with the index of the rows.
    - polars: each row of a DataFrame, each element of a Series of type Array or List, and a Series of numbers. The
      result is a Series.
    - pyarrow: each element of a list or tensor array, chunked or not, each row of a Table or RecordBatch, and an array
      of numbers. The result is an Array.
    - xarray: a DataArray has its bins along ``dim`` and is broadcast by the names of the other dimensions. The result
      is a DataArray with their coordinates, and the name and attributes of the first DataArray. Arrays beside it have
      its last dimensions.
    - dask: the result is an array of dask, or a DataArray over one, with the bits that the call on arrays would give;
      nothing is computed by the call, and options and shapes that are wrong are found by it. Arrays of NumPy may stand
      beside. The bins must lie in one chunk, ``p.rechunk({-1: -1})``. Invalid histograms raise when they are computed.
      Each task has one thread, unless ``threads`` says more; ``out`` is refused.
    - hist, boost-histogram and others of the UHI protocol: the bins of all axes, without flow, are one histogram; edges
      and categories are its labels. A list of them, or of other containers, is a batch. The result is an array.
    - torch and JAX: CPU tensors without gradients. The result is a tensor; JAX holds it in float32 unless
      ``jax_enable_x64`` is set. bfloat16 is widened to float32.

    With the name of a tool as ``pseudocount``, histograms are scaled to one, unless ``normalize=False``, and then

    - "evidently" (0.7.23) puts 1e-4 into empty bins or, where the smallest other bin of the histogram is at most
      that, a millionth of the latter. Jensen-Shannon divergences take empty bins as they are. All but `psi` are scaled
      to one after that, and before it whatever ``normalize`` says. Evidently knows no category that both samples lack:
      leave such bins out.
    - "popmon" (1.4.12) adds 1e-5 to every bin; only the entropy is that of the bins as they are. Its reports compare
      counts: their figures are those of ``normalize=False``.
    - "deepchecks" (0.19.1), which has `psi` alone, raises every bin below 0.01 to that.
    - "philentropy" (0.10.0) divides by 1e-5 where q is 0; `psi` has p log(p / 1e-5) there, and -q log(1e-5) where p
      is 0. Jensen-Shannon divergences take empty bins as they are. Its unit is bits, ``base=2``, by default.

    Nothing else is scaled again: this divergence is the bare sum of p log(p / q) then, which may be negative. What a
    tool does not offer follows its rule for the rest. Weights and sparse rows can't be combined with such a name.

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
    >>> fastkl.kl_divergence([5, 5, 0], [4, 0, 6])
    np.float64(inf)
    >>> fastkl.kl_divergence([5, 5, 0], [4, 0, 6], pseudocount="evidently").round(12)
    np.float64(4.368861533737)
    """
    options = options_of((axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads, dim))
    return compare(_KL, {"p": p, "q": q}, options)


def cross_entropy(
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
    options = options_of((axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads, dim))
    return compare(_CROSS_ENTROPY, {"p": p, "q": q}, options)


def entropy(
    p: npt.ArrayLike,
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
    options = options_of((axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads, dim))
    return compare(_CROSS_ENTROPY, {"p": p}, options)
