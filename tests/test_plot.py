"""The pictures: that they show the right numbers in the right places, and say them."""

import math
from typing import Any

import matplotlib
import numpy as np
import pytest
import scipy.stats
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fastkl
from fastkl import plot
from fastkl.plot import _axes
from fastkl.plot._surface import _is_geometric, _levels
from fastkl.plot._text import parameter_text

matplotlib.use("Agg")

X = np.linspace(-27, 37, 1281)
BIMODAL = np.exp(-(X**2) / 2) + np.exp(-((X - 10) ** 2) / 2)
EDGES = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
COUNTS = np.array([[3.0, 9.0, 20.0, 14.0, 6.0, 1.0], [1.0, 2.0, 8.0, 20.0, 18.0, 4.0]])
GRID = {"loc": np.linspace(-5, 15, 81), "scale": np.geomspace(0.25, 8, 41)}


@pytest.fixture
def ax() -> Any:
    return Figure(layout="constrained").subplots()


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def area(ax: Any) -> tuple[Any, Any, Any]:
    """Heights and edges of the histogram P, drawn as steps."""
    (steps,) = ax.patches
    return steps.get_data()


def heights(line: Any) -> Any:
    """Those of a histogram that is drawn as steps by a line: left end, middle, right end of each bin."""
    values = line.get_ydata().reshape(-1, 3)
    assert (values == values[:, :1]).all()
    return values[:, 0]


def the_drawing_is_clean(ax: Any) -> None:
    """Draws, with warnings as errors, and no text over data or other text, or out of the figure."""
    FigureCanvasAgg(ax.figure).draw()
    legend, axes = ax.get_legend().get_window_extent(), ax.get_window_extent()
    label = ax.xaxis.label.get_window_extent()
    assert legend.y1 < label.y0 < label.y1 < axes.y0
    assert 0 <= legend.x0 < legend.x1 <= ax.figure.bbox.x1
    assert legend.y0 >= 0


# Histograms and fits


def test_areas_are_shares_whatever_the_widths_of_the_bins(ax: Any) -> None:
    found = fastkl.fit(COUNTS[0], edges=EDGES, family="gamma")
    assert plot.fit(found, ax=ax) is ax
    values, edges, _ = area(ax)
    np.testing.assert_array_equal(edges, EDGES)
    np.testing.assert_allclose(values * np.diff(EDGES), COUNTS[0] / COUNTS[0].sum(), rtol=1e-15)
    (line,) = ax.get_lines()
    np.testing.assert_allclose(heights(line) * np.diff(EDGES), found.histogram(), rtol=1e-15)
    np.testing.assert_array_equal(line.get_xdata()[::3], EDGES[:-1])
    np.testing.assert_array_equal(line.get_xdata()[2::3], EDGES[1:])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "density (share / width of the bin)")
    assert ax.get_ylim()[0] == 0
    the_drawing_is_clean(ax)


def test_the_legend_says_parameters_divergence_and_objective(ax: Any) -> None:
    found = fastkl.fit(COUNTS[0], edges=EDGES, family="gamma", objective="reverse")
    a, scale, divergence = (float(value) for value in (found.params["a"], found.params["scale"], found.divergence))
    expected = f"gamma, reverse: a = {a:.5g}, scale = {scale:.5g}, KL(Q‖P) = {divergence:.6g} nats"
    assert texts(plot.fit(found, ax=ax)) == ["P", expected]


def test_an_order_between_is_named(ax: Any) -> None:
    found = fastkl.fit(COUNTS[0], edges=EDGES, family="expon", objective=0.25)
    (text,) = texts(plot.fit(found, ax=ax))[1:]
    assert text.startswith("expon, alpha = 0.25: ")
    assert text.endswith(f"D(P‖Q; alpha = 0.25) = {found.divergence:.6g} nats")


@pytest.mark.parametrize(("index", "row"), [(0, 0), (1, 1), (-1, 1), ((1,), 1)])
def test_the_index_picks_the_histogram(ax: Any, index: Any, row: int) -> None:
    found = fastkl.fit(COUNTS, edges=EDGES, family="gamma")
    found.plot(index, ax=ax)
    values, _, _ = area(ax)
    np.testing.assert_allclose(values * np.diff(EDGES), COUNTS[row] / COUNTS[row].sum(), rtol=1e-15)
    np.testing.assert_allclose(heights(ax.get_lines()[0]) * np.diff(EDGES), found.histogram()[row], rtol=1e-12)
    assert f"{found.divergence[row]:.6g} nats" in texts(ax)[1]


def test_the_index_picks_out_of_several_dimensions_and_minima(ax: Any) -> None:
    batch = np.stack([np.roll(BIMODAL, shift) for shift in (0, 20, 40, 60)]).reshape(2, 2, -1)
    found = fastkl.fit(batch, points=X, objective="reverse", minima=2, surface=True, grid=GRID)
    plot.fit(found, (1, 0), ax=ax)
    drawn = np.array([line.get_ydata() for line in ax.get_lines()]) * (X[1] - X[0])
    np.testing.assert_allclose(drawn, found.histogram()[1, 0], rtol=1e-12, atol=1e-300)
    other = Figure().subplots()
    plot.surface(found, (1, 0), ax=other)
    places = sorted(float(line.get_xdata()[0]) for line in other.get_lines())
    np.testing.assert_allclose(places, [2, 12], atol=1e-4)


def test_an_index_that_does_not_fit_is_refused() -> None:
    found = fastkl.fit(COUNTS, edges=EDGES, family="expon", surface=True)
    for draw in (plot.fit, plot.surface, lambda fit, index: plot.fits([fit], index)):
        with pytest.raises(ValueError, match=r"index must have 1 numbers, and is \(\)"):
            draw(found, ())
        with pytest.raises(IndexError, match="index 2 is out of range"):
            draw(found, 2)


def test_each_minimum_has_a_line_style_and_a_marker_of_its_own(ax: Any) -> None:
    found = fastkl.fit(BIMODAL, points=X, objective="reverse", minima=2)
    plot.fit(found, ax=ax)
    lines = ax.get_lines()
    assert len({line.get_linestyle() for line in lines}) == len({line.get_marker() for line in lines}) == 2
    step = X[1] - X[0]
    np.testing.assert_allclose([line.get_ydata() * step for line in lines], found.histogram(), rtol=1e-12)
    assert sorted(text.split(": ")[1] for text in texts(ax)[1:]) == [
        "loc = 0, scale = 1, KL(Q‖P) = 0.693146 nats",
        "loc = 10, scale = 1, KL(Q‖P) = 0.693146 nats",
    ]
    assert [text.split(": ")[0] for text in texts(ax)[1:]] == ["norm, reverse 1", "norm, reverse 2"]
    the_drawing_is_clean(ax)


def test_minima_that_are_not_there_are_not_drawn(ax: Any) -> None:
    found = fastkl.fit(BIMODAL, points=X, minima=3)
    assert np.isnan(found.divergence[1:]).all()
    plot.fit(found, ax=ax)
    assert len(ax.get_lines()) == 1
    assert texts(ax)[1:] == ["norm, forward 1: loc = 5, scale = 5.099, KL(P‖Q) = 0.935902 nats"]


def test_markers_lie_on_the_curve_where_it_can_be_seen(ax: Any) -> None:
    plot.fit(fastkl.fit(BIMODAL, points=X), ax=ax)
    (line,) = ax.get_lines()
    marked = line.get_ydata()[line.get_markevery()]
    assert 4 <= len(marked) <= 10
    assert marked.min() >= 0.02 * line.get_ydata().max()


def test_forward_and_reverse_together(ax: Any) -> None:
    forward, reverse = (fastkl.fit(BIMODAL, points=X, objective=name) for name in ("forward", "reverse"))
    assert plot.fits([forward, reverse], ax=ax) is ax
    first, second = ax.get_lines()
    assert [first.get_color(), second.get_color()] == [_axes.BLUE, _axes.VERMILLION]
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()
    assert len(ax.collections) == 1  # P once
    assert texts(ax)[:2] == ["P", "norm, forward: loc = 5, scale = 5.099, KL(P‖Q) = 0.935902 nats"]
    assert texts(ax)[2].endswith("KL(Q‖P) = 0.693146 nats")
    the_drawing_is_clean(ax)


def test_any_number_of_fits_of_one_objective_differ(ax: Any) -> None:
    families = ["expon", "gamma", "lognorm", "rayleigh", "norm", "halfnorm", "weibull_min"]
    found = [fastkl.fit(COUNTS[0], edges=EDGES, family=name, refine=False) for name in families]
    plot.fits(found, ax=ax)
    lines = ax.get_lines()
    assert len({line.get_color() for line in lines[:6]}) == 6
    assert len({(line.get_color(), line.get_marker(), str(line.get_linestyle())) for line in lines[:6]}) == 6
    assert [text.split(",")[0] for text in texts(ax)[1:]] == families


def test_fits_of_other_histograms_or_bins_are_refused() -> None:
    one = fastkl.fit(COUNTS[0], edges=EDGES, family="expon")
    with pytest.raises(ValueError, match=r"fits\[1\] and fits\[0\] have another histogram"):
        plot.fits([one, fastkl.fit(COUNTS[1], edges=EDGES, family="expon")])
    with pytest.raises(ValueError, match=r"fits\[1\] and fits\[0\] have another edges or points"):
        plot.fits([one, fastkl.fit(COUNTS[0], edges=EDGES * 2, family="expon")])
    with pytest.raises(ValueError, match=r"fits\[1\] and fits\[0\] have another edges or points"):
        plot.fits([one, fastkl.fit(COUNTS[0], points=EDGES[1:], family="expon")])
    with pytest.raises(ValueError, match="fits is empty"):
        plot.fits([])


def test_heights_at_points_are_densities_where_they_have_one_step(ax: Any) -> None:
    plot.fit(fastkl.fit(BIMODAL, points=X), ax=ax)
    truth = scipy.stats.norm(5, math.sqrt(26)).pdf(X)
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), truth, rtol=1e-5)
    np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), X)
    assert ax.get_ylabel() == "density (share / step of the points)"


@pytest.mark.parametrize("points", [np.arange(6), np.array([0.0, 1, 2, 4, 7, 11])])
def test_heights_at_other_points_are_shares(ax: Any, points: Any) -> None:
    plot.fit(fastkl.fit(COUNTS[0], points=points, family="poisson"), ax=ax)
    outline = ax.collections[0].get_paths()[0].vertices
    assert outline[:, 1].max() == pytest.approx(COUNTS[0].max() / COUNTS[0].sum(), rel=1e-15)
    assert ax.get_ylabel() == "share of a point"


def test_bins_without_an_end_are_drawn_as_wide_as_the_next(ax: Any) -> None:
    edges = np.array([-np.inf, -1, 0, 2, np.inf])
    plot.fit(fastkl.fit([1, 4, 6, 2], edges=edges), ax=ax)
    values, drawn, _ = area(ax)
    np.testing.assert_array_equal(drawn, [-2, -1, 0, 2, 4])
    np.testing.assert_allclose(values * np.diff(drawn), np.array([1, 4, 6, 2]) / 13, rtol=1e-15)
    assert "no end" in ax.get_xlabel()
    the_drawing_is_clean(ax)


@pytest.mark.parametrize(
    ("edges", "drawn"),
    [
        ([-np.inf, 0, np.inf], [-1, 0, 1]),
        ([-np.inf, np.inf], [-1, 1]),
        ([-np.inf, 3, 5], [1, 3, 5]),
        ([2, np.inf], [2, 3]),
    ],
)
def test_few_bins_without_an_end(ax: Any, edges: list[float], drawn: list[float]) -> None:
    plot.terms(np.ones(len(edges) - 1), np.ones(len(edges) - 1), edges=edges, ax=ax)
    bars = [bar for bar in ax.patches if bar.get_width()]
    np.testing.assert_allclose([bar.get_x() for bar in bars], drawn[:-1])
    np.testing.assert_allclose([bar.get_x() + bar.get_width() for bar in bars], drawn[1:])


def test_candidates_have_numbered_bins(ax: Any) -> None:
    table = np.random.default_rng(0).gamma(2.0, size=(9, 6))
    found = fastkl.fit(COUNTS[0], family=table, minima=2)
    plot.fit(found, ax=ax)
    _, edges, _ = area(ax)
    np.testing.assert_array_equal(edges, np.arange(7) - 0.5)
    best = int(found.grid_index[0])
    np.testing.assert_allclose(heights(ax.get_lines()[0]), table[best] / table[best].sum(), rtol=1e-14)
    assert texts(ax)[1].startswith(f"table, forward 1: candidate = {best}, KL(P‖Q) = ")
    assert ax.get_xlabel() == "bin"


def test_a_histogram_without_a_fit_says_so(ax: Any) -> None:
    with_gap = [1.0, 0.0, 1.0]
    found = fastkl.fit(with_gap, points=[0, 1, 2], family="norm", objective="reverse", grid={"scale": [1.0]})
    assert np.isinf(found.divergence)
    plot.fit(found, ax=ax)
    assert texts(ax) == ["P", "norm, reverse: no fit, the divergence is inf"]
    the_drawing_is_clean(ax)


def test_many_parameters_go_to_several_lines(ax: Any) -> None:
    found = fastkl.fit(BIMODAL, points=X, family="norm_mixture", objective=0.5)
    lines = texts(plot.fit(found, ax=ax))[1].split("\n")
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    joined = " ".join(line.strip() for line in lines)
    for name in ("weight", "loc1", "scale1", "loc2", "scale2", "D(P‖Q; alpha = 0.5)"):
        assert f" {name} = " in joined
    the_drawing_is_clean(ax)


@pytest.mark.parametrize(
    ("name", "value", "span", "text"),
    [
        ("loc", 4.4e-6, 34, "loc = 0"),
        ("loc", -4.4e-6, 34, "loc = 0"),
        ("loc", 4.4e-6, 1e-4, "loc = 0.0000044"),
        ("loc", 1234567.8912345, 20, "loc = 1234567.891"),
        ("loc", 1234567.8912345, 3e7, "loc = 1235000"),
        ("loc2", 10.0000004, 34, "loc2 = 10"),
        ("scale", 4.4e-6, 34, "scale = 4.4e-06"),
        ("a", 2.0, 34, "a = 2"),
        ("loc", 2.0, 0.0, "loc = 2"),
        ("loc", 1.0, math.inf, "loc = 1"),
    ],
)
def test_locations_have_the_digits_that_can_be_seen(name: str, value: float, span: float, text: str) -> None:
    assert parameter_text(name, value, span) == text


# The surface


def test_contours_show_the_surface_and_mark_its_minima(ax: Any) -> None:
    found = fastkl.fit(BIMODAL, points=X, grid=GRID, objective="reverse", minima=3, surface=True)
    assert plot.surface(found, ax=ax) is ax
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale(), ax.get_yscale()) == ("loc", "scale", "linear", "log")
    assert (ax.get_xlim(), ax.get_ylim()) == ((-5, 15), (0.25, 8))
    (contours,) = ax.collections
    assert contours.get_cmap().name == "viridis_r"
    assert (contours.zmin, contours.zmax) == (found.surface.min(), found.surface.max())
    loc, scale = contours.get_paths()[0].vertices.T  # the lowest band is around the two modes
    assert np.minimum(abs(loc), abs(loc - 10)).max() < 1
    assert abs(np.log(scale)).max() < 1
    for line, text, number in zip(ax.get_lines(), texts(ax), ax.texts, strict=True):
        k = int(number.get_text()) - 1
        assert (line.get_xdata()[0], line.get_ydata()[0]) == (found.params["loc"][k], found.params["scale"][k])
        assert number.xy == (found.params["loc"][k], found.params["scale"][k])
        assert text.startswith(f"minimum {k + 1}: ")
        assert text.endswith(f"KL(Q‖P) = {found.divergence[k]:.6g} nats")
    _, bar = ax.figure.axes
    assert bar.get_ylabel() == "KL(Q‖P), nats"
    assert [tick.get_text() for tick in bar.get_yticklabels()][:4] == ["1", "2", "5", "10"]
    the_drawing_is_clean(ax)


def test_parameters_that_the_grid_holds_fixed_do_not_count(ax: Any) -> None:
    grid = {"loc1": np.linspace(-2, 2, 9), "weight": [0.5], "scale1": [1.0], "loc2": np.linspace(8, 12, 7)}
    found = fastkl.fit(
        BIMODAL, points=X, family="norm_mixture", grid=grid, fixed={"scale2": 1.0}, refine=False, surface=True
    )
    plot.surface(found, ax=ax)
    assert {ax.get_xlabel(), ax.get_ylabel()} == {"loc1", "loc2"}
    assert (ax.get_lines()[0].get_xdata()[0], ax.get_lines()[0].get_ydata()[0]) == (0, 10)


def test_a_grid_in_any_order_gives_the_same_picture(ax: Any) -> None:
    order = np.random.default_rng(0).permutation
    for grid, on in ((GRID, ax), ({name: order(values) for name, values in GRID.items()}, Figure().subplots())):
        found = fastkl.fit(BIMODAL, points=X, grid=grid, refine=False, surface=True)
        plot.surface(found, ax=on)
        if on is ax:
            first = on
    for one, two in zip(first.collections[0].get_paths(), on.collections[0].get_paths(), strict=True):
        np.testing.assert_array_equal(one.vertices, two.vertices)


def test_infinite_divergences_are_left_blank_and_counted(ax: Any) -> None:
    p = np.array([0, 0, 3, 8, 20, 24, 9, 4, 1, 0.0])
    grid = {"loc": np.linspace(1, 6, 11), "scale": np.linspace(1, 5, 9)}
    options = {"family": "uniform", "grid": grid, "refine": False, "surface": True}
    found = fastkl.fit(p, edges=np.arange(11) - 0.5, objective="reverse", **options)
    blank = int(np.isinf(found.surface).sum())
    assert 0 < blank < 99
    plot.surface(found, ax=ax)
    assert texts(ax)[-1] == f"left blank: D is inf, at {blank} of 99 points of the grid"
    the_drawing_is_clean(ax)


def test_a_surface_that_is_inf_everywhere(ax: Any) -> None:
    grid = {"loc": np.linspace(0, 2, 4), "scale": np.linspace(1, 2, 3)}
    found = fastkl.fit([1, 0, 1], points=[0, 1, 2], objective="reverse", grid=grid, surface=True)
    plot.surface(found, ax=ax)
    assert texts(ax) == ["left blank: D is inf, at 12 of 12 points of the grid"]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 2), (1, 2))


def test_one_parameter_is_a_curve_on_logarithmic_axes_where_it_spans_decades(ax: Any) -> None:
    scales = np.geomspace(0.5, 20, 50)
    options: Any = {"family": "gamma", "fixed": {"a": 3.0}, "objective": "reverse", "surface": True}
    found = fastkl.fit(COUNTS[0], edges=EDGES, grid={"scale": scales}, **options)
    plot.surface(found, ax=ax)
    curve, minimum = ax.get_lines()
    np.testing.assert_array_equal(curve.get_xdata(), scales)
    np.testing.assert_array_equal(curve.get_ydata(), found.surface)
    assert (minimum.get_xdata()[0], minimum.get_ydata()[0]) == (found.params["scale"], found.divergence)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("scale", "KL(Q‖P), nats", "log")
    assert ax.get_yscale() == ("log" if found.surface.max() > 100 * found.surface.min() else "linear")
    assert len(ax.figure.axes) == 1
    the_drawing_is_clean(ax)


def test_a_curve_has_gaps_where_it_is_infinite(ax: Any) -> None:
    grid = {"loc": [0.0, 1.0, 2.0, 3.0]}
    p = [1.0, 2.0, 3.0, 0.0]  # the Poisson distribution shifted by 1 has mass at 1, 2 and 3
    found = fastkl.fit(
        p, points=[0, 1, 2, 3], family="poisson", grid=grid, fixed={"mu": 1.0}, refine=False, surface=True
    )
    is_finite = np.isfinite(found.surface)
    assert 0 < is_finite.sum() < 4
    plot.surface(found, ax=ax)
    np.testing.assert_array_equal(np.isfinite(ax.get_lines()[0].get_ydata()), is_finite)
    assert texts(ax)[-1].startswith("left blank: ")


def test_what_no_surface_can_be_drawn_of() -> None:
    with pytest.raises(ValueError, match=r"this fit has no surface; call fastkl.fit\(..., surface=True\)"):
        plot.surface(fastkl.fit(COUNTS[0], edges=EDGES))
    grid = {"a": [1.0, 2.0], "loc": [0.0, 0.1], "scale": [1.0, 2.0]}
    found = fastkl.fit(COUNTS[0], edges=EDGES, family="gamma", grid=grid, refine=False, surface=True)
    with pytest.raises(ValueError, match=r"the surface is over 3 parameters, .*; one or two can be drawn"):
        plot.surface(found)


@pytest.mark.parametrize(
    "values",
    [
        [0.693, 3.0, 20.0, 400.0],
        [0.0, 0.0, 0.0],
        [5.0, 5.0],
        [0.0, 1.0],
        [0.0, 0.0, 0.0, 7.0],
        [1e-300, 1.0, 1e300],
        [1.0, 10.0, 100.0],
        [1e-20, 2e-20],
    ],
)
def test_bands_increase_and_hold_the_middle(values: list[float]) -> None:
    levels = _levels(np.array(values))
    assert (np.diff(levels) > 0).all()
    assert 2 <= len(levels) <= 60
    middle = np.median(values)
    assert levels[0] <= middle < levels[-1] or middle == 0


def test_geometric_grids_are_recognised() -> None:
    assert _is_geometric(np.geomspace(1e-3, 1e3, 50))
    assert not _is_geometric(np.linspace(1, 2, 50))
    assert not _is_geometric(np.linspace(-1, 1, 5))
    assert not _is_geometric(np.array([1.0, 2.0]))


# Terms


def test_terms_add_up_to_the_divergence(ax: Any) -> None:
    p, q = np.random.default_rng(0).gamma(2.0, size=(2, 30))
    assert plot.terms(p, q, ax=ax) is ax
    bars = ax.patches
    scaled_p, scaled_q = p / p.sum(), q / q.sum()
    expected = scaled_p * np.log(scaled_p / scaled_q)
    np.testing.assert_allclose([bar.get_height() for bar in bars], expected, rtol=1e-12)
    np.testing.assert_allclose([bar.get_x() + bar.get_width() / 2 for bar in bars], np.arange(30))
    more, less = expected[expected > 0], expected[expected < 0]
    assert texts(ax) == [
        f"KL(P‖Q) = {fastkl.kl_divergence(p, q):.6g} nats",
        f"$P_i > Q_i$: {len(more)} bins, sum {more.sum():.6g} nats",
        f"$P_i < Q_i$: {len(less)} bins, sum {less.sum():.6g} nats",
    ]
    for bar, term in zip(bars, expected, strict=True):
        assert bool(bar.get_hatch()) == (term < 0)
    assert ax.get_xlabel() == "bin"
    the_drawing_is_clean(ax)


def test_infinite_terms_are_marked_and_counted(ax: Any) -> None:
    plot.terms([1, 2, 0, 3, 1], [1, 0, 5, 0, 2], ax=ax)
    marks = ax.get_lines()[1]
    np.testing.assert_array_equal(marks.get_xdata(), [1, 3])
    assert marks.get_marker() == "^"
    assert texts(ax)[:2] == ["KL(P‖Q) = inf nats", "$Q_i = 0 < P_i$: 2 bins, inf"]
    assert [bar.get_height() for bar in ax.patches][1:4] == [0, 0, 0]
    the_drawing_is_clean(ax)


def test_terms_between_edges_and_at_points_lie_in_their_bins(ax: Any) -> None:
    plot.terms(*COUNTS, edges=EDGES, ax=ax)
    np.testing.assert_allclose([bar.get_x() for bar in ax.patches], EDGES[:-1], atol=1e-15)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], np.diff(EDGES))
    points, other = np.array([0.0, 1, 3, 4, 8, 9]), Figure().subplots()
    plot.terms(*COUNTS, points=points, ax=other)
    np.testing.assert_allclose([bar.get_width() for bar in other.patches], [1, 1, 1, 1, 1, 1])
    np.testing.assert_allclose([bar.get_x() + bar.get_width() / 2 for bar in other.patches], points)


def test_equal_histograms_have_no_terms(ax: Any) -> None:
    plot.terms([1, 2, 1], [2, 4, 2], ax=ax)
    assert [bar.get_height() for bar in ax.patches] == [0, 0, 0]
    assert texts(ax) == ["KL(P‖Q) = 0 nats"]


def test_histograms_of_one_bin(ax: Any) -> None:
    plot.terms([3], [5], points=[2.0], ax=ax)
    assert ax.patches[0].get_width() == 1
    the_drawing_is_clean(ax)


@pytest.mark.parametrize(
    ("p", "q", "options", "message"),
    [
        ([[1, 2]], [1, 2], {}, r"p must be one histogram, a row of numbers, not of shape \(1, 2\)"),
        ([1, 2], 3, {}, r"q must be one histogram, a row of numbers, not of shape \(\)"),
        ([1, -2], [1, 2], {}, "p"),
        ([1, 2, 3], [1, 2], {}, "q has 2 bins, p has 3"),
        ([1, 2], [1, 2], {"edges": [0, 1]}, "edges has 2 numbers; it must have 3, for histograms of 2 bins"),
        ([1, 2], [1, 2], {"points": [0, 1, 2]}, "points has 3 numbers; it must have 2, for histograms of 2 bins"),
        ([1, 2], [1, 2], {"points": [1, 0]}, "points must increase"),
        ([1, 2], [1, 2], {"points": [0, 1], "edges": [0, 1, 2]}, "not both"),
    ],
)
def test_what_terms_refuses(p: Any, q: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot.terms(p, q, **options)


# Axes


def test_without_axes_a_figure_is_opened() -> None:
    from matplotlib import pyplot

    found = fastkl.fit(COUNTS[0], edges=EDGES, family="expon", surface=True)
    drawn = [plot.fit(found), plot.fits([found]), plot.surface(found), plot.terms(*COUNTS)]
    assert len({ax.figure.number for ax in drawn}) == 4
    for ax in drawn:
        assert ax.figure.number in pyplot.get_fignums()
        the_drawing_is_clean(ax)
        pyplot.close(ax.figure)


def test_a_title_and_neighbours_stay_free_of_the_legend() -> None:
    left, right = Figure(figsize=(12, 5), layout="constrained").subplots(1, 2)
    found = fastkl.fit(BIMODAL, points=X, grid=GRID, objective="reverse", minima=2, surface=True)
    plot.fit(found, ax=left).set_title("a title")
    plot.surface(found, ax=right)
    the_drawing_is_clean(left)
    the_drawing_is_clean(right)
    assert left.title.get_window_extent().y0 > left.get_window_extent().y1
    assert left.get_legend().get_window_extent().x1 < right.get_window_extent().x0


def test_without_matplotlib_the_extra_is_named(run_python: Any) -> None:
    script = """
    import sys
    sys.modules["matplotlib"] = None
    import fastkl.plot
    try:
        fastkl.fit([1, 2, 1], points=[0, 1, 2]).plot()
    except ImportError as error:
        print(error)
    """
    assert run_python(script).strip() == "fastkl.plot needs matplotlib: pip install 'fastkl[plot]'"


def test_importing_the_pictures_imports_no_matplotlib(run_python: Any) -> None:
    script = "import sys, fastkl.plot; print('matplotlib' in sys.modules)"
    assert run_python(script).strip() == "False"
