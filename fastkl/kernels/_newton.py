r"""The normal distribution nearest to a histogram: Newton's method from a start that is near.

With shares q of the bins, L = log q, and parameters nu = (loc - loc_0) / scale_0 and tau = log(scale / scale_0), a
divergence :math:`V = \sum_i f(p_i, L_i)` has

.. math:: V_x = \sum_i g_i s_{i,x}, \qquad V_{xy} = \sum_i (g_i S_{i,xy} + k_i s_{i,x} s_{i,y})

where g and k are the first two derivatives of f by L, and s and S those of L by the parameters: those of the logarithm
of the bin's mass, r, without their means over q. Of a bin they are differences of :math:`z^k \varphi(z)` over its mass.
"""

import math

import numpy as np

from fastkl.kernels._exp import exp
from fastkl.kernels._fits import LEAST_LOG
from fastkl.kernels._jit import entry, inline, sums
from fastkl.kernels._logratio import log_ratio
from fastkl.kernels._normal import bin_mass

FORWARD, REVERSE, BETWEEN = 0, 1, 2
_STEPS = 60
_LARGEST_STEP = 0.7  # in units of the scale, and of its logarithm
_NOISE = 1e-12  # by which a rounded divergence may seem to grow
_SMALL_STEP = 1e-9  # whose square is no step
_NEAR_AN_END = 0.01  # orders whose divergence is a small difference over a small number
_WIDEST = 1e3  # scale over the range of the bins, at which a fit that grows for ever is left


@entry
def fit_normals(bins, is_edges, p, log_p, objective, alpha, loc, scale, is_converged):
    """Move loc and scale of each row of shares p to the minimum of the divergence that lies downhill from them.

    ``bins`` are the left ends, right ends, middles and half widths of bins, or middles in all four for points;
    ``log_p`` the logarithms of p, which the reverse divergence needs. ``objective`` is FORWARD, REVERSE or BETWEEN,
    which has the order ``alpha``.
    """
    n = p.shape[1]
    room = np.empty((10, n))
    state, best, step = np.empty(6), np.empty(6), np.empty(2)
    reach = bins[1, n - 1] - bins[0, 0]
    for row in range(len(p)):
        is_converged[row] = False
        at_loc, at_scale = loc[row], scale[row]
        best[0], step[:] = np.inf, 0.0
        for _ in range(_STEPS):
            new_loc, new_scale = at_loc + at_scale * step[0], at_scale * math.exp(step[1])
            _survey(bins, is_edges, p[row], log_p[row], objective, alpha, new_loc, new_scale, room, state)
            if not state[0] <= best[0] + _NOISE * (1.0 + abs(best[0])):
                if best[0] == np.inf or max(abs(step[0]), abs(step[1])) < 1e-7:
                    break
                step *= 0.25
                continue
            at_loc, at_scale = new_loc, new_scale
            best[:] = state
            _choose_step(best, step)
            size = max(abs(step[0]), abs(step[1]))
            if size < _SMALL_STEP:
                is_converged[row] = best[3] > 0.0 and best[3] * best[5] > best[4] * best[4]
                at_loc, at_scale = at_loc + at_scale * step[0], at_scale * math.exp(step[1])
                break
            if not size < np.inf or at_scale > _WIDEST * reach:
                break
        loc[row], scale[row] = at_loc, at_scale


@inline
def _choose_step(state, step):
    # Newton's step where the surface is convex; otherwise that of the surface with its curvatures made positive.
    _, g0, g1, h00, h01, h11 = state
    middle, half = 0.5 * (h00 + h11), math.hypot(0.5 * (h00 - h11), h01)
    least, most = middle - half, middle + half
    shift = 0.0
    if least < 1e-10 * abs(most):
        shift = max(-2.0 * least, 1e-3 * abs(most)) - (least if least > 0.0 else 0.0)
    a, b = h00 + shift, h11 + shift
    determinant = a * b - h01 * h01
    step[0], step[1] = -(b * g0 - h01 * g1) / determinant, -(a * g1 - h01 * g0) / determinant
    if g0 == 0.0 and g1 == 0.0:
        step[:] = 0.0
    size = max(abs(step[0]), abs(step[1]))
    if size > _LARGEST_STEP:
        step *= _LARGEST_STEP / size


@inline
def _survey(bins, is_edges, p, log_p, objective, alpha, loc, scale, room, state):
    # (V, its first derivatives, its second ones).
    log_q, q, r0, r1 = room[0], room[1], room[2], room[3]
    r00, r01, r11, f, g, k = room[4], room[5], room[6], room[7], room[8], room[9]
    n = len(p)
    origin = min(max(loc, bins[0, 0]), bins[1, n - 1])
    start = (origin - loc) / scale
    if is_edges:
        _differentiate_bins(bins, loc, scale, origin, start, q, log_q, r0, r1, r00, r01, r11)
    else:
        _differentiate_points(bins[2], loc, scale, origin, start, q, log_q, r0, r1, r00, r01, r11)
    total = _sum(q)
    log_total = math.log(total)
    for i in range(n):
        q[i] /= total
        log_q[i] -= log_total
    m0, m1, m00, m01, m11 = _means(q, r0, r1, r00, r01, r11)
    z00, z01, z11 = m00 - m0 * m0, m01 - m0 * m1, m11 - m1 * m1
    _weigh(p, log_p, q, log_q, objective, alpha, f, g, k)
    sum_f, sum_g, sum_k, g0, g1, g00, g01, g11, k0, k1, k00, k01, k11 = _totals(f, g, k, r0, r1, r00, r01, r11)
    state[0] = sum_f
    state[1], state[2] = g0 - m0 * sum_g, g1 - m1 * sum_g
    state[3] = g00 - z00 * sum_g + k00 - 2.0 * m0 * k0 + m0 * m0 * sum_k
    state[4] = g01 - z01 * sum_g + k01 - m0 * k1 - m1 * k0 + m0 * m1 * sum_k
    state[5] = g11 - z11 * sum_g + k11 - 2.0 * m1 * k1 + m1 * m1 * sum_k


@inline
def _differentiate_bins(bins, loc, scale, origin, start, q, log_q, r0, r1, r00, r01, r11):
    left, right, middle, half_width = bins[0], bins[1], bins[2], bins[3]
    for i in range(len(q)):
        mass, x, a, b, at_a, at_b = bin_mass(left[i], right[i], middle[i], half_width[i], loc, scale)
        sign = -1.0 if middle[i] < loc else 1.0
        b = b if at_b > 0.0 else 0.0
        d0, d1 = sign * (at_b - at_a), b * at_b - a * at_a
        d2, d3 = sign * (b * b * at_b - a * a * at_a), b * b * b * at_b - a * a * a * at_a
        r0[i], r1[i] = -d0, -d1
        r00[i], r01[i], r11[i] = -d1 - d0 * d0, (d0 - d2) - d0 * d1, (d1 - d3) - d1 * d1
        d = (x - origin) / scale
        e = -d * (0.5 * d + start)
        q[i] = mass * exp(e)
        log_q[i] = e + log_ratio(mass, 1.0)


@inline
def _differentiate_points(points, loc, scale, origin, start, q, log_q, r0, r1, r00, r01, r11):
    for i in range(len(q)):
        z, d = (points[i] - loc) / scale, (points[i] - origin) / scale
        e = -d * (0.5 * d + start)
        r0[i], r1[i] = z, z * z
        r00[i], r01[i], r11[i] = -1.0, -2.0 * z, -2.0 * z * z
        q[i], log_q[i] = exp(e), e


@inline
def _weigh(p, log_p, q, log_q, objective, alpha, f, g, k):
    # The terms of V, and their derivatives by L.
    if objective == FORWARD:
        for i in range(len(p)):
            f[i] = p[i] * (log_p[i] - log_q[i]) if p[i] > 0.0 else 0.0
            g[i], k[i] = -p[i], 0.0
    elif objective == REVERSE:
        for i in range(len(p)):
            d = log_q[i] - log_p[i]
            # Shares that are no normal numbers count as none, as everywhere.
            is_some = log_q[i] > LEAST_LOG
            f[i] = q[i] * d if is_some else 0.0
            g[i] = q[i] * (d + 1.0) if is_some else 0.0
            k[i] = q[i] * (d + 2.0) if is_some else 0.0
    else:
        for i in range(len(p)):
            power = exp(alpha * log_p[i] + (1.0 - alpha) * log_q[i]) if p[i] > 0.0 else 0.0
            f[i] = (alpha * p[i] + (1.0 - alpha) * q[i] - power) / (alpha * (1.0 - alpha))
            g[i], k[i] = -power / alpha, -(1.0 - alpha) * power / alpha
        if not _NEAR_AN_END <= alpha <= 1.0 - _NEAR_AN_END:
            _replace_terms(p, log_p, q, log_q, alpha, f)


@inline
def _replace_terms(p, log_p, q, log_q, alpha, f):
    # f without the difference of nearly equal numbers that are divided by a small one.
    for i in range(len(p)):
        d = log_p[i] - log_q[i]
        if p[i] == 0.0 or q[i] == 0.0:
            f[i] = p[i] / (1.0 - alpha) + q[i] / alpha
        elif alpha < 0.5:
            f[i] = ((p[i] - q[i]) - q[i] * (math.expm1(alpha * d) / alpha)) / (1.0 - alpha)
        else:
            f[i] = ((q[i] - p[i]) - p[i] * (math.expm1((alpha - 1.0) * d) / (1.0 - alpha))) / alpha


@sums
def _sum(x):
    total = 0.0
    for i in range(len(x)):
        total += x[i]
    return total


@sums
def _means(q, r0, r1, r00, r01, r11):
    m0, m1, m00, m01, m11 = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(q)):
        m0 += q[i] * r0[i]
        m1 += q[i] * r1[i]
        m00 += q[i] * (r00[i] + r0[i] * r0[i])
        m01 += q[i] * (r01[i] + r0[i] * r1[i])
        m11 += q[i] * (r11[i] + r1[i] * r1[i])
    return m0, m1, m00, m01, m11


@sums
def _totals(f, g, k, r0, r1, r00, r01, r11):
    sum_f, sum_g, sum_k, g0, g1, g00, g01, g11 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    k0, k1, k00, k01, k11 = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(f)):
        sum_f += f[i]
        sum_g += g[i]
        sum_k += k[i]
        g0 += g[i] * r0[i]
        g1 += g[i] * r1[i]
        g00 += g[i] * r00[i]
        g01 += g[i] * r01[i]
        g11 += g[i] * r11[i]
        k0 += k[i] * r0[i]
        k1 += k[i] * r1[i]
        k00 += k[i] * r0[i] * r0[i]
        k01 += k[i] * r0[i] * r1[i]
        k11 += k[i] * r1[i] * r1[i]
    return sum_f, sum_g, sum_k, g0, g1, g00, g01, g11, k0, k1, k00, k01, k11
