"""What the fast loops can't take, and how it is noticed: bins that are too large, too small or invalid, and scales."""

from typing import Any

import numpy as np

from fastkl.kernels._jit import apart, inline, widest_vectors
from fastkl.kernels._logratio import constants, high_bits, highest_pattern, is_clear_sum, odd_bits, pattern
from fastkl.kernels._memory import view
from fastkl.kernels._terms import is_told_by_sum


@inline
def odd_part(x: Any, is_told: Any) -> Any:
    """Nonzero for a bin that the fast loops can't take; one that is too small they can where the sum tells of it."""
    return high_bits(x) if is_told else odd_bits(x)


@inline
def odd_part_of(x: Any, is_told: Any) -> Any:
    """`odd_part` of all the bins x together."""
    return _odd_part_of(x.ctypes.data, len(x), x.dtype.type(0), is_told)


@apart
def _odd_part_of(address, n, zero, is_told):
    widest_vectors()
    x, found = view(address, n, type(zero)), odd_bits(zero)
    for i in range(n):
        found = type(found)(found | odd_part(x[i], is_told))
    return np.int64(found)


@inline
def also_seen(kind: Any, seen: Any, x: Any, y: Any) -> Any:
    """What was seen of some bins, zero of none, and what is seen of the bin (x, y)."""
    if is_told_by_sum(kind, x):
        # All bits of all: one operation for two bins, in a third of the time of their maximum. They are no less than
        # the largest pattern, but where bins lie on both sides of 2 they are those of infinity, and looked at in vain.
        return type(seen)(seen | pattern(x) | pattern(y))
    return type(seen)(seen | type(seen)(odd_bits(x) | odd_bits(y)))


@inline
def is_odd(kind: Any, seen: Any, zero: Any, are_low: Any) -> Any:
    """True if one of the bins, of the precision of ``zero``, may be what `odd_bins` looks for.

    ``are_low`` says that none is above HUGE, or NaN.
    """
    if is_told_by_sum(kind, zero):
        return seen >= pattern(-zero) if are_low else seen > highest_pattern(zero)  # a sign, or more than HUGE
    return seen != 0


@inline
def look_at(kind: Any, x: Any, y: Any, are_low: Any) -> Any:
    """What `odd_bins` wants to have been seen of the bins (x, y); ``are_low`` as in `is_odd`."""
    return _look_at(kind, x.dtype.type(0), (x.ctypes.data, y.ctypes.data), len(x), are_low)


@apart
def _look_at(kind, zero, addresses, n, are_low):
    widest_vectors()
    x, y = view(addresses[0], n, type(zero)), view(addresses[1], n, type(zero))
    seen = pattern(zero)
    for i in range(n):
        seen = also_seen(kind, seen, x[i], y[i])
    return odd_parts(kind, seen, x, y, are_low)


@inline
def odd_parts(kind: Any, seen: Any, x: Any, y: Any, are_low: Any) -> Any:
    """What is odd of the bins (x, y), of which `also_seen` has seen what it could; ``are_low`` as in `is_odd`.

    Those that are too small are not, where the sum tells of them.
    """
    if not is_odd(kind, seen, x.dtype.type(0), are_low):
        return np.int64(0)
    is_told = is_told_by_sum(kind, x.dtype.type(0))
    return odd_part_of(x, is_told) | odd_part_of(y, is_told)


@inline
def odd_bins(kind: Any, seen: Any, total: Any, x: Any, y: Any, is_plain: Any) -> Any:
    """Nonzero where the fast loops can't take some of the bins (x, y).

    ``seen`` is nonzero if one of them, or of others, is too high or invalid, and for kinds that are not told by their
    sum also if one is too small. ``total`` is that of their terms, and ``is_plain`` unless weights are in it.
    """
    is_told = is_told_by_sum(kind, total) and is_plain and is_clear_sum(total)
    if seen == 0 and (is_told or not is_told_by_sum(kind, total)):
        return np.int64(0)
    return odd_part_of(x, is_told) | odd_part_of(y, is_told)


@inline
def odd_products(w: Any, total: Any) -> Any:
    """Nonzero where products of weights and terms, neither of them normalised, may have left the normal range."""
    return np.int64(len(w) > 0 and not is_clear_sum(abs(total)))


@inline
def is_moderate(scale: Any) -> Any:
    """True where a scale keeps every operand of the fast loops in the normal range; false for NaN."""
    _, _, largest, _ = constants(scale)
    return (scale <= largest) & (scale * largest >= type(scale)(1.0))
