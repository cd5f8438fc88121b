"""What the answers should be: sums in arithmetic of 50 digits, and NumPy with SciPy for larger arrays."""

from typing import Any, NamedTuple

import mpmath
import numpy as np
import scipy.special
import scipy.stats

mp = mpmath.mp
P_WEIGHT = 0.3  # of the weighted Jensen-Shannon divergence


class Exact(NamedTuple):
    """An exact value, and the most that it changes where every bin moves by its own relative unit."""

    value: Any
    sensitivity: float


def exact(
    name: str,
    p: Any,
    q: Any = None,
    *,
    normalize: bool = True,
    weights: Any = None,
    pseudocount: float = 0.0,
    times: Any = None,
) -> Exact:
    """The function ``name`` of two histograms, each bin ``times`` over, in 50 digits of its smallest part."""
    p = np.asarray(p, float)
    q = p if q is None else np.asarray(q, float)
    weights = np.ones(len(p)) if weights is None else np.asarray(weights, float)
    times = np.ones(len(p), int) if times is None else times
    with mp.workdps(50 + (_orders_of_magnitude(p, q) if normalize else 0)):
        c = mp.mpf(float(pseudocount))
        x, y = ([mp.mpf(v) + c for v in row.tolist()] for row in (p, q))
        w = [mp.mpf(v) * k for v, k in zip(weights.tolist(), times.tolist(), strict=True)]
        if normalize:
            x, y = _normalized(x, w), _normalized(y, w)
        bins = [(v, a, b) for v, a, b in zip(w, x, y, strict=True) if v > 0]
        if name in ("kl_divergence", "cross_entropy") and any(a > 0 == b for _, a, b in bins):
            return Exact(mp.inf, 0.0)
        if name == "jeffreys_divergence" and any((a > 0) != (b > 0) for _, a, b in bins):
            return Exact(mp.inf, 0.0)
        value, parts = _FUNCTIONS[name](bins, normalize)
        return Exact(value, float(mp.fsum(parts)))


def _orders_of_magnitude(*rows: Any) -> int:
    logs = [np.log10(row[row > 0]) for row in rows]
    return int(max(np.ptp(log) if len(log) else 0 for log in logs))


def _normalized(x: list[Any], w: list[Any]) -> list[Any]:
    total = mp.fsum(a * b for a, b in zip(x, w, strict=True))
    return [v / total for v in x]


def _kl(bins: list[Any], normalize: bool) -> Any:
    logs = [mp.log(x / y) if x > 0 else mp.mpf(0) for _, x, y in bins]
    value = mp.fsum(w * x * log for (w, x, _), log in zip(bins, logs, strict=True))
    if not normalize:
        value = mp.fsum(w * (x * log - x + y) for (w, x, y), log in zip(bins, logs, strict=True))
    return value, [w * (x * abs(log - value) + abs(x - y)) for (w, x, y), log in zip(bins, logs, strict=True)]


def _cross_entropy(bins: list[Any], normalize: bool) -> Any:
    logs = [mp.log(y) if x > 0 else mp.mpf(0) for _, x, y in bins]
    value = -mp.fsum(w * x * log for (w, x, _), log in zip(bins, logs, strict=True))
    if not normalize:
        return value, [w * x * (abs(log) + 1) for (w, x, _), log in zip(bins, logs, strict=True)]
    return value, [w * (x * abs(log + value) + abs(x - y)) for (w, x, y), log in zip(bins, logs, strict=True)]


def _entropy(bins: list[Any], normalize: bool) -> Any:
    return _cross_entropy(bins, normalize)


def _js(bins: list[Any], normalize: bool) -> Any:
    middles = [(w, x, y, (x + y) / 2) for w, x, y in bins]
    left = [(w * x, mp.log(x / m)) for w, x, y, m in middles if x > 0]
    right = [(w * y, mp.log(y / m)) for w, x, y, m in middles if y > 0]
    value = mp.fsum(v * log for v, log in left + right) / 2
    return value, [v * abs(log) for v, log in left + right]


def _weighted_js(bins: list[Any], normalize: bool) -> Any:
    share = mp.mpf(P_WEIGHT)
    middles = [(w, x, y, share * x + (1 - share) * y) for w, x, y in bins]
    left = [(w * x * share, mp.log(x / m)) for w, x, y, m in middles if x > 0]
    right = [(w * y * (1 - share), mp.log(y / m)) for w, x, y, m in middles if y > 0]
    value = mp.fsum(v * log for v, log in left + right)
    return value, [v * abs(log) for v, log in left + right]


def _jeffreys(bins: list[Any], normalize: bool) -> Any:
    logs = [(w, x, y, mp.log(x / y)) for w, x, y in bins if x > 0]
    value = mp.fsum(w * (x - y) * log for w, x, y, log in logs)
    if normalize:
        # Of the sum over P log(P/Q), and of that over Q log(Q/P), scaled as each is.
        forward = mp.fsum(w * x * log for w, x, y, log in logs)
        backward = value - forward
        return value, [w * (x * abs(log - forward) + y * abs(log + backward) + 2 * abs(x - y)) for w, x, y, log in logs]
    return value, [w * (x + y) * abs(log) for w, x, y, log in logs]


_FUNCTIONS = {
    "kl_divergence": _kl,
    "cross_entropy": _cross_entropy,
    "entropy": _entropy,
    "js_divergence": _js,
    "weighted js_divergence": _weighted_js,
    "jeffreys_divergence": _jeffreys,
}


def relative_error(got: Any, value: Any) -> float:
    """|got - value| / |value|, in 50 digits; zeros and infinities must be hit exactly."""
    with mp.workdps(400):
        got = mp.mpf(float(got))
        if got == value:
            return 0.0
        return float(abs(got - value) / abs(value)) if value != 0 and mp.isfinite(value) else np.inf


def assert_backward_stable(got: Any, answer: Exact, bins: int, eps: float = 2.0**-52, ulps: int = 8) -> None:
    """``got`` is the rounded answer for some inputs that are within a few ulp of the given ones.

    Where inputs are equal but for rounding, the answer is the square of the rounding.
    """
    if not mp.isfinite(answer.value):
        assert got == answer.value
        return
    tolerance = ulps * eps * (answer.sensitivity + abs(float(answer.value))) + ulps * eps**2 + bins * 5e-324
    with mp.workdps(400):
        error = float(abs(mp.mpf(float(got)) - answer.value))
    assert error <= tolerance, (
        f"off by {error:.3g}, {error / tolerance:.3g} times what is allowed, at {float(answer.value)!r}"
    )


def by_scipy(name: str, p: Any, q: Any = None, *, axis: int = -1, normalize: bool = True) -> Any:
    """The function ``name`` over arrays of one number of dimensions, from SciPy's functions of one bin."""
    p = np.asarray(p).astype(float)
    q = p if q is None else np.asarray(q).astype(float)
    if normalize:
        p, q = p / p.sum(axis, keepdims=True), q / q.sum(axis, keepdims=True)
    if name == "kl_divergence":
        return scipy.special.kl_div(p, q).sum(axis)
    if name.endswith("js_divergence"):
        share = 0.5 if name == "js_divergence" else P_WEIGHT
        m = share * p + (1 - share) * q
        return (share * scipy.special.rel_entr(p, m) + (1 - share) * scipy.special.rel_entr(q, m)).sum(axis)
    if name == "jeffreys_divergence":
        return (scipy.special.rel_entr(p, q) + scipy.special.rel_entr(q, p)).sum(axis)
    bins = scipy.special.rel_entr(p, q) + scipy.special.entr(p)
    return np.where(np.isnan(bins), np.inf, bins).sum(axis)
