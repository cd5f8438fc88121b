"""Divergences between all pairs of histograms."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastkl import _check
from fastkl._compare import OnInvalid, result_dtype_of
from fastkl._engine import Question
from fastkl._matrix import Matrix, open_matrices
from fastkl._nearest import search
from fastkl._operands import precision_of
from fastkl._pairwise import fill
from fastkl._products import DIVERGENCES, ORDERED, plan_of
from fastkl._threads import available_cpus
from fastkl._tiles import Ask, Tiles
from fastkl.lazy import has_lazy

_Array = npt.NDArray[Any]
Divergence = Literal["kl", "reverse_kl", "jeffreys", "js", "cross_entropy", "renyi", "alpha"]
_OVERLAP_WORK: Any = 10_000  # steps to find out whether arrays share elements, which NumPy's stubs take no number for
_RTOL = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-4}


def pairwise(
    x: Any,
    y: Any = None,
    *,
    divergence: Divergence = "kl",
    alpha: float | None = None,
    method: Literal["auto", "blas", "direct"] = "auto",
    rtol: float | None = None,
    normalize: bool = True,
    base: float | None = None,
    pseudocount: float = 0.0,
    on_invalid: OnInvalid = "raise",
    out: _Array | None = None,
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> _Array:
    r"""Divergence of each row of ``x`` from each row of ``y``: the matrix :math:`D_{ij} = D(x_i \| y_j)`.

    Most are computed as a product of matrices, by the BLAS, and those of which a product keeps too few digits directly.
    For the Kullback-Leibler divergence, with shares P and Q of n bins,

    .. math:: D_{ij} = h_i - \sum_k P_{ik} \log(n Q_{jk}), \qquad h_i = \sum_k P_{ik} \log(n P_{ik}).

    The product's error is at most :math:`e (2 D_{ij} + 1/2 + h_i + \sqrt{2 h_i})`, where e is (m + 16) unit roundoffs
    and m the number of terms that are summed together, n or 2048 in double precision, 128 in single. This follows from
    :math:`x \log(x / y) \ge x - y` and Pinsker's inequality. An entry for which it is more than ``rtol`` times the
    entry is computed by the kernel of `kl_divergence`.

    Parameters
    ----------
    x : array_like of real numbers, or scipy.sparse array, shape (m, n)
        Histograms as rows, of any type and layout; sparse ones are made dense block by block. Containers of other
        libraries are accepted as in `kl_divergence`.
    y : the same, shape (k, n), or None
        None stands for x itself; symmetric divergences are then computed once for (i, j) and (j, i), to the same bits.
    divergence : str
        "kl", D(x_i || y_j); "reverse_kl", D(y_j || x_i); "jeffreys"; "js"; "cross_entropy"; "renyi" and "alpha" of the
        order ``alpha``. Each as in the function that has its name.
    alpha : float, optional
        The order of "renyi" and "alpha"; no other divergence has one. Near 0 and 1 many entries are computed directly.
    method : {"auto", "blas", "direct"}
        "direct" computes every entry by the kernel of the rows; "blas" none but those of rows of which a product tells
        nothing: with ``normalize=False`` of totals beyond 2**-100 to 2**100, with an order of bins that are next to
        nothing. The errors are as above, negative results are set to 0. Default: "auto", as described. There is no
        product for histograms of more than 2**19 bins, and with ``normalize=False`` for js, cross_entropy, renyi and
        alpha: "auto" is "direct" then.
    rtol : float, optional
        The largest relative error of an entry, beside that of the direct kernel. Default: 1e-9 in double precision,
        1e-4 in single. Where a product can't keep to it, below 1e-13 or so, every entry is computed directly.
    normalize, base, pseudocount, on_invalid, dtype
        As in `kl_divergence`. With ``on_invalid="nan"`` the rows and columns of invalid histograms are NaN.
    out : ndarray of floats, shape (m, k), optional
        Where to write the matrix, a memory map for one that is larger than memory. It is untouched if an argument is
        bad.
    threads : int, optional
        The most threads to use. Default: one for each CPU. The BLAS is held to one thread for each of them meanwhile.
    progress : bool
        True for a progress bar on stderr.

    Returns
    -------
    ndarray, shape (m, k)
        The divergences, nats unless ``base`` is given: ``out`` if it was given. inf where bins say so, exactly 0 for
        equal rows. The bits do not depend on ``threads``; in double precision not on the other rows either.

    Raises
    ------
    ValueError
        Invalid histograms, numbers of bins that differ, an option out of its range, ``out`` of the wrong shape.
    TypeError
        Complex numbers, strings or objects as bins.

    Notes
    -----
    At most 256 MB are used beside the arguments and the result, on up to 4 threads.

    Where x or y is an array of dask so is the result, with a task for each pair of a block of rows of x and one of y;
    bits are the same in double precision, and within ``rtol`` in single. ``out`` and ``progress`` are refused then.

    References
    ----------
    S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86.
    M. S. Pinsker, Information and information stability of random variables and processes, Holden-Day, 1964.

    Examples
    --------
    >>> import fastkl
    >>> x = [[1, 1, 2], [1, 2, 1], [0, 1, 1]]
    >>> fastkl.pairwise(x).round(4)
    array([[0.    , 0.1733,    inf],
           [0.1733, 0.    ,    inf],
           [0.3466, 0.3466, 0.    ]])
    >>> fastkl.pairwise(x[:2], x, divergence="js", base=2).round(4)
    array([[0.    , 0.0613, 0.1556],
           [0.0613, 0.    , 0.1556]])
    """
    if has_lazy([x, y]):
        from fastkl.lazy._pairs import pairwise_lazily

        how = {"divergence": divergence, "alpha": alpha, "method": method, "rtol": rtol, "normalize": normalize}
        more = {"base": base, "pseudocount": pseudocount, "on_invalid": on_invalid, "out": out, "dtype": dtype}
        lazy: _Array = pairwise_lazily(x, y, {**how, **more, "threads": threads, "progress": progress})
        return lazy
    left, right = open_matrices(x, y)
    tiles = tiles_of(
        left, right, divergence, alpha, method, rtol, normalize, base, pseudocount, on_invalid, dtype, threads
    )
    if out is None:
        out = np.empty((left.count, right.count), tiles.ask.result)
    else:
        _check.check_out(out, (left.count, right.count))
        for matrix in (left, right):
            if not matrix.is_sparse and _may_overlap(out, matrix.values):
                raise ValueError(f"out shares memory with {matrix.name}, which would be overwritten while it is read")
    fill(tiles, out, _check.check_flag("progress", progress))
    return out


def nearest(
    x: Any,
    y: Any,
    k: int = 1,
    *,
    divergence: Divergence = "kl",
    alpha: float | None = None,
    normalize: bool = True,
    base: float | None = None,
    pseudocount: float = 0.0,
    on_invalid: OnInvalid = "raise",
    dtype: npt.DTypeLike | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> tuple[_Array, npt.NDArray[np.int64]]:
    r"""The ``k`` rows of ``y`` that are nearest to each row of ``x``: the smallest :math:`D(x_i \| y_j)`, exactly.

    The products of matrices that `pairwise` computes come and go tile by tile. Of each row those candidates are kept
    that may be among the nearest as far as the bound of the error tells; in the end their divergences are computed
    directly. The answer is that of a sort of the directly computed matrix, which never exists.

    Parameters
    ----------
    x, y : array_like of real numbers, or scipy.sparse arrays, shapes (m, n) and (l, n)
        Histograms as rows, as for `pairwise`; memory maps are read block by block. Where y is x each row is nearest to
        itself, or to the first of its copies; not so by cross-entropy and by the Rényi divergence of order 0, which may
        be as small or smaller elsewhere.
    k : int
        How many rows of y to find for each row of x, from 1 to l.
    divergence, alpha, normalize, base, pseudocount, dtype, threads, progress
        As in `pairwise`.
    on_invalid : {"raise", "nan"}
        With "nan" invalid rows of y are nobody's neighbours; those of x have none.

    Returns
    -------
    divergences : ndarray, shape (m, k)
        Ascending, with the bits of the function that has the name of the divergence. inf for the last ones where fewer
        than k are finite, NaN where there are fewer than k valid rows.
    indices : ndarray of int64, shape (m, k)
        Rows of y. Of equal divergences that of the smaller index comes first. -1 where a divergence is NaN.

    Raises
    ------
    ValueError
        A ``k`` out of its range, a negative order of the Rényi divergence, and what `pairwise` raises.
    TypeError
        As `pairwise`.

    Notes
    -----
    At most 512 MB are used beside the arguments and the result, on up to 4 threads, for k up to 1000.

    Where x or y is an array of dask both results are: the nearest rows of each block of y, merged.

    References
    ----------
    S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86.

    Examples
    --------
    >>> import fastkl
    >>> topics = [[8, 1, 1], [1, 8, 1], [1, 1, 8]]
    >>> divergences, indices = fastkl.nearest([[2, 5, 3], [1, 0, 0]], topics, k=2)
    >>> divergences.round(4)
    array([[0.2332, 0.6491],
           [0.2231, 2.3026]])
    >>> indices
    array([[1, 2],
           [0, 1]])
    """
    if has_lazy([x, y]):
        from fastkl.lazy._pairs import nearest_lazily

        how = {"divergence": divergence, "alpha": alpha, "normalize": normalize, "base": base, "dtype": dtype}
        more = {"pseudocount": pseudocount, "on_invalid": on_invalid, "threads": threads, "progress": progress}
        return nearest_lazily(x, y, k, {**how, **more})
    left, right = open_matrices(x, y)
    check_k(k, right.count)
    if divergence == "renyi" and alpha is not None and _check.check_order(alpha, may_be_infinite=True) < 0:
        raise ValueError("the Rényi divergence of a negative order is greatest for equal rows: none are nearest by it")
    factor = _check.check_base(base)
    tiles = tiles_of(
        left, right, divergence, alpha, "auto", None, normalize, None, pseudocount, on_invalid, dtype, threads
    )
    divergences, indices = search(tiles, int(k), abs(factor), _check.check_flag("progress", progress))
    return (divergences if factor > 0 else -divergences), indices


def check_k(k: Any, count: int) -> None:
    """Raise unless ``k`` is a number of rows of y, which has so many."""
    if not _check.is_whole(k) or not 1 <= k <= count:
        raise ValueError(f"k must be a whole number from 1 to the {count} rows of y, not {k!r}")


def tiles_of(
    x: Matrix,
    y: Matrix,
    divergence: str,
    alpha: float | None,
    method: str,
    rtol: float | None,
    normalize: bool,
    base: float | None,
    pseudocount: float,
    on_invalid: str,
    dtype: npt.DTypeLike | None,
    threads: int | None,
) -> Tiles:
    """The pairs of two matrices, once the options are found good and the rows are histograms."""
    _check.check_option("divergence", divergence, DIVERGENCES)
    _check.check_option("method", method, ("auto", "blas", "direct"))
    _check.check_option("on_invalid", on_invalid, ("raise", "nan"))
    _check.check_threads(threads)
    pseudocount = _check.check_pseudocount(pseudocount)
    order = _order(divergence, alpha)
    plan = plan_of(divergence, order, _check.check_flag("normalize", normalize))
    if method == "blas" and not plan.terms:
        raise ValueError(f"there is no product that gives {divergence} so; method must be 'auto' or 'direct'")
    result = result_dtype_of([np.empty(0, x.dtype), np.empty(0, y.dtype)], dtype)
    question = Question(plan.kind, normalize, pseudocount, _check.check_base(base))
    precision = precision_of([np.empty(0, x.dtype), np.empty(0, y.dtype)], result, question.fits_single)
    ask = Ask(
        plan,
        question,
        precision,
        result,
        method,
        _check.check_rtol(rtol, _RTOL[precision]),
    )
    tiles = Tiles(x, y, ask, available_cpus() if threads is None else int(threads))
    if on_invalid == "raise":
        for matrix, spread in ((x, tiles.x_spread), (y, tiles.y_spread)):
            if np.isnan(spread).any():
                raise ValueError(matrix.describe_invalid(np.isnan(spread)))
    return tiles


def _may_overlap(a: _Array, b: _Array) -> bool:
    # Columns of one matrix lie between each other, and share nothing.
    try:
        return np.shares_memory(a, b, max_work=_OVERLAP_WORK)
    except np.exceptions.TooHardError:
        return True


def _order(divergence: str, alpha: float | None) -> float | None:
    if divergence in ORDERED:
        if alpha is None:
            raise ValueError(f"divergence {divergence!r} has an order: pass alpha")
        return _check.check_order(alpha, may_be_infinite=divergence == "renyi")
    if alpha is not None:
        raise ValueError(f"alpha is the order of {' and '.join(ORDERED)}; {divergence} has none")
    return None
