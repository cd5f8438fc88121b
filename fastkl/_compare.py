"""From the arguments of a public function to its result: check, run, shape the answer."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl import _check
from fastkl._engine import Question, is_single, run, run_single
from fastkl._operands import as_array, batch_of, bins_last, precision_of

_Array = npt.NDArray[Any]
OnInvalid = Literal["raise", "nan"]


def _as_it_is(values: Any) -> Any:
    return values


class Options(NamedTuple):
    """What a user may say beside the histograms."""

    axis: int
    base: float | None
    normalize: bool
    weights: npt.ArrayLike | None
    pseudocount: float
    on_invalid: OnInvalid
    keepdims: bool
    out: _Array | None
    dtype: npt.DTypeLike | None
    threads: int | None


def compare(kind: Any, named: dict[str, Any], options: Options, finish: Callable[[Any], Any] = _as_it_is) -> Any:
    """The divergences ``kind`` of the named arguments, p and q or one alone; ``finish`` makes results of them."""
    axis, base, normalize, weights, pseudocount, on_invalid, keepdims, out, dtype, threads = options
    _check.check_option("on_invalid", on_invalid, ("raise", "nan"))
    _check.check_threads(threads)
    normalize, keepdims = _check.check_flag("normalize", normalize), _check.check_flag("keepdims", keepdims)
    question = Question(kind, normalize, _check.check_pseudocount(pseudocount), _check.check_base(base))
    values = list(named.values())
    is_plain = weights is None and out is None and dtype is None and not keepdims and axis in (0, -1)
    if is_plain and is_single(values[0], values[-1]):
        single = run_single(values[0], values[-1], question)
        if single is not None:
            return finish(single)
    arrays = [as_array(value, name) for name, value in named.items()]
    result_dtype = _result_dtype(arrays, dtype)
    if weights is not None:
        arrays.append(as_array(weights, "weights"))
        _check.check_weights(arrays[-1])
    # Weights and pseudo-counts of more than single precision would be rounded, the smallest to zero.
    precision = precision_of(arrays, None if dtype is None else result_dtype, question.pseudocount)
    names = [*named, "weights"][: len(arrays)]
    moved, axis = bins_last(names, arrays, _check.check_axis(axis))
    histograms = dict(zip(named, moved, strict=False))
    weighing = moved[len(named) :]
    if len(named) == 1:  # the entropy is the cross-entropy with itself
        moved = [moved[0], *moved]
    batch = batch_of(["p", "q", "weights"], moved)
    flat, found_invalid = run(batch, question, precision, threads)
    if on_invalid == "raise" and found_invalid:
        for name, array in histograms.items():
            _raise_for_invalid(name, array, weighing, question, precision)
    return _deliver(batch.unmerged(finish(flat)), axis if keepdims else None, out, result_dtype)


def _raise_for_invalid(
    name: str, array: _Array, weights: list[_Array], question: Question, precision: np.dtype[Any]
) -> None:
    # A histogram is invalid if it can't be compared with itself: the kernels find those in no time.
    batch = batch_of([name, name, "weights"], [array, array, *weights])
    is_invalid = np.isnan(batch.unmerged(run(batch, question, precision, None)[0]))
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
    _check.check_out(out, result.shape)
    with np.errstate(over="ignore"):
        np.copyto(out, result, casting="same_kind")
    return out
