"""What the answers should be: sums in arithmetic of 50 digits, and NumPy with SciPy for larger arrays."""

from functools import partial
from typing import Any, NamedTuple

import mpmath
import numpy as np
import scipy.special
import scipy.stats

mp = mpmath.mp
P_WEIGHT = 0.3  # of the weighted Jensen-Shannon divergence
ALPHAS = {"alpha_divergence 2.5": 2.5, "alpha_divergence 0.3": 0.3}
ORDERS = {"renyi_divergence 0.6": 0.6}


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
        if ALPHAS.get(name, ORDERS.get(name, 0.0)) >= 1 and any(a > 0 == b for _, a, b in bins):
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


def _alpha(alpha: Any, bins: list[Any], normalize: bool) -> Any:
    a = mp.mpf(alpha)
    apart = [(w, x, y) for w, x, y in bins if x != y]  # the digits of powers of equal bins would not cancel
    value = mp.fsum(w * (x**a * y ** (1 - a) - a * x - (1 - a) * y) for w, x, y in apart) / (a * (a - 1))
    # The derivatives of a bin's term; a normalised bin's move is that of its share.
    by_x = [
        w * x * ((x / y) ** (a - 1) - 1) / (a - 1) if x > 0 else mp.mpf(0) for w, x, y in bins if x + y > 0 if y > 0
    ]
    by_y = [-w * y * ((x / y) ** a - 1) / a for w, x, y in bins if y > 0]
    alone = [w * x / (1 - a) for w, x, y in bins if y == 0 < x]
    shifts = mp.fsum(by_x) + mp.fsum(alone), mp.fsum(by_y)
    xs = [(w * x, v) for (w, x, y), v in zip([b for b in bins if b[2] > 0], by_x, strict=True)]
    ys = [(w * y, v) for (w, x, y), v in zip([b for b in bins if b[2] > 0], by_y, strict=True)]
    if not normalize:
        return value, [abs(v) for v in by_x + by_y + alone]
    moves = [abs(v - m * shifts[0]) for m, v in xs] + [abs(v - m * shifts[1]) for m, v in ys]
    return value, moves + [abs(v) * (1 + abs(shifts[0])) for v in alone]


def _renyi(alpha: Any, bins: list[Any], normalize: bool) -> Any:
    a = mp.mpf(alpha)
    divergence, parts = _alpha(alpha, bins, normalize)
    sum_of_powers = 1 + a * (a - 1) * divergence
    if sum_of_powers <= 0:
        return mp.inf, [mp.mpf(0)]
    return mp.log(sum_of_powers) / (a - 1), [a * part / sum_of_powers for part in parts]


_FUNCTIONS = {
    "kl_divergence": _kl,
    "cross_entropy": _cross_entropy,
    "entropy": _entropy,
    "js_divergence": _js,
    "weighted js_divergence": _weighted_js,
    "jeffreys_divergence": _jeffreys,
    **{name: partial(_alpha, alpha) for name, alpha in ALPHAS.items()},
    **{name: partial(_renyi, alpha) for name, alpha in ORDERS.items()},
}


def representable(value: Any, like: Any) -> Any:
    """``value``, or infinity where it is beyond the numbers of the precision of ``like``."""
    return value if abs(value) <= float(np.finfo(np.asarray(like).dtype).max) else mp.sign(value) * mp.inf


def relative_error(got: Any, value: Any) -> float:
    """|got - value| / |value|, in 50 digits; zeros and infinities must be hit exactly."""
    value = representable(value, got)
    with mp.workdps(400):
        got = mp.mpf(float(got))
        if got == value:
            return 0.0
        return float(abs(got - value) / abs(value)) if value != 0 and mp.isfinite(value) else np.inf


def assert_backward_stable(got: Any, answer: Exact, bins: int, eps: float = 2.0**-52, ulps: int = 8) -> None:
    """``got`` is the rounded answer for some inputs that are within a few ulp of the given ones.

    Where inputs are equal but for rounding, the answer is the square of the rounding.
    """
    if not mp.isfinite(representable(answer.value, got)):
        assert got == representable(answer.value, got)
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
    alpha = ALPHAS.get(name, ORDERS.get(name))
    if alpha is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            powers = np.where((p > 0) & (q > 0), p**alpha * q ** (1 - alpha), 0)
            powers[(p > 0) & (q == 0)] = np.inf if alpha > 1 else 0
        value = (powers - alpha * p - (1 - alpha) * q).sum(axis) / (alpha * (alpha - 1))
        if name in ORDERS:
            with np.errstate(divide="ignore"):
                value = np.log(np.maximum(1 + alpha * (alpha - 1) * value, 0)) / (alpha - 1)
        return value
    bins = scipy.special.rel_entr(p, q) + scipy.special.entr(p)
    return np.where(np.isnan(bins), np.inf, bins).sum(axis)
