"""`entropy`, `rel_entr`, `kl_div` and `jensenshannon` with the signatures, defaults and rules of SciPy 1.17.

What was imported from `scipy.stats`, `scipy.special` or `scipy.spatial.distance` is imported from here:

>>> from fastkl.compat.scipy import entropy, jensenshannon, kl_div, rel_entr

The kernels of fastkl compute all histograms; those that they call invalid are computed again by SciPy's
formula, which has an answer for some of them. So the rules at the edges are SciPy's, the rest fast and exact.

`rel_entr` and `kl_div` are NumPy ufuncs, compiled, or read from the disk cache, when first asked for.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Literal, cast

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.typing import ArrayLike, NDArray

from fastkl.rowwise import entropy as _shannon
from fastkl.rowwise import kl_divergence as _kl_divergence
from fastkl.symmetric import js_divergence as _js_divergence

__all__ = ["entropy", "jensenshannon", "kl_div", "rel_entr"]

rel_entr: np.ufunc
kl_div: np.ufunc

Array = NDArray[Any]
Axis = int | Sequence[int] | None
NanPolicy = Literal["propagate", "omit", "raise"]

# SciPy's words.
_FOUND_NAN = "The input contains nan values"
_BASE = "`base` must be a positive number or `None`."
_SHAPES = "Array shapes are incompatible for broadcasting."


def __getattr__(name: str) -> np.ufunc:
    if name not in ("rel_entr", "kl_div"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return cast(np.ufunc, _ufunc(name))


def _ufunc(name: str) -> Any:
    """`rel_entr` or `kl_div`, made when first asked for."""
    if name not in globals():
        from fastkl.compat._ufuncs import build

        # Of two threads that come here together one sets the name, and both take what it has set.
        globals().setdefault(name, build(name))
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def entropy(
    pk: ArrayLike,
    qk: ArrayLike | None = None,
    base: float | None = None,
    axis: Axis = 0,
    *,
    nan_policy: NanPolicy = "propagate",
    keepdims: bool = False,
) -> np.floating[Any] | Array:
    r"""
    Shannon entropy of histograms, or their relative entropy to others.

    With P = pk / sum(pk) and Q = qk / sum(qk) it is

    .. math::

        H(P) = -\sum_i P_i \log P_i
        \qquad\text{or, if `qk` is given,}\qquad
        D(P \parallel Q) = \sum_i P_i \log \frac{P_i}{Q_i} .

    A drop-in for `scipy.stats.entropy`.

    Parameters
    ----------
    pk : array_like
        Histograms along `axis`, not necessarily normalised. Masked bins of a masked array are left out.
    qk : array_like, optional
        The histograms relative to which the entropy is computed. The shapes of `pk` and `qk` broadcast,
        `axis` included.
    base : float, optional
        The base of the logarithm; the default, e, gives nats and 2 gives bits.
    axis : int, tuple of int or None, default: 0
        The axis of the bins. Several axes are taken as one; None makes each array one histogram.
    nan_policy : {'propagate', 'omit', 'raise'}
        A histogram with a NaN gives NaN; or the bins where `pk` or `qk` is NaN are left out; or it is an
        error.
    keepdims : bool, default: False
        Keep the reduced axes, with length one.

    Returns
    -------
    float or ndarray
        One entropy for each histogram, of type float32 if the inputs are float32 or float16, float64
        otherwise.

    Raises
    ------
    ValueError
        If `base` is not positive, the shapes do not broadcast, `nan_policy` is unknown, or it is 'raise' and
        there is a NaN.
    TypeError
        If the inputs are not of a boolean, integer or floating type of at most 64 bits.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    See Also
    --------
    fastkl.kl_divergence : the same for valid histograms, with more options.
    rel_entr : the terms of the sum.

    Notes
    -----
    A bin with P = 0 adds 0; one with Q = 0 < P makes the relative entropy infinite. What is no histogram has
    SciPy's value: NaN if the sum is zero or infinite; -inf, or inf relative to `qk`, if a bin is negative; 0
    if there is no bin.

    It differs from SciPy only where SciPy loses digits: the relative entropy of nearly equal histograms is
    exact and never negative, sums do not overflow, shares do not underflow to 0, and float16 is not rounded to
    half precision in between.

    References
    ----------
    .. [1] C. E. Shannon, "A mathematical theory of communication", Bell System Technical Journal 27, 379-423,
       1948.
    .. [2] T. M. Cover and J. A. Thomas, *Elements of Information Theory*, 2nd edition, Wiley, 2006, section
       2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from fastkl.compat.scipy import entropy
    >>> float(entropy([1, 1, 1, 1], base=2))
    2.0
    >>> round(float(entropy([0.5, 0.5], [0.9, 0.1], base=2)), 12)
    0.736965594166

    By default the bins lie along the first axis:

    >>> pk = np.array([[1, 2, 3], [1, 1, 1]])
    >>> entropy(pk)
    array([0.69314718, 0.63651417, 0.56233514])
    >>> entropy(pk, [1, 1, 1], axis=1)
    array([0.08720802, 0.        ])
    """
    result: Any
    samples, masks, dtype = _as_samples(pk, qk)
    reduced = tuple(range(max(sample.ndim for sample in samples))) if axis is None else axis
    if axis is None and not _fit([sample.size for sample in samples]):
        result = _entropy_without_common_bins(samples, masks, base, nan_policy, dtype)
        return np.expand_dims(result, reduced) if keepdims else result
    samples, bins = _with_one_bin_axis(samples, axis)
    dropped = None
    if masks:
        masks, _ = _with_one_bin_axis(masks, axis)
        dropped = reduce(np.logical_or, masks)
        samples = [_zeroed(s, dropped & (mask | ~np.isnan(s))) for s, mask in zip(samples, masks, strict=True)]
    if 0 in _batch_shape(samples, bins):
        result = np.empty(_batch_shape(samples, bins), _precision(dtype))
    else:
        _check_policy(nan_policy)
        if base is not None and base <= 0:
            result = _entropies_in_no_base(samples, bins, nan_policy, dtype)[()]
        else:
            result = _entropies(samples, dropped, bins, nan_policy, dtype)[()]
            if base is not None:
                result = result / math.log(base)
    return np.expand_dims(result, reduced) if keepdims else result


def jensenshannon(
    p: ArrayLike, q: ArrayLike, base: float | None = None, *, axis: Axis = 0, keepdims: bool = False
) -> np.floating[Any] | Array:
    r"""
    Jensen-Shannon distance of histograms: a metric, the square root of the Jensen-Shannon divergence.

    With P = p / sum(p), Q = q / sum(q) and M = (P + Q) / 2 it is

    .. math::

        \sqrt{\tfrac12 D(P \parallel M) + \tfrac12 D(Q \parallel M)},
        \qquad D(P \parallel M) = \sum_i P_i \log \frac{P_i}{M_i} .

    A drop-in for `scipy.spatial.distance.jensenshannon`.

    Parameters
    ----------
    p, q : array_like
        Histograms along `axis`, not necessarily normalised. Each is normalised, then their shapes broadcast.
    base : float, optional
        The base of the logarithm; the default is e. The largest distance is ``sqrt(log(2) / log(base))``.
    axis : int, tuple of int or None, default: 0
        The axis of the bins. Several axes are taken as one; None makes each array one histogram.
    keepdims : bool, default: False
        Keep the reduced axes, with length one.

    Returns
    -------
    float or ndarray
        One distance for each pair of histograms, of type float32 if the inputs are float32 or float16 (but,
        as in SciPy, not for a single pair with a `base`), float64 otherwise.

    Raises
    ------
    ValueError
        If the shapes do not broadcast.
    TypeError
        If the inputs are not of a boolean, integer or floating type of at most 64 bits.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    Warns
    -----
    RuntimeWarning
        As in SciPy, for a histogram with a zero sum or an infinite bin, and for a `base` that is not above 1.

    See Also
    --------
    fastkl.js_divergence : its square for valid histograms, with more options.

    Notes
    -----
    What is no histogram has SciPy's value: NaN if the sum is zero or a bin is infinite or NaN, inf if a bin
    is negative.

    It differs from SciPy only where SciPy loses digits. For nearly equal histograms the terms of its sum
    cancel: distances below 1e-8 are noise there, and NaN where the noise is negative. Here they are exact.

    References
    ----------
    .. [1] J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory
       37, 145-151, 1991.
    .. [2] D. M. Endres and J. E. Schindelin, "A new metric for probability distributions", IEEE Transactions
       on Information Theory 49, 1858-1860, 2003.

    Examples
    --------
    >>> from fastkl.compat.scipy import jensenshannon
    >>> float(jensenshannon([1, 0, 0], [0, 1, 0], base=2))
    1.0
    >>> jensenshannon([[1, 2, 3], [4, 5, 6]], [[3, 2, 1], [4, 5, 6]], axis=1)
    array([0.29531005, 0.        ])
    """
    p, q = np.asarray(p), np.asarray(q)
    if _share_their_bins(p, q, axis):
        (x, y), bins = _with_one_bin_axis([p, q], axis)
        js: Any = _js_divergences(x, y, bins)[()]
        if keepdims:
            js = np.expand_dims(js, tuple(range(p.ndim)) if axis is None else axis)
    else:
        js = _js_divergence_by_definition(p, q, axis, keepdims)
    if base is not None:
        js /= np.log(base)
    return cast(Array, np.sqrt(js))


def _as_samples(pk: ArrayLike, qk: ArrayLike | None) -> tuple[list[Array], list[Array], np.dtype[Any]]:
    """The inputs as arrays, their masks if anything is masked, and the type that NumPy promotes them to."""
    given = [pk] if qk is None else [pk, qk]
    samples = [np.asanyarray(x) for x in given]
    # Only Python's scalars give way to the type of an array.
    promoting: list[Any] = [array if np.iterable(x) else x for x, array in zip(given, samples, strict=True)]
    dtype = np.result_type(*promoting)
    if not _is_real(dtype):
        raise TypeError(f"entropy is not supported for the input type {dtype}")
    samples = [np.atleast_1d(sample) for sample in samples]
    masks = [np.ma.getmaskarray(sample) for sample in samples] if any(map(np.ma.is_masked, samples)) else []
    return [np.asarray(sample) for sample in samples], masks, dtype


def _is_real(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def _precision(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    return np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64


def _check_policy(nan_policy: str) -> None:
    if nan_policy not in ("propagate", "omit", "raise"):
        raise ValueError("nan_policy must be one of {'propagate', 'omit', 'raise'}.")


def _fit(numbers: Sequence[int]) -> bool:
    """True for numbers of bins that broadcast."""
    return len({*numbers} - {1}) < 2


def _entropy_without_common_bins(
    samples: Sequence[Array], masks: Sequence[Array], base: float | None, nan_policy: str, dtype: np.dtype[Any]
) -> np.floating[Any]:
    """NaN where SciPy looks for a NaN before it looks at numbers of bins, else its errors."""
    _check_policy(nan_policy)
    masks = [mask.ravel() for mask in masks] or [np.zeros(sample.size, np.bool_) for sample in samples]
    missing = [np.isnan(sample.ravel()) & ~mask for sample, mask in zip(samples, masks, strict=True)]
    if any(where.any() for where in missing):
        if nan_policy == "raise":
            raise ValueError(_FOUND_NAN)
        if nan_policy == "propagate":
            return _precision(dtype)(np.nan)
        reduce(np.logical_or, missing)  # raises, as does SciPy where it leaves out what is missing or masked
    if any(mask.any() for mask in masks):
        reduce(np.logical_or, masks)
    raise ValueError(_BASE if base is not None and base <= 0 else _SHAPES)


def _entropies_in_no_base(samples: Sequence[Array], bins: int, nan_policy: str, dtype: np.dtype[Any]) -> Array:
    """NaN where SciPy looks at no base, as all histograms have a NaN, else its error."""
    missing = reduce(np.logical_or, [np.isnan(sample).any(axis=bins) for sample in samples])
    if nan_policy == "raise" and missing.any():
        raise ValueError(_FOUND_NAN)
    if nan_policy == "propagate" and missing.all():
        return np.full(_batch_shape(samples, bins), np.nan, _precision(dtype))
    raise ValueError(_BASE)


def _with_one_bin_axis(arrays: Sequence[Array], axis: Axis) -> tuple[list[Array], int]:
    """The arrays with equally many dimensions and bins, and ``axis`` as a single one."""
    if axis is None:
        arrays, axis = [array.ravel() for array in arrays], 0
    try:
        shape = _common_shape(arrays)
    except ValueError as error:
        raise ValueError(_SHAPES) from error
    axes = normalize_axis_tuple(axis, len(shape), "source") or tuple(range(len(shape)))
    arrays = [_with_full_axes(array, shape, axes) for array in arrays]
    if len(axes) == 1:
        return arrays, axes[0]
    batch = len(shape) - len(axes)
    arrays = [np.moveaxis(array, axes, range(batch, len(shape))) for array in arrays]
    return [array.reshape(*array.shape[:batch], math.prod(array.shape[batch:])) for array in arrays], batch


def _with_full_axes(array: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """``array`` broadcast to ``shape`` along ``axes`` alone; along the others the kernels do it for less."""
    if array.shape == shape:  # saves 4 us
        return array
    array = array[(np.newaxis,) * (len(shape) - array.ndim)]
    return np.broadcast_to(array, [shape[d] if d in axes else n for d, n in enumerate(array.shape)])


def _common_shape(arrays: Sequence[Array]) -> tuple[int, ...]:
    shapes = {array.shape for array in arrays}
    return shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)


def _batch_shape(samples: Sequence[Array], bins: int) -> tuple[int, ...]:
    shape = _common_shape(samples)
    return shape[:bins] + shape[bins + 1 :]


def _zeroed(sample: Array, dropped: Array) -> Array:
    """A bin that is zero in all samples counts for nothing."""
    return np.where(dropped, sample.dtype.type(0), sample)


def _by_kernel(function: Callable[..., Any], samples: Sequence[Array], bins: int, dtype: np.dtype[Any]) -> Array:
    """One value for each histogram of the batch, NaN for an invalid one, 0 for histograms without bins."""
    if samples[0].shape[bins] == 0:
        return np.zeros(_batch_shape(samples, bins), _precision(dtype))
    # Double precision is not asked for, as it is what they choose: one pair takes 4 us instead of 20.
    single = np.float32 if _precision(dtype) is np.float32 else None
    return np.asarray(function(*samples, axis=bins, on_invalid="nan", dtype=single))


def _histograms(samples: Sequence[Array], bins: int, chosen: Array) -> list[Array]:
    """Those histograms of each sample that are ``chosen`` from the batch, as rows."""
    shape = _common_shape(samples)
    return [np.moveaxis(np.broadcast_to(sample, shape), bins, -1)[chosen] for sample in samples]


def _entropies(
    samples: Sequence[Array], dropped: Array | None, bins: int, nan_policy: str, dtype: np.dtype[Any]
) -> Array:
    """The entropies of a batch in which ``dropped`` bins are zero."""
    result = _by_kernel(_shannon if len(samples) == 1 else _kl_divergence, samples, bins, dtype)
    invalid = np.isnan(result)
    if invalid.any():
        rows = [row.astype(dtype, copy=False) for row in _histograms(samples, bins, invalid)]
        dropped = None if dropped is None else _histograms([dropped], bins, invalid)[0]
        result[invalid] = _invalid_entropies(rows, dropped, nan_policy, dtype)
    return result


def _invalid_entropies(rows: Sequence[Array], dropped: Array | None, nan_policy: str, dtype: np.dtype[Any]) -> Array:
    """What SciPy makes of rows that are not histograms."""
    missing = reduce(np.logical_or, map(np.isnan, rows))
    if nan_policy == "raise" and missing.any():
        raise ValueError(_FOUND_NAN)
    if nan_policy == "omit" and missing.any():
        dropped = missing if dropped is None else missing | dropped
        return _entropies([_zeroed(row, missing) for row in rows], dropped, 1, "propagate", dtype)
    result = np.full(len(missing), np.nan, _precision(dtype))
    complete = ~missing.any(axis=1)
    if dropped is None:
        result[complete] = _entropy_by_definition(*(row[complete] for row in rows))
    else:
        for i in np.flatnonzero(complete):
            result[i] = _entropy_by_definition(*(row[i, ~dropped[i]] for row in rows))
    return result


def _entropy_by_definition(p: Array, q: Array | None = None) -> Array:
    """SciPy's formula along the last axis, for values that need not be probabilities."""
    rel_entr = _ufunc("rel_entr")
    with np.errstate(invalid="ignore"):
        if q is not None:
            q = q / np.sum(q, axis=-1, keepdims=True)
        p = p / np.sum(p, axis=-1, keepdims=True)
    total: Array = np.sum(rel_entr(p, 1.0 if q is None else q), axis=-1)
    return 0.0 - total if q is None else total


def _share_their_bins(p: Array, q: Array, axis: Axis) -> bool:
    """True where SciPy's arithmetic, which normalises before it broadcasts, goes histogram by histogram."""
    if not (_is_real(p.dtype) and _is_real(q.dtype) and p.ndim and q.ndim and p.size and q.size):
        return False
    if axis is None:
        return p.shape == q.shape
    if p.shape == q.shape and isinstance(axis, int) and -p.ndim <= axis < p.ndim:
        return True
    try:
        np.broadcast_shapes(p.shape, q.shape)
        p_bins = {a - p.ndim: p.shape[a] for a in normalize_axis_tuple(axis, p.ndim)}
        q_bins = {a - q.ndim: q.shape[a] for a in normalize_axis_tuple(axis, q.ndim)}
    except (TypeError, ValueError):  # SciPy's arithmetic raises the error that it is to be
        return False
    return bool(p_bins) and p_bins == q_bins


def _js_divergences(p: Array, q: Array, bins: int) -> Array:
    dtype = np.promote_types(*(_precision(x.dtype) for x in (p, q)))
    result = _by_kernel(_js_divergence, [p, q], bins, dtype)
    invalid = np.isnan(result)
    if invalid.any():
        x, y = _histograms([p, q], bins, invalid)
        result[invalid] = _js_divergence_by_definition(x, y, axis=-1, keepdims=False)
    return result


def _js_divergence_by_definition(p: Array, q: Array, axis: Axis, keepdims: bool) -> Any:
    """SciPy's formula, for values that need not be probabilities."""
    rel_entr: Any = _ufunc("rel_entr")
    p = p / np.sum(p, axis=axis, keepdims=True)
    q = q / np.sum(q, axis=axis, keepdims=True)
    m = (p + q) / 2.0
    left = np.sum(rel_entr(p, m), axis=axis, keepdims=keepdims)
    right = np.sum(rel_entr(q, m), axis=axis, keepdims=keepdims)
    return (left + right) / 2.0
