r"""The logarithms of a normal distribution's masses in bins, right to all digits however far out the bins are.

With m and h the middle and the half width of a bin in standard units, and so reflected that m >= 0, its mass is

.. math:: M = \int_{m - h}^{m + h} \varphi(z) \, dz = 2 h \, \varphi(m) \sum_k \frac{He_{2k}(m) \, h^{2k}}{(2k + 1)!}

where the density changes little over it, h max(m, 1) <= 1/4. Otherwise, with a = m - h, b = m + h and Mills' ratio
:math:`R(z) = \int_z^\infty \varphi / \varphi(z)`,

.. math:: M = \varphi(a) \left( R(a) - e^{-2 m h} R(b) \right),

or, where a < 0, :math:`1 - \varphi(a) R(-a) - \varphi(b) R(b)`. Nothing cancels in either. Densities are
taken relative to that at the point of the range that is nearest to the mean, with differences of edges in the exponent.

N. L. Johnson, S. Kotz and N. Balakrishnan, Continuous univariate distributions, volume 1, Wiley, 1994, chapter 13.
"""

from typing import Any

import numpy as np

from fastkl.kernels._exp import exp
from fastkl.kernels._jit import entry, inline, inline_term
from fastkl.kernels._logratio import log_ratio

_ROOT_2PI = 2.5066282746310002
_NARROW = 0.25
_GROUP = 64  # bins that are narrow together, or are treated as if they might not be
# (z + 5) R(z) for z >= 0 as a polynomial in t = (z - 5) / (z + 5): a Chebyshev fit to 5e-17.
_K = 5.0
_R00, _R01, _R02, _R03, _R04, _R05, _R06, _R07 = (
    1.9280810471531575,
    -1.66786659518896,
    1.241547061573877,
    -0.7859110755465453,
    0.41364471573217226,
    -0.17325473408715042,
    0.05212550242182693,
    -0.007503282820678759,
)
_R08, _R09, _R10, _R11, _R12, _R13, _R14, _R15 = (
    -0.0019999620670556138,
    0.0013658591609424361,
    -0.00014883252854029768,
    -0.00012473565818721082,
    4.181269707272043e-05,
    9.974780085542733e-06,
    -6.9405498481783575e-06,
    -8.360675980181407e-07,
)
_R16, _R17, _R18, _R19, _R20, _R21, _R22, _R23 = (
    1.0865648093633823e-06,
    9.668428357216325e-08,
    -1.6898908396071304e-07,
    -1.7398124277679196e-08,
    2.324918339616538e-08,
    3.1868668438665133e-09,
    -1.968820796668673e-09,
    -3.336850487923168e-10,
)


@inline_term
def mills_ratio(z: Any) -> Any:
    """R(z), the mass beyond z over the density at z, for z >= 0."""
    r = 1.0 / (z + _K)
    t = 1.0 - (2.0 * _K) * r
    low = (_R00 + t * _R01) + (t * t) * (_R02 + t * _R03)
    tt = (t * t) * (t * t)
    low += tt * ((_R04 + t * _R05) + (t * t) * (_R06 + t * _R07))
    middle = (_R08 + t * _R09) + (t * t) * (_R10 + t * _R11)
    middle += tt * ((_R12 + t * _R13) + (t * t) * (_R14 + t * _R15))
    high = (_R16 + t * _R17) + (t * t) * (_R18 + t * _R19)
    high += tt * ((_R20 + t * _R21) + (t * t) * (_R22 + t * _R23))
    return r * (low + (tt * tt) * (middle + (tt * tt) * high))


@inline_term
def _narrow_sum(m: Any, h: Any) -> Any:
    # The sum over k of He_2k(m) h^2k / (2k + 1)!, to the last digit for h max(m, 1) <= 1/4.
    mm, hh = m * m, h * h
    h2 = mm - 1.0
    h4 = (mm - 5.0) * h2 - 2.0
    h6 = (mm - 9.0) * h4 - 12.0 * h2
    h8 = (mm - 13.0) * h6 - 30.0 * h4
    h10 = (mm - 17.0) * h8 - 56.0 * h6
    h12 = (mm - 21.0) * h10 - 90.0 * h8
    tail = hh * (h10 / 39916800.0 + hh * (h12 / 6227020800.0))
    tail = hh * (h6 / 5040.0 + hh * (h8 / 362880.0 + tail))
    return hh * (h2 / 6.0 + hh * (h4 / 120.0 + tail))


@inline_term
def narrow_mass(m: Any, h: Any) -> Any:
    """The mass of a narrow bin, but for a factor sqrt(2 pi), over the density at its middle."""
    return 2.0 * h * (1.0 + _narrow_sum(m, h))


@inline_term
def bin_mass(left: Any, right: Any, middle: Any, half_width: Any, loc: Any, scale: Any) -> Any:
    """(M, x, a, b, f(a), f(b)) of a bin: its mass M, but for a factor sqrt(2 pi), over the density at x.

    x is the middle of a narrow bin; otherwise the end that is nearer to the mean, or the mean if it lies inside.
    a <= b are the distances of the ends from the mean, so reflected that b > 0, and f the densities there over M.
    """
    m, h = (middle - loc) / scale, half_width / scale
    is_left = m < 0.0
    m = -m if is_left else m
    a = (loc - right if is_left else left - loc) / scale
    b = (loc - left if is_left else right - loc) / scale
    is_narrow, is_across = h * (m if m > 1.0 else 1.0) <= _NARROW, a < 0.0
    near = -a if is_across else a
    fall = exp(-2.0 * m * h)
    at_a = exp(h * (m - 0.5 * h) if is_narrow else (-0.5 * near * near if is_across else 0.0))
    near_mass, far_mass = mills_ratio(near), fall * mills_ratio(b)
    across = _ROOT_2PI - at_a * (near_mass + far_mass)
    wide = across if is_across else near_mass - far_mass
    end = loc if is_across else (right if is_left else left)
    small = h if is_narrow else 0.0
    narrow = narrow_mass(m, small)
    mass = narrow if is_narrow else wide
    density = at_a / mass
    return mass, (middle if is_narrow else end), a, b, density, density * fall


@entry
def log_normal_masses(bins, loc, scale, log, log_total):
    """Write the logarithms of the shares of the bins of normal distributions, and of the mass of the whole range.

    One row for each loc and scale; shares are those of the mass in the range. ``bins`` holds the left ends, right ends,
    middles and half widths of the bins, and last of the range. Rows of a loc that is not finite, or a scale that is
    not positive, are NaN.
    """
    left, right, middle, half_width = bins[0], bins[1], bins[2], bins[3]
    n = len(left) - 1
    masses, places = np.empty(n + 1), np.empty(n + 1)
    widest = np.empty(-(-n // _GROUP))
    for g in range(len(widest)):
        widest[g] = half_width[:n][g * _GROUP : (g + 1) * _GROUP].max()
    for row in range(len(loc)):
        mean, unit = loc[row], scale[row]
        if not (np.isfinite(mean) and 0.0 < unit < np.inf):
            log[row], log_total[row] = np.nan, np.nan
            continue
        origin = min(max(mean, left[n]), right[n])
        for g in range(len(widest)):
            first, stop = g * _GROUP, min((g + 1) * _GROUP, n)
            farthest = max(mean - left[first], right[stop - 1] - mean, unit)
            part = slice(first, stop)
            ends, mass, place = (left[part], right[part], middle[part], half_width[part]), masses[part], places[part]
            if (widest[g] / unit) * (farthest / unit) <= _NARROW:
                _narrow_masses(ends, mean, unit, origin, mass, place)
            else:
                _masses(ends, mean, unit, origin, mass, place)
        part = slice(n, n + 1)
        whole = left[part], right[part], middle[part], half_width[part]
        _masses(whole, mean, unit, origin, masses[part], places[part])
        start = (origin - mean) / unit
        log_total[row] = _finish(masses, places, start, log[row])


@inline
def _masses(bins, mean, unit, origin, masses, places):
    left, right, middle, half_width = bins
    for i in range(len(masses)):
        mass, x, _, _, _, _ = bin_mass(left[i], right[i], middle[i], half_width[i], mean, unit)
        masses[i], places[i] = mass, (x - origin) / unit


@inline
def _narrow_masses(bins, mean, unit, origin, masses, places):
    _, _, middle, half_width = bins
    for i in range(len(masses)):
        masses[i] = narrow_mass(abs((middle[i] - mean) / unit), half_width[i] / unit)
        places[i] = (middle[i] - origin) / unit


@entry
def log_normal_densities(points, loc, scale, log):
    """Write the logarithms of normal densities at points, over that at the point nearest to the mean; NaN as above."""
    for row in range(len(loc)):
        mean, unit = loc[row], scale[row]
        if not (np.isfinite(mean) and 0.0 < unit < np.inf):
            log[row] = np.nan
            continue
        origin = min(max(mean, points[0]), points[len(points) - 1])
        start = (origin - mean) / unit
        for i in range(len(points)):
            d = (points[i] - origin) / unit
            log[row, i] = -d * (0.5 * d + start)


@inline
def _finish(masses, places, start, log):
    # What is left of the range's mass, times sqrt(2 pi), is that of the density at the mean.
    n = len(masses) - 1
    total, d = masses[n], places[n]
    in_total = d * (0.5 * d + start)
    for i in range(n):
        d = places[i]
        log[i] = log_ratio(masses[i], total) - (d * (0.5 * d + start) - in_total)
    return np.log(total / _ROOT_2PI) - in_total - 0.5 * start * start
