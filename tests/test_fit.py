"""Fits: the global minimum of the grid by brute force with SciPy, refined optima, published cases, edges."""

import itertools
import pickle

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn.datasets import load_digits

import fastkl
from fastkl.fitting._axis import axis_of as bins_of
from fastkl.fitting._families import family_of

EDGES = np.linspace(0.0, 11.0, 23)
POINTS = 0.5 * (EDGES[1:] + EDGES[:-1])
COUNTS = np.arange(12.0)
LOC, SCALE = np.linspace(0, 10, 11), np.geomspace(0.5, 5, 7)

FAMILIES = {
    "norm": ({"loc": LOC, "scale": SCALE}, {}),
    "laplace": ({"loc": LOC, "scale": SCALE}, {}),
    "t": ({"df": [2.0, 20.0], "loc": LOC, "scale": SCALE}, {}),
    "gamma": ({"a": [0.8, 2.0, 5.0], "scale": SCALE}, {}),
    "lognorm": ({"s": [0.4, 0.9, 1.5], "scale": SCALE}, {}),
    "beta": ({"a": [1.2, 2.0, 5.0], "b": [1.2, 2.0, 5.0]}, {"loc": -0.5, "scale": 12.0}),
    "expon": ({"scale": np.geomspace(0.5, 9, 30)}, {}),
    "invgamma": ({"a": [1.2, 3.0, 6.0], "scale": np.linspace(2, 18, 8)}, {}),
    "poisson": ({"mu": np.linspace(1, 11, 21)}, {}),
    "binom": ({"p": np.linspace(0.1, 0.9, 17)}, {"n": 11}),
    "nbinom": ({"n": [1.0, 4.0, 9.0], "p": np.linspace(0.2, 0.9, 8)}, {}),
}
OBJECTIVES = ["forward", "reverse", 0.3]


def masses(name, parameters, axis):
    frozen = getattr(scipy.stats, name)(**parameters)
    is_discrete = hasattr(frozen.dist, "pmf")
    if "points" in axis:
        q = (frozen.pmf if is_discrete else frozen.pdf)(axis["points"])
    elif is_discrete:
        q = frozen.pmf(COUNTS)  # each bin has one number
    else:
        below, above = frozen.cdf(axis["edges"]), frozen.sf(axis["edges"])
        q = np.where(below[:-1] < 0.5, np.diff(below), -np.diff(above))
    return q / q.sum()


def divergence(p, q, objective):
    p = p / p.sum()
    if objective == "forward":
        return scipy.special.rel_entr(p, q).sum(-1)
    if objective == "reverse":
        return scipy.special.rel_entr(q, p).sum(-1)
    return (1 - (p**objective * q ** (1 - objective)).sum(-1)) / (objective * (1 - objective))


def axis_of(name, kind):
    if hasattr(getattr(scipy.stats, name), "pmf"):
        return {"edges": np.arange(13) - 0.5} if kind == "edges" else {"points": COUNTS}
    return {"edges": EDGES} if kind == "edges" else {"points": POINTS}


def histograms(rows, bins, seed=0):
    return np.random.default_rng(seed).gamma(2.0, size=(rows, bins)) + 0.1


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["edges", "points"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_least_of_the_grid_is_that_of_brute_force(name, kind, objective):
    grid, fixed = FAMILIES[name]
    axis = axis_of(name, kind)
    p = histograms(6, len(axis.get("points", axis.get("edges"))) - (kind == "edges"))
    table = np.array(
        [
            masses(name, dict(zip(grid, values, strict=True)) | fixed, axis)
            for values in itertools.product(*grid.values())
        ]
    )
    truth = np.array([divergence(row, table, objective) for row in p])
    options = dict(axis, family=name, grid=grid, fixed=fixed, objective=objective)
    found = fastkl.fit(p, refine=False, surface=True, **options)
    np.testing.assert_array_equal(found.grid_index, truth.argmin(1))
    np.testing.assert_allclose(found.divergence, truth.min(1), rtol=1e-11)
    near = truth < 20.0  # what lies lower is lost in SciPy's differences
    np.testing.assert_allclose(found.surface.reshape(truth.shape)[near], truth[near], rtol=1e-8)
    assert found.surface.shape == (6, *(len(values) for values in grid.values()))
    q = found.histogram()
    again = {"forward": lambda: fastkl.kl_divergence(p, q), "reverse": lambda: fastkl.kl_divergence(q, p)}
    exact = again.get(objective, lambda: fastkl.alpha_divergence(p, q, objective))()
    np.testing.assert_array_equal(found.divergence, exact)
    refined = fastkl.fit(p, **options)
    assert (refined.divergence <= found.divergence).all()
    np.testing.assert_array_equal(fastkl.fit(p, refine=False, **options).grid_index, found.grid_index)


def two_modes(x, left, right):
    return np.exp(-0.5 * (x - left) ** 2) + np.exp(-0.5 * (x - right) ** 2)


def test_two_modes_far_apart():
    x = np.linspace(-40, 50, 9001)
    p = two_modes(x, 0.0, 10.0)
    forward = fastkl.fit(p, points=x)
    assert forward.converged
    np.testing.assert_allclose([forward.params["loc"], forward.params["scale"]], [5, np.sqrt(26)], rtol=1e-9)
    assert abs(forward.divergence - 0.935902) < 1e-6
    x = np.linspace(-12, 22, 3401)
    reverse = fastkl.fit(two_modes(x, 0.0, 10.0), points=x, objective="reverse", minima=3)
    assert reverse.params["loc"].shape == (3,)
    np.testing.assert_allclose(np.sort(reverse.params["loc"][:2]), [0, 10], atol=1e-4)
    np.testing.assert_allclose(reverse.params["scale"][:2], 1, atol=1e-4)
    np.testing.assert_allclose(reverse.divergence[:2], np.log(2), atol=1e-5)
    # One that covers both is a minimum too, and is no better.
    assert abs(reverse.params["loc"][2] - 5) < 1e-6
    assert reverse.divergence[2] > 3


def test_two_modes_near_each_other_are_covered_by_the_reverse_fit_too():
    x = np.linspace(-16, 16, 6401)
    p = two_modes(x, -2.0, 2.0)
    forward, reverse = fastkl.fit(p, points=x), fastkl.fit(p, points=x, objective="reverse", minima=3)
    np.testing.assert_allclose([forward.params["loc"], forward.params["scale"]], [0, np.sqrt(5)], atol=1e-8)
    assert abs(forward.divergence - 0.171999) < 1e-6
    np.testing.assert_allclose([reverse.params["loc"][0], reverse.params["scale"][0]], [0, 2.047010], atol=1e-6)
    assert abs(reverse.divergence[0] - 0.226508) < 1e-6
    assert np.isnan(reverse.params["loc"][1:]).all()
    assert (reverse.grid_index[1:] == -1).all()


@pytest.mark.parametrize("objective", ["forward", "reverse"])
@pytest.mark.parametrize("kind", ["edges", "points"])
def test_refined_optima_to_fifty_digits(kind, objective):
    edges = np.linspace(-4, 4, 9)
    points = 0.5 * (edges[1:] + edges[:-1])
    p = np.array([1.0, 3.0, 9.0, 12.0, 7.0, 8.0, 4.0, 2.0])
    axis = {"edges": edges} if kind == "edges" else {"points": points}
    found = fastkl.fit(p, objective=objective, **axis)
    with mpmath.workdps(50):
        shares = [mpmath.mpf(float(x)) / 46 for x in p]

        def truth(loc, scale):
            if kind == "points":
                q = [mpmath.exp(-((x - loc) ** 2) / (2 * scale**2)) for x in map(mpmath.mpf, points.tolist())]
            else:
                ends = [mpmath.erf((mpmath.mpf(x) - loc) / (scale * mpmath.sqrt(2))) for x in edges.tolist()]
                q = [b - a for a, b in itertools.pairwise(ends)]
            total = mpmath.fsum(q)
            pairs = [(a, b / total) for a, b in zip(shares, q, strict=True)]
            pairs = pairs if objective == "forward" else [(b, a) for a, b in pairs]
            return mpmath.fsum(a * mpmath.log(a / b) for a, b in pairs)

        def slopes(loc, scale):
            return [mpmath.diff(truth, (loc, scale), order) for order in ((1, 0), (0, 1))]

        start = float(found.params["loc"]), float(found.params["scale"])
        loc, scale = mpmath.findroot(lambda a, b: slopes(a, b), start, tol=1e-30)
        assert abs(found.params["loc"] / float(loc) - 1) < 1e-8
        assert abs(found.params["scale"] / float(scale) - 1) < 1e-8
        assert abs(found.divergence / float(truth(loc, scale)) - 1) < 1e-12


def test_refined_optima_of_other_families_have_no_slope():
    p = histograms(4, 22, 3)
    for family, start in (("gamma", {"a": [1, 2, 4], "scale": [1, 2, 4]}), ("gumbel_r", {"loc": LOC, "scale": SCALE})):
        found = fastkl.fit(p, edges=EDGES, family=family, grid=start)
        for i in np.flatnonzero(found.converged):
            best = {name: float(values[i]) for name, values in found.params.items()}
            for name in best:
                for factor in (1 - 1e-4, 1 + 1e-4):
                    q = masses(family, best | {name: best[name] * factor}, {"edges": EDGES})
                    assert divergence(p[i], q, "forward") >= found.divergence[i] * (1 - 1e-12)


def test_forward_fits_match_moments():
    x = np.linspace(-60, 60, 2401)
    p = np.exp(-0.5 * ((x - 3) / 2) ** 2) * (1 + np.sin(x) ** 2)
    p /= p.sum()
    found = fastkl.fit(p, points=x)
    mean = p @ x
    np.testing.assert_allclose(
        [found.params["loc"], found.params["scale"]], [mean, np.sqrt(p @ (x - mean) ** 2)], rtol=1e-10
    )
    counts = np.arange(60.0)
    p = scipy.stats.nbinom.pmf(counts, 4, 0.5)
    found = fastkl.fit(p, points=counts, family="poisson")
    np.testing.assert_allclose(found.params["mu"], p @ counts / p.sum(), rtol=1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_moved_and_scaled_bins_move_and_scale_the_fit(objective):
    p = histograms(3, 22, 5) * np.exp(-0.5 * (POINTS - 5) ** 2) + 1e-3
    first = fastkl.fit(p, edges=EDGES, objective=objective)
    other = fastkl.fit(p, edges=EDGES * 1e-6 + 40.0, objective=objective)
    np.testing.assert_allclose((other.params["loc"] - 40) / 1e-6, first.params["loc"], rtol=1e-6)
    np.testing.assert_allclose(other.params["scale"] / 1e-6, first.params["scale"], rtol=1e-6)
    np.testing.assert_allclose(other.divergence, first.divergence, rtol=1e-7)


def test_tails_that_underflow_are_no_infinities():
    p = np.ones(22)
    grid = {"a": [50.0, 60.0], "scale": [1e-3]}
    found = fastkl.fit(p, edges=EDGES, family="gamma", grid=grid, refine=False, surface=True)
    assert np.isfinite(found.surface).all()
    normal = fastkl.fit(p, edges=EDGES, grid={"loc": [0.0], "scale": [0.01]}, refine=False)
    with mpmath.workdps(40):
        ends = [mpmath.erfc(mpmath.mpf(x) / (mpmath.mpf(0.01) * mpmath.sqrt(2))) for x in EDGES.tolist()]
        q = [(a - b) / (ends[0] - ends[-1]) for a, b in itertools.pairwise(ends)]
        truth = mpmath.fsum(mpmath.log(1 / (22 * x)) for x in q) / 22
    assert abs(normal.divergence / float(truth) - 1) < 1e-13


def test_empty_bins():
    p = np.where(abs(POINTS - 5.5) < 2, 0.0, 1.0)
    forward = fastkl.fit(p, edges=EDGES)
    assert np.isfinite(forward.divergence)
    grid = {"loc": LOC, "scale": SCALE}
    reverse = fastkl.fit(p, edges=EDGES, objective="reverse", grid=grid)
    assert reverse.divergence == np.inf
    assert reverse.grid_index == -1
    assert np.isnan(reverse.params["loc"])
    assert np.isfinite(fastkl.fit(p, edges=EDGES, objective="reverse", grid=grid, pseudocount=1e-3).divergence)
    alone = np.eye(22)[7]
    for objective in OBJECTIVES:  # the mass of a narrow distribution in the other bins is no double but 0
        assert fastkl.fit(alone, edges=EDGES, objective=objective).divergence == 0
    assert fastkl.fit([3.0], edges=[0, 1]).divergence == 0


@pytest.mark.parametrize("kind", [{"edges": EDGES}, {"points": POINTS}])
def test_mass_that_is_subnormal_on_an_empty_bin_is_infinitely_far_too(kind):
    p = histograms(1, 22)[0]
    p[-1] = 0  # where the second candidate has exp(-735) of its mass
    grid = {"loc": [5.0, 1.0], "scale": [1.0, 0.255]}
    found = fastkl.fit(p, objective="reverse", grid=grid, refine=False, surface=True, **kind)
    assert np.isinf(found.surface).all()
    assert found.divergence == np.inf
    assert np.isnan(found.params["loc"])
    bounded = {"loc": np.linspace(0, 3, 7), "scale": np.linspace(4, 10, 13)}
    found = fastkl.fit(p, family="uniform", objective="reverse", grid=bounded, refine=False, surface=True, **kind)
    ends = bounded["loc"][:, None] + bounded["scale"]
    np.testing.assert_array_equal(np.isinf(found.surface), ends > (10.5 if "edges" in kind else 10.7))
    assert np.isfinite(found.divergence)


def test_a_default_grid_reaches_the_modes_of_all_histograms():
    edges = np.linspace(-1000, 1000, 2001)
    x = 0.5 * (edges[1:] + edges[:-1])
    narrow, wide = two_modes(x / 2, 0.0, 8.0) + 1e-12, np.exp(-0.5 * (x / 300) ** 2)
    found = fastkl.fit([narrow, wide], edges=edges, objective="reverse", minima=2)
    np.testing.assert_allclose(np.sort(found.params["loc"][0]), [0, 16], atol=0.01)
    far = np.exp(-0.5 * x**2) + 0.05 * np.exp(-0.5 * (x - 200) ** 2)  # more than three deviations from the mean
    found = fastkl.fit(far, edges=edges, objective="reverse", minima=2, pseudocount=1e-12)
    np.testing.assert_allclose(np.sort(found.params["loc"]), [0, 200], atol=0.01)


def test_fits_are_stored_and_sent():
    for family in ("norm", scipy.stats.gamma(a=2.0)):
        found = fastkl.fit(histograms(3, 22), edges=EDGES, family=family)
        again = pickle.loads(pickle.dumps(found))
        assert repr(again) == repr(found)
        np.testing.assert_array_equal(again.histogram(), found.histogram())


def test_mixtures_whose_components_can_not_be_exchanged():
    x = np.linspace(-8, 8, 81)
    normal = scipy.stats.norm.pdf
    p = 0.5 * normal(x, 0.2, 0.5) + 0.5 * normal(x, 0, 2)
    grid = {"weight": [0.5], "loc1": [0, 1.0], "loc2": [0, 1.0], "scale2": [1.5, 2.0]}
    found = fastkl.fit(p, points=x, family="norm_mixture", grid=grid, fixed={"scale1": 0.5})
    assert found.divergence < 1e-20
    np.testing.assert_allclose(found.histogram(), p / p.sum(), rtol=1e-8)
    p = 0.5 * normal(x, 3, 0.5) + 0.5 * normal(x, -2.5, 2)
    grid = {"weight": [0.5], "loc1": [-2.5, 3], "scale1": [0.5], "loc2": [-2.5, 3], "scale2": [2.0]}
    assert fastkl.fit(p, points=x, family="norm_mixture", grid=grid, refine=False).divergence < 1e-15
    p = 0.3 * normal(x, 3, 0.5) + 0.7 * normal(x, -2.5, 2)
    found = fastkl.fit(p, points=x, family="norm_mixture", fixed={"weight": 0.3})
    np.testing.assert_allclose([found.params["loc1"], found.params["loc2"]], [3, -2.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("frozen", "edges"),
    [
        (scipy.stats.gamma(400, scale=0.05), np.linspace(14, 27, 41)),
        (scipy.stats.weibull_min(60, scale=3), np.linspace(2.4, 3.3, 41)),
        (scipy.stats.beta(300, 900), np.linspace(0.15, 0.35, 41)),
        (scipy.stats.invgamma(90, scale=200), np.linspace(1, 4, 41)),
        (scipy.stats.lognorm(0.02, scale=50), np.linspace(44, 56, 41)),
        (scipy.stats.geom(1e-5), np.arange(0, 10**6, 20_000) + 0.5),
        (scipy.stats.nbinom(40.5, 0.3), np.arange(20, 200) - 0.5),
    ],
)
@pytest.mark.parametrize("objective", ["forward", "reverse"])
def test_default_grids_lie_where_the_moments_are(frozen, edges, objective):
    mass = np.diff(frozen.cdf(edges))
    is_some = mass > 1e-12
    first, last = np.flatnonzero(is_some)[[0, -1]]
    found = fastkl.fit(mass[first : last + 1], edges=edges[first : last + 2], family=frozen.dist, objective=objective)
    assert found.divergence < 1e-6
    given = dict(zip([*filter(None, (frozen.dist.shapes or "").split(", "))], frozen.args, strict=True)) | frozen.kwds
    for name, value in found.params.items():
        np.testing.assert_allclose(value, given[name], rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("objective", [0.5, 1e-6, 1 - 1e-6])
def test_objectives_between_where_shares_are_no_normal_numbers(objective):
    x = np.linspace(-35, 35, 141)
    found = fastkl.fit(scipy.stats.norm.pdf(x), points=x, objective=objective, minima=2)
    np.testing.assert_allclose([found.params["loc"][0], found.params["scale"][0]], [0, 1], atol=1e-8)
    assert found.divergence[0] < 1e-12


def test_points_at_the_end_of_a_support():
    options = {"points": np.arange(8.0), "family": "gamma", "grid": {"a": [0.5, 1, 2], "scale": [1, 2, 4]}}
    for p in ([8, 4, 3, 2, 1, 1, 0.5, 0.2], [0, 4, 3, 2, 1, 1, 0.5, 0.2]):
        found = fastkl.fit(p, refine=False, **options)
        kept = fastkl.fit(p, refine=False, surface=True, **options)
        assert (found.grid_index, found.divergence) == (kept.grid_index, kept.divergence)
        np.testing.assert_allclose(found.divergence, kept.surface.min(), rtol=1e-9)
    y = np.linspace(0, 1, 9)
    p = scipy.stats.beta.pdf(y, 1, 3)
    found = fastkl.fit(p, points=y, family="beta", grid={"a": [1.0, 2.0], "b": [2.0, 3.0, 4.0]}, refine=False)
    assert found.divergence < 1e-15


TAILS = {
    "rayleigh": ([20, 37, 38, 39, 41, 60, np.inf], (), lambda a: mpmath.exp(-a * a / 2)),
    "halfnorm": ([30, 37, 38, 39, 45, 60, np.inf], (), lambda a: mpmath.erfc(a / mpmath.sqrt(2))),
    "weibull_min": ([5, 7, 8, 9, 9.5, 15], (3.25,), lambda a: mpmath.exp(-(a**3.25))),
    "gumbel_l": ([3, 5, 6, 6.5, 6.75, 7, 8], (), lambda a: mpmath.exp(-mpmath.exp(a))),
    "laplace": ([600, 700, 800, 900, np.inf], (), lambda a: mpmath.exp(-a) / 2),
    "gamma": ([0, 5, 500, 1000, 1250, np.inf], (2.0,), lambda a: (1 + a) * mpmath.exp(-a)),
    "expon": (1 + 1e-12 * np.arange(5), (), lambda a: mpmath.exp(-a)),
}


@pytest.mark.parametrize("name", TAILS)
def test_masses_that_underflow_or_cancel(name):
    edges, shapes, survival = TAILS[name]
    family, axis = family_of(name)[0], bins_of(edges, None)
    values = np.array([*shapes, 0.0, 1.0])[:, None]
    with mpmath.workdps(50):
        above = [survival(mpmath.mpf(float(a))) if a < np.inf else mpmath.mpf(0) for a in edges]
        truth = [mpmath.log((a - b) / (above[0] - above[-1])) for a, b in itertools.pairwise(above)]
    np.testing.assert_allclose(family.log_masses(axis, values)[0], np.array(truth, float), rtol=1e-12, atol=1e-12)


def test_magnitudes_of_bins_and_places():
    p, grid = histograms(4, 22), {"loc": LOC, "scale": SCALE}
    expected = fastkl.fit(p, edges=EDGES, grid=grid)
    for factor in (2.0**1015, 2.0**-1000):
        found = fastkl.fit(p * factor, edges=EDGES, grid=grid)
        np.testing.assert_allclose(found.divergence, expected.divergence, rtol=1e-12)
        np.testing.assert_allclose(found.params["loc"], expected.params["loc"], rtol=1e-9)
        np.testing.assert_allclose(found.target((1,)).sum(), 1)
    for place in (1e8, 1.7e9):  # seconds of an epoch
        found = fastkl.fit(p, edges=EDGES + place, grid={"loc": LOC + place, "scale": SCALE})
        np.testing.assert_array_equal(found.converged, expected.converged)
        np.testing.assert_allclose(found.params["scale"], expected.params["scale"], rtol=1e-6)
    tiny = fastkl.fit(p, edges=EDGES * 1e-170, grid={"loc": LOC * 1e-170, "scale": SCALE * 1e-170}, refine=False)
    again = fastkl.fit(p, edges=EDGES, grid=grid, refine=False)
    np.testing.assert_allclose(tiny.divergence, again.divergence, rtol=1e-10)
    with pytest.raises(ValueError, match=r"edges\[1\] is 1e\+152; numbers of edges must lie between"):
        fastkl.fit([1, 2], edges=[0, 1e152, 2e152])


def test_candidates_that_are_far_too_narrow_change_nothing():
    p = histograms(50, 22)
    options = {"points": POINTS, "refine": False}
    expected = fastkl.fit(p, grid={"loc": LOC, "scale": SCALE}, **options)
    found = fastkl.fit(p, grid={"loc": LOC, "scale": [*SCALE, 1e-7, 1e-20]}, **options)
    np.testing.assert_array_equal(found.divergence, expected.divergence)
    alone = np.zeros(22)
    alone[4] = 1
    found = fastkl.fit(alone, points=POINTS, grid={"loc": [POINTS[4]], "scale": [1e-19, 1.0]}, refine=False)
    assert (found.grid_index, found.divergence) == (0, 0)


def test_refined_optima_where_a_parameter_is_large():
    x = np.linspace(0.6, 1.4, 61)
    p = scipy.stats.gamma(2500, scale=1 / 2500).pdf(x) * (1 + 0.3 * np.sin(40 * x)) + 1e-12
    found = fastkl.fit(p, points=x, family="gamma")
    assert found.converged
    with mpmath.workdps(40):
        shares, points = [mpmath.mpf(v) / mpmath.fsum(p) for v in p], [mpmath.mpf(v) for v in x]

        def slopes(log_a, log_scale):
            a, scale = mpmath.exp(log_a), mpmath.exp(log_scale)
            logs = [(a - 1) * mpmath.log(v) - v / scale for v in points]
            masses = [mpmath.exp(v - max(logs)) for v in logs]
            terms = [m / mpmath.fsum(masses) - share for m, share in zip(masses, shares, strict=True)]
            return [
                mpmath.fsum(t * mpmath.log(v) for t, v in zip(terms, points, strict=True)),
                mpmath.fsum(t * v for t, v in zip(terms, points, strict=True)),
            ]

        start = tuple(mpmath.log(float(found.params[name])) for name in ("a", "scale"))
        log_a, log_scale = mpmath.findroot(slopes, start)
        truth = float(mpmath.exp(log_a)), float(mpmath.exp(log_scale))
    np.testing.assert_allclose([found.params["a"], found.params["scale"]], truth, rtol=1e-8)


def test_ties_go_to_the_smaller_index():
    p = two_modes(POINTS, 3.0, 8.3)
    grid = {"loc": [9.0, 3.0, 8.0, 3.0], "scale": [1.0, 1.0]}
    found = fastkl.fit(p, points=POINTS, objective="reverse", grid=grid, refine=False)
    assert found.grid_index == 2


@pytest.mark.parametrize("kind", ["edges", "points"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_ink_of_handwritten_digits(objective, kind):
    # How far to the right the ink of each image lies; outer columns are often empty.
    ink = load_digits().images.sum(axis=1)
    axis = {"edges": np.arange(9.0)} if kind == "edges" else {"points": np.arange(8.0) + 0.5}
    grid = {"loc": np.linspace(2, 6, 33), "scale": np.geomspace(0.5, 4, 13)}
    found = fastkl.fit(ink, grid=grid, objective=objective, pseudocount=0.5, refine=False, **axis)
    table = np.array([masses("norm", dict(zip(grid, v, strict=True)), axis) for v in itertools.product(*grid.values())])
    truth = np.array([divergence(row + 0.5, table, objective) for row in ink])
    np.testing.assert_array_equal(found.grid_index, truth.argmin(1))
    np.testing.assert_allclose(found.divergence, truth.min(1), rtol=1e-11)
    refined = fastkl.fit(ink, grid=grid, objective=objective, pseudocount=0.5, **axis)
    assert (refined.divergence <= found.divergence).all()
    assert refined.converged.mean() > 0.99
    if objective == "forward" and kind == "points":  # moments are matched where the normal distribution has no ends
        shares = (ink + 0.5) / (ink + 0.5).sum(1, keepdims=True)
        q = refined.histogram()
        x = axis["points"]
        np.testing.assert_allclose((q @ x)[refined.converged], (shares @ x)[refined.converged], rtol=1e-9)
        np.testing.assert_allclose((q @ x**2)[refined.converged], (shares @ x**2)[refined.converged], rtol=1e-9)
    empty = fastkl.fit(ink, grid=grid, objective=objective, refine=False, **axis)
    has_gap = (ink == 0).any(axis=1)
    assert 0 < has_gap.sum() < len(ink)
    np.testing.assert_array_equal(np.isinf(empty.divergence), has_gap & (objective == "reverse"))


def test_equal_candidates_that_are_more_than_are_listed_at_once():
    # Forward fits at points go by moments, panel by panel of the candidates; fits with a surface do not.
    grid = {"loc": np.repeat(LOC, 60), "scale": SCALE}
    p = histograms(5, 22, seed=4)
    p[3, 2] = np.nan
    options = {"points": POINTS, "grid": grid, "refine": False, "on_invalid": "nan"}
    found, kept = fastkl.fit(p, **options), fastkl.fit(p, surface=True, **options)
    np.testing.assert_array_equal(found.grid_index, kept.grid_index)
    np.testing.assert_array_equal(found.divergence, kept.divergence)
    assert (found.grid_index[[0, 1, 2, 4]] // len(SCALE) % 60 == 0).all()
    assert found.grid_index[3] == -1


@pytest.mark.parametrize(
    ("family", "grid"),
    [
        ("norm", {"loc": np.linspace(0, 11, 45), "scale": np.geomspace(0.3, 3, 9)}),
        ("norm", {"loc": np.linspace(0, 11, 90), "scale": [0.4]}),
        ("norm", {"loc": np.linspace(2, 9, 2), "scale": np.geomspace(0.3, 3, 70)}),
        ("norm", {"loc": np.linspace(0, 11, 150)}),
        ("t", {"df": [0.5, 1, 2, 4, 9], "loc": np.linspace(0, 11, 31), "scale": np.geomspace(0.2, 3, 6)}),
    ],
)
def test_local_minima_of_the_grid(family, grid):
    p = histograms(9, 22, 8) ** 3
    options = {"family": family, "grid": grid, "objective": "reverse", "refine": False}
    found = fastkl.fit(p, edges=EDGES, minima=6, surface=True, **options)
    total = 0
    for row, surface in enumerate(found.surface):
        padded = np.pad(surface, 1, constant_values=np.inf)
        neighbours = [
            padded[tuple(slice(1 + step, 1 + step + length) for step, length in zip(steps, surface.shape, strict=True))]
            for steps in itertools.product((-1, 0, 1), repeat=surface.ndim)
            if any(steps)
        ]
        is_minimum = (surface < np.min(neighbours, axis=0)).ravel()
        expected = sorted(np.flatnonzero(is_minimum), key=lambda g: surface.flat[g])[:6]
        count, total = len(expected), total + is_minimum.sum()
        np.testing.assert_array_equal(found.grid_index[row, :count], expected)
        assert (found.grid_index[row, count:] == -1).all()
    assert total > len(p)


def test_a_mixture_is_found_again():
    x = np.linspace(-8, 8, 161)
    truth = {"weight": 0.7, "loc1": -3.0, "scale1": 0.8, "loc2": 2.5, "scale2": 1.3}
    e = np.linspace(-8, 8, 81)
    p = np.diff(0.7 * scipy.stats.norm.cdf(e, -3, 0.8) + 0.3 * scipy.stats.norm.cdf(e, 2.5, 1.3))
    for axis, bins in (
        ({"edges": e}, p),
        ({"points": x}, 0.7 * scipy.stats.norm.pdf(x, -3, 0.8) + 0.3 * scipy.stats.norm.pdf(x, 2.5, 1.3)),
    ):
        found = fastkl.fit(bins, family="norm_mixture", **axis)
        assert set(found.params) == set(truth)
        for name, value in truth.items():
            assert abs(found.params[name] - value) < 1e-6
        frozen = found.distribution()
        assert abs(frozen.mean() - (0.7 * -3 + 0.3 * 2.5)) < 1e-6
        assert abs(frozen.cdf(2.0) + frozen.sf(2.0) - 1) < 1e-15


def test_a_table_of_candidates():
    p, table = histograms(7, 22), histograms(40, 22, 9)
    truth = np.array([divergence(row, table / table.sum(1, keepdims=True), "reverse") for row in p])
    found = fastkl.fit(p, family=table, objective="reverse", minima=3)
    np.testing.assert_array_equal(found.params["candidate"], np.argsort(truth, 1)[:, :3])
    np.testing.assert_allclose(found.divergence, np.sort(truth, 1)[:, :3], rtol=1e-12)
    np.testing.assert_allclose(
        found.histogram()[2, 1], table[found.grid_index[2, 1]] / table[found.grid_index[2, 1]].sum()
    )
    with pytest.raises(ValueError, match="histograms"):
        found.distribution(0)


def test_batches_containers_and_types_give_the_same_fits():
    p = np.random.default_rng(4).integers(1, 200, (2, 3, 22))
    whole = fastkl.fit(p, edges=EDGES, objective="reverse")
    assert whole.params["loc"].shape == whole.divergence.shape == whole.shape == (2, 3)
    assert whole.histogram().shape == (2, 3, 22)
    grid = whole.grid
    for other in (p.astype(np.uint8), p.astype(">f4"), p[:, ::-1][:, ::-1], np.asfortranarray(p)):
        again = fastkl.fit(other, edges=EDGES, objective="reverse", grid=grid, threads=1)
        np.testing.assert_array_equal(again.params["loc"], whole.params["loc"])
    one = fastkl.fit(p[1, 2], edges=EDGES, objective="reverse", grid=grid)
    assert one.params["scale"] == whole.params["scale"][1, 2]
    assert one.divergence == whole.divergence[1, 2]
    frozen = whole.distribution((1, 2))
    assert frozen.mean() == whole.params["loc"][1, 2]
    frame = whole.to_pandas()
    assert list(frame.columns) == ["loc", "scale", "divergence", "grid_index", "converged"]
    assert frame.loc[(1, 2), "loc"] == whole.params["loc"][1, 2]
    assert "reverse" in repr(whole)


def test_parameters_are_fixed_by_name_or_by_a_frozen_distribution():
    p = histograms(3, 22)
    first = fastkl.fit(p, edges=EDGES, family=scipy.stats.t(df=4))
    second = fastkl.fit(p, edges=EDGES, family="t", fixed={"df": 4})
    assert set(first.params) == {"loc", "scale"}
    assert first.fixed == {"df": 4.0}
    np.testing.assert_array_equal(first.params["loc"], second.params["loc"])
    assert first.distribution(1).kwds["df"] == 4


def test_infinite_ends():
    p = histograms(1, 24)[0]
    edges = np.r_[-np.inf, EDGES, np.inf]
    found = fastkl.fit(p, edges=edges)
    q = np.diff(scipy.stats.norm.cdf(edges, found.params["loc"], found.params["scale"]))
    np.testing.assert_allclose(found.histogram(), q, rtol=1e-12)


def test_invalid_histograms():
    p = histograms(4, 22)
    p[2, 5] = -1
    with pytest.raises(ValueError, match=r"p\[2\] is not a histogram: bin 5 is -1.0"):
        fastkl.fit(p, edges=EDGES)
    found = fastkl.fit(p, edges=EDGES, on_invalid="nan")
    assert np.isnan(found.divergence[2])
    assert found.grid_index[2] == -1
    assert np.isfinite(np.delete(found.divergence, 2)).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one of edges and points"),
        ({"edges": EDGES, "points": POINTS}, "not both"),
        ({"edges": EDGES[1:]}, "23 edges"),
        ({"edges": EDGES[::-1]}, "must increase"),
        ({"edges": EDGES, "family": "normal"}, "'normal' is not known"),
        ({"edges": EDGES, "grid": {"mu": [1.0]}}, "'mu', which is no parameter of norm"),
        ({"edges": EDGES, "grid": {"loc": [0.0], "scale": [1.0, 0.0]}}, r"grid\['scale'\]\[1\] is 0.0"),
        ({"edges": EDGES, "family": "gamma", "grid": {"scale": [1.0]}}, "put it into grid or fixed"),
        ({"edges": EDGES, "fixed": {"loc": 0, "scale": 1}}, "all parameters of norm are fixed"),
        ({"edges": EDGES, "objective": "kl"}, "objective must be"),
        ({"edges": EDGES, "objective": 1.5}, "between 0 and 1"),
        ({"edges": EDGES, "minima": 0}, "minima must be"),
    ],
)
def test_bad_arguments_get_one_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        fastkl.fit(np.ones(22), **options)


def test_a_plateau_has_its_lowest_point():
    z = np.array([0, 0, 3, 8, 20, 24, 9, 4, 1, 0]) + 0.5
    grid = {"loc": np.linspace(2, 7, 41), "scale": np.geomspace(0.01, 0.1, 31)}
    options = {"edges": np.arange(11) - 0.5, "objective": "reverse", "grid": grid}
    one, several = fastkl.fit(z, **options), fastkl.fit(z, minima=4, **options)
    assert np.isfinite(one.divergence)
    assert several.divergence[0] <= one.divergence * (1 + 1e-12)
