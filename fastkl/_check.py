"""What is wrong with an argument, in one sentence."""

import math
import operator
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from fastkl.kernels import LARGEST_LOGIT

_Array = npt.NDArray[Any]
_LEAST_FRACTION = 1e-30
_BLOCK = 1 << 20  # bins looked at together
_MOST_LEVELS = 64  # of lists: arrays have no more dimensions


def check_option(name: str, value: Any, accepted: tuple[str, ...]) -> None:
    """Raise unless ``value`` is one of the accepted words."""
    if not isinstance(value, str) or value not in accepted:
        words = " or ".join(repr(word) for word in accepted)
        raise ValueError(f"{name} must be {words}, not {value!r}")


def check_base(base: float | None) -> float:
    """The factor that turns nats into the unit of ``base``."""
    if base is None:
        return 1.0
    if not (_is_finite(base) and base > 0 and base != 1):
        raise ValueError(f"base must be a positive number other than 1, or None for nats, not {base!r}")
    return 1.0 / math.log(base)


def check_pseudocount(pseudocount: float) -> float:
    """``pseudocount`` as a float."""
    if not (_is_finite(pseudocount) and pseudocount >= 0):
        raise ValueError(f"pseudocount must be a finite number >= 0, not {pseudocount!r}")
    return float(pseudocount)


def check_rtol(rtol: float | None, default: float) -> float:
    """``rtol`` as a float."""
    if rtol is None:
        return default
    if not (_is_finite(rtol) and 0 < rtol < 1):
        raise ValueError(f"rtol must be a number between 0 and 1, without these, or None, not {rtol!r}")
    return float(rtol)


def check_fraction(name: str, value: float) -> float:
    """``value`` as a float between 0 and 1, and not so near to 0 that bins times it are nothing."""
    if not (_is_finite(value) and _LEAST_FRACTION <= value < 1):
        least = f", and at least {_LEAST_FRACTION:g}" if _is_finite(value) and 0 < value < 1 else ", without these"
        raise ValueError(f"{name} must be a number between 0 and 1{least}, not {value!r}")
    return float(value)


def check_order(alpha: Any, may_be_infinite: bool) -> float:
    """The order ``alpha`` of a divergence as a float."""
    if not (_is_finite(alpha) or (may_be_infinite and _is_infinite(alpha))):
        accepted = "a number, inf or -inf" if may_be_infinite else "a finite number"
        raise ValueError(f"alpha must be {accepted}, not {alpha!r}")
    return float(alpha)


def _is_infinite(value: Any) -> bool:
    try:
        return math.isinf(value)
    except (TypeError, OverflowError):
        return False


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value) and not isinstance(value, bool | np.bool_)
    except (TypeError, OverflowError):  # no number, or an integer that no double holds
        return False


def check_flag(name: str, value: Any) -> bool:
    """``value`` as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def is_whole(value: Any) -> bool:
    """True for integers, Python's and NumPy's, but not for bools."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_axis(axis: Any) -> int:
    """``axis`` as an integer."""
    if not isinstance(axis, bool):
        with suppress(TypeError):
            return operator.index(axis)
    raise TypeError(f"axis must be an integer, not {axis!r}")


def check_within(axis: int, ndim: int) -> None:
    """Raise unless one of so many dimensions is the axis."""
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis {axis} is out of bounds for {ndim} dimension{'s' * (ndim > 1)}")


def check_out(out: Any, shape: tuple[int, ...]) -> None:
    """Raise unless results of that shape can be written to ``out``."""
    if not isinstance(out, np.ndarray) or out.shape != shape:
        found = f"shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out must be an array of shape {shape}, not {found}")
    if out.dtype.kind != "f":
        raise TypeError(f"out has dtype {out.dtype}; divergences are floats")
    if not out.flags.writeable:
        raise ValueError("out is read-only")


def check_threads(threads: int | None) -> None:
    """Raise unless ``threads`` is None or a whole number of at least 1."""
    if threads is not None and not (is_whole(threads) and threads >= 1):
        raise ValueError(f"threads must be None or a whole number >= 1, not {threads!r}")


def check_no_mask(value: Any, name: str, hint: str = "") -> None:
    """Raise for a masked array, and for a list that has one in it, whose mask NumPy would drop."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array{hint}")
    if isinstance(value, list | tuple) and _has_mask(value):
        for i, item in enumerate(value):
            check_no_mask(item, f"{name}[{i}]", hint)


def _has_mask(items: list[Any] | tuple[Any, ...]) -> bool:
    # Level by level, without a step of the interpreter for each item: it would take four times as long as the array.
    for _ in range(_MOST_LEVELS):
        kinds = set(map(type, items))
        if any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
            return True
        nested = tuple(kind for kind in kinds if issubclass(kind, list | tuple))
        if not nested:
            break
        if len(nested) < len(kinds):
            items = [item for item in items if isinstance(item, nested)]
        items = list(chain.from_iterable(items))
    return False


def check_weights(weights: _Array) -> None:
    """Raise unless all weights are finite and >= 0."""
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"weights{list(where)} is {weights[where].item()!r}; weights must be finite and >= 0"
            f" ({np.count_nonzero(wrong)} of {weights.size} are not)"
        )


def describe_invalid(name: str, array: _Array, is_invalid: npt.NDArray[np.bool_], is_weighted: bool) -> str:
    """The first invalid histogram of an argument: where it is, what was found in it, and how many there are.

    ``is_invalid`` has the shape of the batch, or one that the batch was broadcast to.
    """
    return _describe_first(name, array, is_invalid, "histogram", partial(why_no_histogram, is_weighted=is_weighted))


def why_no_histogram(row: _Array, is_weighted: bool) -> str:
    """What was found in a row that is no histogram, and what is accepted."""

    def is_bad(bins: _Array) -> Any:
        return ~(bins >= 0) | ~np.isfinite(bins)

    empty = f"its {'weighted total' if is_weighted else 'total'} is zero, which can't be normalised"
    return _why(row, is_bad, "bins must be finite and >= 0", empty)


def describe_invalid_logits(name: str, array: _Array, is_invalid: npt.NDArray[np.bool_], is_weighted: bool) -> str:
    """What `describe_invalid` says, of logits."""
    return _describe_first(name, array, is_invalid, "logit row", _why_no_logits)


def _why_no_logits(row: _Array) -> str:
    def is_bad(logits: _Array) -> Any:
        return ~(logits.astype(np.float64) <= LARGEST_LOGIT)

    empty = "all its logits are -inf, which can't be normalised"
    return _why(row, is_bad, "logits must be -inf or finite and at most 2**960", empty)


def _describe_first(
    name: str, array: _Array, is_invalid: npt.NDArray[np.bool_], noun: str, why: Callable[[_Array], str]
) -> str:
    index = tuple(int(i) for i in np.argwhere(is_invalid)[0])
    reason = why(np.broadcast_to(array, (*is_invalid.shape, array.shape[-1]))[index])
    if not index:
        return f"{name} is not a {noun}: {reason}"
    count = f"{np.count_nonzero(is_invalid)} of {is_invalid.size} {noun}s of {name} are invalid"
    return f"{name}[{', '.join(map(str, index))}] is not a {noun}: {reason} ({count})"


def _why(row: _Array, is_bad: Callable[[_Array], Any], accepted: str, empty: str) -> str:
    bad_bin = _first_bad_bin(row, is_bad)
    return f"{bad_bin}; {accepted}" if bad_bin else empty if len(row) else "it has no bins"


def _first_bad_bin(row: _Array, is_bad: Callable[[_Array], Any]) -> str | None:
    for start in range(0, len(row), _BLOCK):
        block = row[start : start + _BLOCK]
        bad = is_bad(block)
        if bad.any():
            i = int(np.argmax(bad))
            return f"bin {start + i} is {block[i].item()!r}"
    return None
