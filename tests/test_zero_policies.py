"""Empty bins as other tools have them: their own numbers, and their formulas again in NumPy."""

import inspect
import tracemalloc
from typing import get_args

import numpy as np
import pytest
from functions import FUNCTIONS, call

import fastkl
from fastkl._zero_policies import ZERO_POLICIES, Pseudocount

TOOLS = list(ZERO_POLICIES)
NAN = float("nan")

# Counts: each lacks bins of the other; bins far below one in 10,000; nothing in common; no bin is empty; and two that
# Evidently made of numbers, the second with bins that both lack and with one bin of one in 10,000.
COUNTS = {
    "some empty": ([500, 300, 0, 150, 50, 0], [400, 250, 100, 0, 150, 100]),
    "rare": ([60000, 0, 39999, 1, 0], [50000, 1, 0, 49990, 9]),
    "disjoint": ([7, 3, 0, 0], [0, 0, 4, 6]),
    "full": ([30, 50, 20], [25, 45, 30]),
    "shifted": ([16, 85, 146, 43, 9, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 3, 27, 94, 63, 13]),
    "gaps": (
        [4015, 1985, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1351, 2648],
        [1694, 806, 0, 0, 0, 0, 0, 0, 0, 396, 431, 405, 400, 438, 430],
    ),
}

# evidently 0.7.23: (kl_div, jensenshannon, psi), which are functions of samples. For the first four
#   a, b = (pd.Series(np.repeat([f"c{i}" for i in range(len(c))], c)) for c in counts)
#   [f(a, b, ColumnType.Categorical, 0.1)[0] for f in (_kl_div, _jensenshannon, _psi)]
# with the functions of evidently.legacy.calculations.stattests.{kl_div,jensenshannon,psi}; for the last two numbers,
# ColumnType.Numerical, whose counts are np.histogram(a, np.histogram_bin_edges(np.r_[a, b], "sturges"))[0].
EVIDENTLY = {
    "some empty": (1.2065978107081594, 0.371891672464157, 2.617712902603397),
    "rare": (9.873888732884197, 0.56047569211916, 15.193014430095701),
    "disjoint": (8.59605750198206, 0.8325546111576977, 17.133419415149817),
    "full": (0.026283703245466652, 0.08264388223971367, 0.05493061443340547),
    "shifted": (7.920767834425438, 0.8299403011805015, 15.848266633403057),
    "gaps": (0.46652121699356747, 0.3766906840416152, 6.946245795150755),
}
# popmon 1.4.12, popmon.analysis.comparison.comparisons: (kullback_leibler_divergence, jensen_shannon_divergence,
# population_stability_index) of float arrays. Its reports hand it counts: hist_compare(pd.Series({"a": histogram,
# "b": histogram}), "a", "b") has the same psi and jsd.
POPMON_COUNTS = {
    "some empty": (2589.8715902307467, 138.30317650182417, 5843.444921722899),
    "rare": (895287.7720848188, 31413.299867568338, 1427176.8162303774),
    "disjoint": (132.04648122376202, 6.93121816002907, 263.4714914685993),
    "full": (2.628369368938893, 0.6830008676916464, 5.493059332230278),
}
POPMON_SCALED = {
    "some empty": (1.5536256355074973, 0.13816748418520092, 3.425746392046892),
    "rare": (4.347814164189214, 0.3140242331467955, 9.319105547578001),
    "disjoint": (10.902079827422838, 0.6929395860887578, 21.742014960429884),
    "full": (0.02628274767300992, 0.006829751808171015, 0.054928503406303245),
}
# deepchecks 0.19.1, deepchecks.utils.distribution.drift.psi(np.array(p), np.array(q), from_freqs=True)
DEEPCHECKS = {
    "some empty": 0.9348840067311673,
    "rare": 3.3732505846773577,
    "disjoint": 7.7721352365115575,
    "full": 0.05493061443340547,
}
# philentropy 0.10.0 (commit 9e171b25), src/distances_internal.h compiled by g++: (kullback_leibler_internal,
# jensen_shannon_internal, jeffreys_internal) with unit "log" and its default epsilon, 0.00001.
PHILENTROPY_COUNTS = {
    "some empty": (2589.871742121858, 138.30341604818784, 4922.4108686919481),
    "rare": (895287.77220432705, 31413.300145645135, 1427157.5410570158),
    "disjoint": (132.04646255909381, 6.9314718055994522, 247.1757172087961),
    "full": (2.6283703245466672, 0.68300112716516193, 5.4930614433405491),
}
PHILENTROPY_SCALED = {
    "some empty": (1.553708450274538, 0.13830341604818785, 3.8862475768446276),
    "rare": (4.3478226653098275, 0.3141330014564514, 9.6665203538367148),
    "disjoint": (10.902061162915334, 0.69314718055994529, 22.414986627885561),
    "full": (0.026283703245466694, 0.006830011271651646, 0.054930614433405467),
}


def figures(tool, name, js=fastkl.js_divergence, **options):
    functions = fastkl.kl_divergence, js, fastkl.psi
    return [function(*COUNTS[name], pseudocount=tool, **options) for function in functions]


@pytest.mark.parametrize("name", EVIDENTLY)
def test_evidently_has_the_same_figures(name):
    got = figures("evidently", name, fastkl.js_distance)
    np.testing.assert_allclose(got, EVIDENTLY[name], rtol=2e-14)


@pytest.mark.parametrize("name", EVIDENTLY)
def test_shares_are_as_good_as_counts(name):
    # Shares of 10,000 add up to one but for rounding, and to divide by that would move 1e-4 over the threshold.
    p, q = (np.array(counts) / sum(counts) for counts in COUNTS[name])
    for pseudocount in TOOLS:
        for function in (fastkl.kl_divergence, fastkl.js_distance, fastkl.psi):
            expected = function(*COUNTS[name], pseudocount=pseudocount)
            np.testing.assert_allclose(function(p, q, pseudocount=pseudocount), expected, rtol=1e-13)


@pytest.mark.parametrize("name", POPMON_COUNTS)
def test_popmon_has_the_same_figures(name):
    np.testing.assert_allclose(figures("popmon", name, normalize=False), POPMON_COUNTS[name], rtol=2e-14)
    # The divergence of "full" is a small difference of the terms that popmon adds up.
    np.testing.assert_allclose(figures("popmon", name), POPMON_SCALED[name], rtol=1e-13)


@pytest.mark.parametrize("name", DEEPCHECKS)
def test_deepchecks_has_the_same_figures(name):
    np.testing.assert_allclose(fastkl.psi(*COUNTS[name], pseudocount="deepchecks"), DEEPCHECKS[name], rtol=2e-14)


@pytest.mark.parametrize("name", PHILENTROPY_COUNTS)
def test_philentropy_has_the_same_figures(name):
    np.testing.assert_allclose(figures("philentropy", name, normalize=False), PHILENTROPY_COUNTS[name], rtol=2e-14)
    np.testing.assert_allclose(figures("philentropy", name), PHILENTROPY_SCALED[name], rtol=1e-13)
    bits = fastkl.kl_divergence(*COUNTS[name], pseudocount="philentropy", base=2)  # the unit of its KL and JSD
    np.testing.assert_allclose(bits, PHILENTROPY_SCALED[name][0] / np.log(2), rtol=1e-13)


def by_formula(tool, name, p, q, normalize):
    """One pair, written as the tools write it: sums of p log(p / q) with what they put in place of zeros."""
    if normalize or (tool == "evidently" and name != "jeffreys_divergence"):
        p, q = p / p.sum(), q / q.sum()
    if tool == "evidently" and "js" not in name:
        for x in (p, q):
            least = min(x[x != 0])
            np.place(x, x == 0, least / 10**6 if least <= 0.0001 else 0.0001)
    if tool == "popmon" and name != "entropy":
        p, q = p + 10e-6, q + 10e-6
    if tool == "deepchecks":
        p, q = (np.array([max(v, 0.01) for v in x]) for x in (p, q))
    if tool == "philentropy" and name == "jeffreys_divergence":
        ratios = [a / b if b else a / 1e-5 for a, b in zip(p, q, strict=True)]
        terms = [(a - b) * np.log(r if r else 1e-5) for a, b, r in zip(p, q, ratios, strict=True)]
        return sum(terms)
    if tool == "philentropy" and "js" not in name:
        q = np.array([v if v else 0.00001 for v in q])
    if (tool == "evidently" and name != "jeffreys_divergence") or (tool == "popmon" and name == "entropy"):
        p, q = p / p.sum(), q / q.sum()

    def log_sum(x, y):
        return sum(a * np.log(a / b) for a, b in zip(x, y, strict=True) if a)

    if name == "kl_divergence":
        return log_sum(p, q)
    if name == "jeffreys_divergence":
        return log_sum(p, q) + log_sum(q, p)
    if name in ("entropy", "cross_entropy"):
        return -sum(a * np.log(b) for a, b in zip(p, p if name == "entropy" else q, strict=True) if a)
    w = 0.5 if name == "js_divergence" else 0.3
    m = w * p + (1 - w) * q
    return w * log_sum(p, m) + (1 - w) * log_sum(q, m)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    "name",
    ["kl_divergence", "cross_entropy", "entropy", "js_divergence", "weighted js_divergence", "jeffreys_divergence"],
)
@pytest.mark.parametrize("tool", TOOLS)
def test_the_rules_on_random_histograms(tool, name, normalize):
    rng = np.random.default_rng(0)
    for bins, scale in [(3, 1.0), (12, 1.0), (40, 1e4), (300, 1.0), (3000, 10.0)]:
        x, y = np.floor(scale * rng.exponential(size=(2, 6, bins)) ** 3)
        x[:, 0], y[:, -1] = 1, 1
        if not normalize:
            x, y = x / x.sum(-1, keepdims=True), 1.5 * y / y.sum(-1, keepdims=True)
        got = call(name, x, y, pseudocount=tool, normalize=normalize)
        expected = [by_formula(tool, name, a.copy(), b.copy(), normalize) for a, b in zip(x, y, strict=True)]
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("tool", TOOLS)
def test_without_empty_bins_only_those_that_add_or_floor_change_anything(tool):
    p, q = np.random.default_rng(0).uniform(0.5, 1, (2, 20, 30))
    for name in FUNCTIONS:
        got, plain = call(name, p, q, pseudocount=tool), call(name, p, q)
        if tool == "popmon" and name != "entropy":
            assert (got != plain).all()
        else:
            np.testing.assert_allclose(got, plain, rtol=1e-10)


@pytest.mark.parametrize("tool", TOOLS)
def test_rows_do_not_depend_on_what_stands_around_them(tool):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, (2, 3000, 70)).astype(float)
    for name, function in FUNCTIONS.items():
        alone = [function(a, b, pseudocount=tool) for a, b in zip(x[:50], y[:50], strict=True)]
        for threads in (1, 2, None):
            np.testing.assert_array_equal(call(name, x, y, pseudocount=tool, threads=threads)[:50], alone)
        np.testing.assert_array_equal(call(name, x.T.copy(), y.T, pseudocount=tool, axis=0)[:50], alone)
        np.testing.assert_array_equal(call(name, x.astype("u1"), y.astype(">i4"), pseudocount=tool)[:50], alone)
        cubes = x[:60].reshape(3, 20, 70).transpose(1, 2, 0), y[:60].reshape(3, 20, 70).transpose(1, 2, 0).copy()
        np.testing.assert_array_equal(call(name, *cubes, axis=1, pseudocount=tool).T.ravel()[:50], alone)


@pytest.mark.parametrize("tool", TOOLS)
def test_one_against_many_and_grids(tool):
    x, y = np.random.default_rng(0).integers(0, 4, (2, 7, 9)) + np.eye(7, 9)
    expected = [[fastkl.kl_divergence(a, b, pseudocount=tool) for b in y] for a in x]
    np.testing.assert_array_equal(fastkl.kl_divergence(x[:, None], y, pseudocount=tool), expected)
    np.testing.assert_array_equal(fastkl.kl_divergence(x[0], y, pseudocount=tool), expected[0])


@pytest.mark.parametrize("tool", TOOLS)
def test_options_mean_what_they_do_elsewhere(tool):
    x, y = np.random.default_rng(0).integers(0, 4, (2, 7, 9)) + 1.0 * np.eye(7, 9)
    nats = fastkl.psi(x, y, pseudocount=tool)
    np.testing.assert_allclose(fastkl.psi(x, y, pseudocount=tool, base=2), nats / np.log(2), rtol=1e-15)
    assert fastkl.psi(x, y, pseudocount=tool, keepdims=True).shape == (7, 1)
    out = np.empty(7, np.float32)
    assert fastkl.psi(x, y, pseudocount=tool, out=out) is out
    np.testing.assert_array_equal(out, nats.astype(np.float32))
    single = fastkl.psi(x.astype(np.float32), y.astype(np.float32), pseudocount=tool)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, out)
    assert fastkl.psi(x[0], y[0], pseudocount=tool) == nats[0]
    assert fastkl.psi(x[:0], y[:0], pseudocount=tool).shape == (0,)
    with pytest.raises(ValueError, match="weights can't be combined"):
        fastkl.psi(x, y, pseudocount=tool, weights=np.ones(9))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("tool", TOOLS)
def test_invalid_histograms_stay_invalid(tool, name, normalize):
    p, q = np.full((2, 6, 4), 3.0)
    p[1, 2], p[3, 0], p[5, 3] = -7, np.nan, np.inf
    got = call(name, p, q, pseudocount=tool, normalize=normalize, on_invalid="nan")
    assert np.isnan(got).tolist() == [False, True, False, True, False, True]
    with pytest.raises(ValueError, match=r"p\[1\] is not a histogram: bin 2 is -7\.0; .* \(3 of 6 histograms"):
        call(name, p, q, pseudocount=tool, normalize=normalize)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("tool", TOOLS)
def test_totals_of_zero_are_invalid_where_anything_is_scaled(tool, name):
    p, q = np.full((2, 3, 4), 3.0)
    p[1] = 0
    with pytest.raises(ValueError, match=r"p\[1\] is not a histogram: its total is zero.* \(1 of 3 histograms of p"):
        call(name, p, q, pseudocount=tool)
    assert np.isnan(call(name, p, q, pseudocount=tool, on_invalid="nan")).tolist() == [False, True, False]


def test_bins_whose_total_is_beyond_the_doubles():
    p, q = np.array([1.7e308, 1.7e308, 0.0, 1e300]), np.array([1.0, 1.0, 2.0, 0.0])
    for tool in TOOLS:
        got = fastkl.psi(p, q, pseudocount=tool)
        np.testing.assert_allclose(got, fastkl.psi(p / 1e300, q, pseudocount=tool), rtol=1e-12)


def test_an_unknown_name_gets_the_accepted_ones():
    message = r"pseudocount must be .* 'evidently', 'popmon', 'deepchecks', 'philentropy', not 'Evidently'"
    with pytest.raises(ValueError, match=message):
        fastkl.kl_divergence([1, 2], [2, 1], pseudocount="Evidently")


def test_the_annotation_and_the_documentation_name_the_tools_of_the_table():
    assert list(get_args(get_args(Pseudocount)[1])) == TOOLS
    for tool in TOOLS:
        assert f'"{tool}"' in inspect.getdoc(fastkl.kl_divergence)


def test_memory_goes_with_a_block_and_not_with_the_array():
    p, q = np.random.default_rng(0).integers(0, 4, (2, 100_000, 64), np.uint8)
    p[:, 0] = q[:, 0] = 1
    fastkl.psi(p[:10], q[:10], pseudocount="evidently")
    tracemalloc.start()
    fastkl.psi(p, q, pseudocount="evidently", threads=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6  # one double copy of p takes 51 MB
