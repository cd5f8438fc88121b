r"""Divergences of all pairs as products of matrices, and how exact those are.

With shares P, Q of rows of n bins, and logarithms of n Q, so that uniform rows have none,

.. math:: D(P_i \| Q_j) = h_i - \sum_k P_{ik} \log(n Q_{jk}), \qquad h_i = \sum_k P_{ik} \log(n P_{ik})

is one product for all i and j. It loses what its terms cancel. A sum of m terms, each rounded, is wrong by at most
e = (m + 16) u times the sum of their magnitudes, A, where u is the unit roundoff and 16 counts the roundings of the
factors and of the difference. As :math:`x \log(x / y) \ge x - y`,

.. math:: \sum_k P_k |\log(P_k / Q_k)| \le D + 2 T \le D + \sqrt{2 D} \le 2 D + 1/2

with Pinsker's inequality for the total variation T. With the uniform row in the place of Q it is
:math:`h + \sqrt{2 h}` at most, so that

.. math:: A_{ij} \le 2 D_{ij} + C_i, \qquad C_i = 1/2 + h_i + \sqrt{2 h_i}.

A computed d is therefore within e (2 D + C) of D, and right to ``rtol`` if it is at least t C, where
t = e + (1 + 2 e) e / (rtol - 2 e). What is smaller, and only that, is for the direct kernel. The Jeffreys divergence
has two such products and C_i + C_j. The Jensen-Shannon divergence is

.. math:: J_{ij} = \frac{h_i + h_j}{2} - \sum_k M_k \log(n M_k), \qquad M = \frac{P_i + Q_j}{2}:

no product of matrices, but one logarithm for two. As the h of M is at most the mean of h_i and h_j, the magnitudes sum
to no more than :math:`(h_i + h_j) / 2 + \sqrt{h_i} + \sqrt{h_j}`. A sum n M that is rounded by a part u of it moves its
logarithm by u, and the terms by u in all, however small they are: with this,

.. math:: C_i = 1/2 + h_i / 2 + \sqrt{h_i}.

The terms of the cross-entropy have one sign: nothing cancels, and e C is what raising the smallest shares may add.
Nor does anything cancel in a sum of powers, S; but it is subtracted from 1 and divided by |alpha (alpha - 1)|, or its
logarithm is divided by |alpha - 1|, and C is the inverse of that. Where the factors of a row have no room its C is
infinite, and all its divergences are for the direct kernel.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastkl import kernels
from fastkl._blas import one_blas_thread_here
from fastkl._engine import Answers, run
from fastkl.kernels._factors import LEAST_32, LEAST_64
from fastkl.powers import alpha_of, counts_as_zero, renyi_of

_Array = npt.NDArray[Any]
# A number: the shares raised to that power; masses: n / 2 of the shares.
Factor = Literal["shares", "logs", "masses"] | float

# Shares are raised to this; and no logarithm of one is larger.
_LEAST_SHARE, _MOST_LOG = {8: LEAST_64, 4: float(LEAST_32)}, 2.0**10
# Terms that the BLAS adds up, whose sums are added then: longer sums are less exact, shorter ones slower.
_TERMS = {8: 2048, 4: 128}
# Rows of factors come in so many, or in tiles that are full: the BLAS computes the rest of a tile in another order.
_ROWS = 16
# So does OpenBLAS, on some CPUs, with so small a product of so many terms at least.
_SMALL, _FEWEST_TERMS = 100**3, 32
# Totals between these may scale factors.
_LEAST_TOTAL, _MOST_TOTAL = 2.0**-100, 2.0**100
# Powers that are used as factors are at most this; 1 / 0 is _HOLE, and shows in any sum with a power of _LEAST.
_MOST_POWER, _HOLE, _LEAST_POWER = 2.0**300, 2.0**1000, 2.0**-400
_SHOWS = 2.0**500


class Plan(NamedTuple):
    """A divergence of pairs: what computes it directly, and what are the factors of x and y in a product."""

    kind: Any
    answer: Callable[..., Answers] = run
    is_exchanged: bool = False  # the divergence is that of (y, x)
    terms: tuple[tuple[Factor, Factor], ...] = ()  # none: there is no product
    order: float | None = None  # of powers
    is_logarithm: bool = False  # of powers
    is_symmetric: bool = False
    most: float = math.inf  # of normalised histograms, in nats


_KL = Plan(kernels.KL(), terms=(("shares", "logs"),))
_PLANS = {
    "kl": _KL,
    "reverse_kl": _KL._replace(is_exchanged=True, terms=(("logs", "shares"),)),
    "jeffreys": Plan(kernels.Jeffreys(), terms=(("shares", "logs"), ("logs", "shares")), is_symmetric=True),
    "js": Plan(kernels.JS(), terms=(("masses", "masses"),), is_symmetric=True, most=math.log(2.0)),
    "cross_entropy": Plan(kernels.CrossEntropy(), terms=(("shares", "logs"),)),
}
ORDERED = ("renyi", "alpha")
DIVERGENCES = (*_PLANS, *ORDERED)


def plan_of(divergence: str, alpha: float | None, normalize: bool) -> Plan:
    """The plan of a divergence; ``alpha`` is the order of those that have one."""
    if alpha is None:
        plan = _PLANS[divergence]
        # Of bins that are no shares the logarithms have either sign.
        return plan._replace(terms=()) if divergence in ("js", "cross_entropy") and not normalize else plan
    if alpha == 1.0:
        return _KL
    if counts_as_zero(alpha) and divergence == "alpha":
        return _PLANS["reverse_kl"]
    terms = ((alpha, 1.0 - alpha),) if normalize and not counts_as_zero(alpha) and abs(alpha) < 64.0 else ()
    is_logarithm = divergence == "renyi"
    kind, answer = renyi_of(alpha) if is_logarithm else alpha_of(alpha)
    if is_logarithm and alpha < 0.0:  # it is negative, and each of them would be in doubt
        terms = ()
    return Plan(kind, answer or run, False, terms, alpha, is_logarithm)


@dataclass(slots=True)
class Side:
    """Rows of one argument as factors, with what else a product needs to know of each."""

    factors: list[_Array]
    addends: _Array  # what they add to the difference
    doubts: _Array  # C, their part in the error
    totals: npt.NDArray[np.float64]


class Product:
    """One divergence of pairs, in one precision."""

    def __init__(self, plan: Plan, bins: int, normalize: bool, precision: np.dtype[Any]) -> None:
        self.plan, self.bins, self.normalize = plan, bins, normalize
        # Single precision has no room for powers, nor for totals of any size.
        self.precision = precision if plan.order is None and normalize else np.dtype(np.float64)
        self.terms = _TERMS[self.precision.itemsize]
        unit_roundoff = float(np.finfo(self.precision).eps) / 2
        added = min(bins, self.terms) + -(-bins // self.terms) * len(plan.terms)
        self.roundings = 16 if plan.order is None else 16 * (1 + abs(plan.order))
        self.is_mixture = plan.terms[:1] == (("masses", "masses"),)
        if self.is_mixture:  # summed in lanes, piece by piece
            added = min(bins, kernels.PIECE) // 16 + -(-bins // kernels.PIECE)
        self.error = (added + self.roundings) * unit_roundoff
        self.is_entropy = isinstance(plan.kind, kernels.CrossEntropy)

    def least(self, rtol: float) -> float:
        """t: a divergence that is at least t C is right to ``rtol``; inf where none is."""
        e = self.error
        return e + (1 + 2 * e) * e / (rtol - 2 * e) if rtol > 4 * e else math.inf

    def side(self, count: int, room: Side | None) -> Side:
        """Room for the factors of so many rows, that of another side if it fits: new memory takes time to come."""
        padded = -(-count // _ROWS) * _ROWS
        if room is None or len(room.totals) != padded:
            factors = [np.empty((padded, self.bins), self.precision) for _ in self.plan.terms]
            addends, doubts = np.empty((2, padded), self.precision)
            room = Side(factors, addends, doubts, np.empty(padded))
        for factor in room.factors:
            factor[count:] = 0
        # What fills up a tile is never in doubt.
        room.addends[count:], room.doubts[count:], room.totals[count:] = 0.0, -np.inf, 1.0
        return room

    def fill(self, side: Side, index: int, first: int, rows: npt.NDArray[np.float64], spread: _Array) -> None:
        """Fill the side of x, or of y, from its row ``first`` on. ``spread`` is h of the rows, NaN for invalid ones."""
        part, h = slice(first, first + len(rows)), np.nan_to_num(spread)
        addends, doubts, totals = np.zeros(len(rows)), np.zeros(len(rows)), side.totals[part]
        is_careful, is_invalid = np.zeros(len(rows), np.bool_), np.isnan(spread)
        if is_invalid.any():  # what comes of zeros is out of nobody's range
            rows = np.where(is_invalid[:, None], 0.0, rows)
        for factor, term in zip(side.factors, self.plan.terms, strict=True):
            self._fill_factor(factor[part], term[index], rows, totals, is_careful)
            addend, doubt = self._knowns(term[index], h)
            addends += addend
            doubts += doubt
        if not self.normalize:
            is_careful |= ~((totals == 0.0) | ((totals > _LEAST_TOTAL) & (totals < _MOST_TOTAL)))
            weights = np.where(is_careful, 1.0, totals)
            addends, doubts = weights * addends, weights * doubts
            for factor, term in zip(side.factors, self.plan.terms, strict=True):
                if term[index] == "shares":
                    factor[part] *= weights[:, None]
        if self.plan.order is not None and index == 0:
            doubts += 1.0 / abs(self._divisor)
        side.addends[part] = np.where(is_invalid, np.nan, addends)
        side.doubts[part] = np.where(is_careful, np.inf, doubts)

    def _knowns(self, factor: Factor, h: _Array) -> tuple[_Array | float, _Array | float]:
        # What rows add to the difference and to C that come as such a factor.
        if factor == "shares" and self.is_entropy:
            return 0.0, self.bins * _LEAST_SHARE[self.precision.itemsize] * _MOST_LOG / self.error
        if factor == "shares":
            return h, 0.5 + h + np.sqrt(2.0 * h)
        if factor == "masses":
            return 0.5 * h, 0.5 + 0.5 * h + np.sqrt(h)
        return 0.0, 0.0

    def _fill_factor(self, out: _Array, factor: Factor, rows: _Array, totals: _Array, is_careful: _Array) -> None:
        zero, where = self.precision.type(0), out.__array_interface__["data"][0]
        source = rows.__array_interface__["data"][0], len(rows), self.bins
        if factor == "logs":
            unit = 1.0 if self.is_entropy else float(self.bins)
            kernels.log_shares(zero, *source, unit, where, out.strides[0], totals)
            return
        kernels.shares(zero, *source, where, out.strides[0], totals)
        if factor == "shares":
            return
        if factor == "masses":
            out *= self.precision.type(0.5 * self.bins)
            return
        is_empty = out == 0.0
        if factor < 1:  # what shares are raised to shows in their powers
            is_careful |= (out <= LEAST_64).any(1, where=~is_empty)
        with np.errstate(divide="ignore", over="ignore"):
            np.power(out, factor, out=out)
        if factor < 0:
            out[is_empty] = 0.0
            is_careful |= out.max(1, initial=0.0) > _MOST_POWER
            out[is_empty] = _HOLE
        elif not 0 < factor < 1:
            np.copyto(out, _LEAST_POWER, where=(out < _LEAST_POWER) & ~is_empty)

    def fill_logs(self, side: Side, first: int, logs: npt.NDArray[np.float64]) -> None:
        """Fill the side of y with rows of shares that are given by their logarithms; NaN for rows that are none."""
        part, (term,) = slice(first, first + len(logs)), (terms[1] for terms in self.plan.terms)
        factor, unit_log, zero = side.factors[0][part], math.log(self.bins), self.precision.type(0)
        side.addends[part] = np.where(np.isnan(logs[:, 0]), np.nan, 0.0)
        side.doubts[part], side.totals[part] = 0.0, 1.0
        if term == "logs":
            kernels.log_factors(zero, logs, unit_log, factor)
        elif term == "shares":
            h = np.empty(len(logs))
            kernels.share_factors(zero, logs, unit_log, factor, h)
            side.addends[part], side.doubts[part] = h, 0.5 + h + np.sqrt(2.0 * h)
        else:
            kernels.power_factors(logs, term, _LEAST_POWER, factor)

    def multiply(self, x: Side, y: Side, part: slice) -> _Array:
        """The sums of products of the rows of x with some rows of y."""
        x_rows, y_rows = len(x.addends), len(y.addends[part])
        if self.is_mixture:
            sums = np.empty((x_rows, y_rows), self.precision)
            kernels.mixtures(x.factors[0], y.factors[0][part], sums)
            return sums
        size = -(-self.bins // -(-self.bins // self.terms))
        spans = [slice(start, start + size) for start in range(0, self.bins, size)]
        rows = x_rows if size < _FEWEST_TERMS else max(x_rows, _SMALL // (y_rows * (self.bins // len(spans))) + 1)
        factors = [(_with_rows(left, rows), right[part]) for left, right in zip(x.factors, y.factors, strict=True)]
        sums = np.empty((rows, y_rows), self.precision)
        first, *others = [(left[:, span], right[:, span].T) for left, right in factors for span in spans]
        more = np.empty_like(sums) if others else sums
        # Overflows are those of rows that are no histograms.
        with one_blas_thread_here(), np.errstate(over="ignore", invalid="ignore"):
            np.matmul(*first, out=sums)
            for other in others:
                np.matmul(*other, out=more)
                sums += more
        return sums[:x_rows]

    def finish(self, sums: _Array, x: Side, y: Side, part: slice, least: float) -> int:
        """Turn sums into divergences, in place; return how many are below ``least`` times C."""
        least_x, least_y = self.limits(x, y, part, least)
        if self.plan.order is None:
            return int(kernels.differences(sums, x.addends, y.addends[part], least_x, least_y))
        self._finish_powers(sums)
        sums += x.addends[:, None] + y.addends[part]  # NaN of invalid rows
        with np.errstate(invalid="ignore"):
            limits = least_x[:, None] + least_y
            sums[np.isposinf(limits)] = -np.inf  # whatever has come of factors without room
            return int(np.count_nonzero(sums < limits))

    def doubtful(
        self, divergences: _Array, x: Side, y: Side, part: slice, least: float, count: int
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Where the ``count`` divergences are that `finish` found below ``least`` times C."""
        places = np.empty(count, np.intp), np.empty(count, np.intp)
        if count:
            kernels.find_below(divergences, *self.limits(x, y, part, least), *places)
        return places

    def limits(self, x: Side, y: Side, part: slice, least: float) -> tuple[_Array, _Array]:
        """``least`` times C of the rows of x and of some of y; their sum is compared with."""
        with np.errstate(invalid="ignore"):
            return self.precision.type(least) * x.doubts, self.precision.type(least) * y.doubts[part]

    def _finish_powers(self, sums: _Array) -> None:
        has_hole = sums > _SHOWS
        with np.errstate(divide="ignore"):
            if self.plan.is_logarithm:
                np.log(sums, out=sums)
            else:
                sums -= 1.0
        sums /= self._divisor
        sums[has_hole] = np.inf

    @property
    def _divisor(self) -> float:
        order = self.plan.order
        assert order is not None
        return order - 1.0 if self.plan.is_logarithm else order * (order - 1.0)

    def add_terms(self, divergences: _Array, x: Side, y: Side, part: slice) -> None:
        """Add what the totals differ by, which counts where rows are not normalised."""
        a, b = (np.where(t == 0.0, 0.0, np.clip(t, _LEAST_TOTAL, _MOST_TOTAL)) for t in (x.totals, y.totals[part]))
        kernels.add_terms(self.plan.kind, self.plan.is_exchanged, divergences, a, b)


def _with_rows(factor: _Array, rows: int) -> _Array:
    """A factor with rows of zeros after its own, so that there are so many."""
    if len(factor) == rows:
        return factor
    padded = np.zeros((rows, factor.shape[1]), factor.dtype)
    padded[: len(factor)] = factor
    return padded
