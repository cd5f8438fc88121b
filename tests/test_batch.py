"""Runs over files: what they write is what the functions give, whatever the format, the blocks and the memory."""

import csv
import importlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from test_cli import _in_empty_folder, fails, save  # noqa: F401 (every test has a folder of its own)

import fastkl
from fastkl import batch
from fastkl.batch import _allpairs, _fitted, _job, _kinds, _plan
from fastkl.cli import main

EDGES = np.linspace(-4, 4, 9)
ROWS = {
    "kl": fastkl.kl_divergence,
    "js": fastkl.js_divergence,
    "js_distance": fastkl.js_distance,
    "jeffreys": fastkl.jeffreys_divergence,
    "cross_entropy": fastkl.cross_entropy,
}


@pytest.fixture
def pair():
    rng = np.random.default_rng(7)
    return save("p.npy", rng.standard_gamma(2.0, (101, 8))), save("q.npy", rng.standard_gamma(2.0, (101, 8)))


@pytest.fixture
def in_blocks(monkeypatch):
    """Make runs read so many rows at a time, whatever the memory."""

    def set_rows(rows):
        monkeypatch.setattr(_job, "rows_together", lambda *_: rows)

    return set_rows


# What is computed


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("rows", [1, 7, 101, 1000])
def test_rows_have_the_bits_of_the_function(kind, rows, pair, in_blocks):
    in_blocks(rows)
    summary = batch.run(kind, "p.npy", "q.npy", "out.npy", base=2, pseudocount=0.5)
    np.testing.assert_array_equal(np.load("out.npy"), ROWS[kind](*pair, base=2, pseudocount=0.5), strict=True)
    assert (summary.rows, summary.invalid_rows, summary.resumed_from) == (101, 0, None)
    assert summary.bytes_read == 2 * 101 * 64
    assert sorted(os.listdir()) == ["out.npy", "p.npy", "q.npy"]


def test_orders_and_weights(pair):
    p, q = pair
    batch.run("renyi", p, q, "r.npy", alpha=0.5)
    batch.run("alpha", p, q, "a.npy", alpha=0.3)
    weights = save("w.npy", np.linspace(1, 2, 8))
    batch.run("kl", p, q, "w1.npy", weights=weights, dtype="float32")
    batch.run("kl", p, q, "w2.npy", weights="w.npy", dtype="float32")
    np.testing.assert_array_equal(np.load("r.npy"), fastkl.renyi_divergence(p, q, 0.5))
    np.testing.assert_array_equal(np.load("a.npy"), fastkl.alpha_divergence(p, q, 0.3))
    for name in ("w1.npy", "w2.npy"):
        np.testing.assert_array_equal(
            np.load(name), fastkl.kl_divergence(p, q, weights=weights, dtype="float32"), strict=True
        )


@pytest.mark.parametrize("divergence", ["kl", "js"])
@pytest.mark.parametrize("itself", [False, True])
@pytest.mark.parametrize("rows", [3, 64, 1000])
@pytest.mark.parametrize("panel", [16, 1000])
def test_all_pairs_have_the_bits_of_the_function(divergence, itself, rows, panel, pair, in_blocks, monkeypatch):
    p, q = pair
    in_blocks(rows)
    monkeypatch.setattr(_allpairs._AllPairs, "_panel_of", staticmethod(lambda *_: panel))
    batch.run("pairwise", p, None if itself else q, "d.npy", divergence=divergence)
    expected = fastkl.pairwise(p, None if itself else q, divergence=divergence)
    np.testing.assert_array_equal(np.load("d.npy"), expected, strict=True)
    if not itself:
        batch.run("nearest", p, q, "n.npz", divergence=divergence, k=20)
        divergences, indices = fastkl.nearest(p, q, 20, divergence=divergence)
        with np.load("n.npz") as found:
            np.testing.assert_array_equal(found["indices"], indices, strict=True)
            np.testing.assert_array_equal(found["divergences"], divergences, strict=True)


def test_blocks_of_single_precision_do_not_depend_on_the_memory():
    rng = np.random.default_rng(2)
    x, y = rng.random((2500, 16), dtype=np.float32), rng.random((700, 16), dtype=np.float32)
    for memory in ("400MiB", "2GiB"):
        batch.run("pairwise", x, y, f"{memory}.npy", memory=memory)
    assert Path("400MiB.npy").read_bytes() == Path("2GiB.npy").read_bytes()
    np.testing.assert_allclose(np.load("2GiB.npy"), fastkl.pairwise(x, y), rtol=2e-4)


def test_equal_rows_in_several_panels_keep_their_order(in_blocks, monkeypatch):
    monkeypatch.setattr(_allpairs._AllPairs, "_panel_of", staticmethod(lambda *_: 2))
    y = np.array([[1, 2], [2, 1], [1, 2], [0, 0], [2, 1], [1, 2.0]])
    batch.run("nearest", y[:2], y, "n.npz", k=6, on_invalid="nan")
    with np.load("n.npz") as found:
        np.testing.assert_array_equal(found["indices"], [[0, 2, 5, 1, 4, -1], [1, 4, 0, 2, 5, -1]])


def test_the_nearest_of_several_panels_in_a_base_below_one(monkeypatch):
    monkeypatch.setattr(_allpairs._AllPairs, "_panel_of", staticmethod(lambda *_: 16))
    x, y = np.random.default_rng(3).standard_gamma(1.0, (2, 100, 8))
    batch.run("nearest", x, y, "n.npz", k=5, base=0.5)
    with np.load("n.npz") as found:
        divergences, indices = fastkl.nearest(x, y, 5, base=0.5)
        np.testing.assert_array_equal(found["indices"], indices)
        np.testing.assert_array_equal(found["divergences"], divergences)


@pytest.mark.parametrize("options", [{}, {"objective": "reverse", "minima": 2}, {"family": "t", "fixed": {"df": 4.0}}])
@pytest.mark.parametrize("rows", [7, 1000])
def test_fits_have_the_bits_of_the_function_and_the_grid_of_the_whole_file(options, rows, pair, monkeypatch):
    monkeypatch.setattr(_fitted, "_MOST_ROWS", rows)
    monkeypatch.setattr(_fitted, "_LOOKED_AT", 64)
    monkeypatch.setattr(fastkl.fits, "_READ", 64)
    p, _ = pair
    p[50] = 0
    batch.run("fit", p, None, "f.npz", edges=EDGES, on_invalid="nan", **options)
    expected = fastkl.fit(p, edges=EDGES, on_invalid="nan", **options)
    with np.load("f.npz") as found:
        for name, values in expected.params.items():
            np.testing.assert_array_equal(found[name], values, strict=True)
        np.testing.assert_array_equal(found["divergence"], expected.divergence, strict=True)
        np.testing.assert_array_equal(found["converged"], expected.converged, strict=True)


def test_both_objectives_stand_one_below_the_other_in_tables(pair):
    p, _ = pair
    batch.run("fit", p, None, "f.csv", edges=EDGES, objective="both", minima=2, ids=[f"day {i}" for i in range(101)])
    with open("f.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 404
    for start, objective in ((0, "forward"), (202, "reverse")):
        found = fastkl.fit(p, edges=EDGES, objective=objective, minima=2)
        for n, line in enumerate(table[start : start + 202]):
            row, minimum = divmod(n, 2)
            named = (line["id"], line["objective"], line["row"], line["minimum"])
            assert named == (f"day {row}", objective, str(row), str(minimum))
            assert line["loc"] == str(float(found.params["loc"][row, minimum]))


def test_one_histogram_against_many_on_either_side(pair):
    p, q = pair
    one = save("one.npy", q[3])
    batch.run("kl", "p.npy", "one.npy", "a.npy")
    batch.run("kl", "one.npy", "p.npy", "b.npy")
    batch.run("kl", one, one[None], "c.npy")
    np.testing.assert_array_equal(np.load("a.npy"), fastkl.kl_divergence(p, one))
    np.testing.assert_array_equal(np.load("b.npy"), fastkl.kl_divergence(one, p))
    assert np.load("c.npy").shape == ()


@pytest.mark.parametrize("kind", ["kl", "pairwise", "nearest", "fit"])
@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_no_rows(kind, suffix):
    none, some = np.empty((0, 8)), np.ones((3, 8))
    q = {"fit": None, "kl": none}.get(kind, some)
    summary = batch.run(kind, none, q, f"out.{suffix}", **({"edges": EDGES} if kind == "fit" else {}))
    assert summary.rows == 0
    assert os.listdir() == [f"out.{suffix}"]


def test_more_dimensions_and_another_axis(in_blocks):
    rng = np.random.default_rng(1)
    p, q = save("p.npy", rng.random((4, 5, 6))), save("q.npy", rng.random((4, 5, 6)))
    save("f.npy", np.asfortranarray(p))
    for rows in (1, 3, 100):
        in_blocks(rows)
        for axis in (-1, 0, 1):
            for sources in (("p.npy", "q.npy"), (p, q), ("f.npy", "q.npy")):
                batch.run("kl", *sources, "out.npy", axis=axis, force=True)
                np.testing.assert_array_equal(np.load("out.npy"), fastkl.kl_divergence(p, q, axis=axis), strict=True)


# Formats and ids


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz", "h5", "zarr"])
def test_ids_are_carried_through(suffix, pair):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    p, q = pair
    names = [f"day, {i}" for i in range(101)]
    table = pyarrow.table({"h": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(p.ravel()), 8), "day": names})
    parquet.write_table(table, "p.parquet", row_group_size=10)
    with open("p.csv", "w", newline="") as file:
        csv.writer(file).writerow(["day", *"abcdefgh"])
        csv.writer(file).writerows([name, *row] for name, row in zip(names, p.tolist(), strict=True))
    expected = fastkl.kl_divergence(p, q)
    for source in ("p.parquet", "p.csv"):
        out = f"{source}.{suffix}"
        batch.run("kl", source, "q.npy", out, ids="day")
        if suffix == "parquet":
            found = parquet.read_table(out).to_pydict()
        elif suffix == "csv":
            with open(out, newline="") as file:
                lines = list(csv.DictReader(file))
            found = {"day": [r["day"] for r in lines], "divergence": [float(r["divergence"]) for r in lines]}
        elif suffix == "npz":
            with np.load(out) as arrays:
                found = {name: arrays[name] for name in arrays}
        else:
            found = None
        if found is not None:
            assert list(found["day"]) == names
            np.testing.assert_array_equal(found["divergence"], expected)


def test_ids_have_no_room_in_npy(pair):
    with pytest.raises(batch.Refused, match=r"out\.npy has no room for ids"):
        batch.run("kl", *pair, "out.npy", ids=np.arange(101))
    with pytest.raises(batch.Refused, match="ids has 3 names; there are 101 rows"):
        batch.run("kl", *pair, "out.csv", ids=np.arange(3))


# Invalid histograms


def test_invalid_histograms_are_reported_with_their_reasons(pair, in_blocks):
    p, q = pair
    p[3, 1], p[60] = -1, 0
    q[60, 2], q[100, 0] = np.nan, np.inf
    in_blocks(10)
    summary = batch.run("kl", p, q, "out.csv", on_invalid="report", ids=[f"d{i}" for i in range(101)])
    assert summary.invalid_rows == 3
    assert summary.invalid_out == "out.csv.invalid.csv"
    with open("out.csv.invalid.csv", newline="") as file:
        lines = list(csv.reader(file))
    range_ = "bins must be finite and >= 0"
    assert lines == [
        ["row", "id", "side", "reason"],
        ["3", "d3", "p", f"is not a histogram: bin 1 is -1.0; {range_}"],
        ["60", "d60", "p", "is not a histogram: its total is zero, which can't be normalised"],
        ["60", "d60", "q", f"is not a histogram: bin 2 is nan; {range_}"],
        ["100", "d100", "q", f"is not a histogram: bin 0 is inf; {range_}"],
    ]
    Path("other.csv.invalid.csv").write_text("mine")
    with pytest.raises(batch.Refused, match=r"other.csv.invalid.csv exists; force=True replaces it"):
        batch.run("kl", p, q, "other.csv", on_invalid="report")
    assert Path("other.csv.invalid.csv").read_text() == "mine"
    with open("out.csv", newline="") as file:
        values = np.array([float(line["divergence"]) for line in csv.DictReader(file)])
    batch.run("kl", p, q, "out.csv", on_invalid="nan", force=True)
    assert not os.path.exists("out.csv.invalid.csv")  # it would tell of another result
    np.testing.assert_array_equal(values, fastkl.kl_divergence(p, q, on_invalid="nan"))


@pytest.mark.parametrize(
    "options", [{}, {"pseudocount": 0.5}, {"pseudocount": "popmon"}, {"weights": [0, 1, 1, 1]}, {"normalize": False}]
)
@pytest.mark.parametrize("kind", sorted(_kinds.ROW_FUNCTIONS))
def test_reasons_are_those_of_the_function(kind, options, monkeypatch):
    monkeypatch.setattr(_job, "_LOOKED_AT", 8)
    p = np.ones((7, 4), np.float32)
    p[1], p[2, 3], p[3, 0], p[5, 1] = 0, np.nan, -1, np.inf
    p[6] = [5, 0, 0, 0]  # which has nothing where the weights are
    options = options | ({"alpha": 0.5} if kind in ("alpha", "renyi") else {})
    batch.run(kind, p, np.ones(4), "out.npy", on_invalid="report", **options)
    expected = []
    for row in range(7):
        try:
            _kinds.ROW_FUNCTIONS[kind](p[row], p[row], **options)
        except ValueError as error:
            expected.append([str(row), "", "p", str(error).removeprefix("p ")])
    with open("out.npy.invalid.csv", newline="") as file:
        assert list(csv.reader(file))[1:] == expected
    assert len(expected) >= 3
    monkeypatch.setattr(_job, "_LOOKED_AT", 1)  # as of wide rows
    batch.run(kind, p, np.ones(4), "wide.npy", on_invalid="report", **options)
    assert Path("wide.npy.invalid.csv").read_bytes() == Path("out.npy.invalid.csv").read_bytes()


@pytest.mark.parametrize("on_invalid", ["raise", "nan", "report"])
def test_histograms_without_bins_are_none(on_invalid):
    none = np.ones((3, 0))
    if on_invalid == "raise":
        with pytest.raises(batch.InvalidHistogram, match=r"p\[0\] is not a histogram: it has no bins"):
            batch.run("kl", none, none, "out.npy")
        return
    assert batch.run("kl", none, none, "out.npy", on_invalid=on_invalid).invalid_rows == 3
    assert np.isnan(np.load("out.npy")).all()


@pytest.mark.parametrize("kind", ["pairwise", "nearest"])
def test_invalid_rows_on_both_sides_of_all_pairs(kind, pair):
    p, q = pair
    p[3, 1], q[5] = -1, 0
    summary = batch.run(kind, p, q, "out.npz", on_invalid="report")
    assert summary.invalid_rows == 1
    with open("out.npz.invalid.csv", newline="") as file:
        assert [line[:3] for line in csv.reader(file)][1:] == [["5", "", "y"], ["3", "", "x"]]


def test_the_one_histogram_that_is_none_is_reported_once(pair):
    p, _ = pair
    p[2, 0] = -1
    batch.run("kl", p, np.zeros(8), "out.npy", on_invalid="report")
    with open("out.npy.invalid.csv", newline="") as file:
        assert [line[:3] for line in csv.reader(file)][1:] == [["0", "", "q"], ["2", "", "p"]]
    assert np.isnan(np.load("out.npy")).all()


def test_an_invalid_histogram_is_an_error_that_names_it(pair, in_blocks):
    p, q = pair
    q[60, 2] = -3
    save("q.npy", q)
    in_blocks(10)
    with pytest.raises(batch.InvalidHistogram, match=r"q\.npy\[60\] is not a histogram: bin 2 is -3\.0"):
        batch.run("kl", p, "q.npy", "out.npy")
    assert sorted(os.listdir()) == ["p.npy", "q.npy"]


# Memory, progress, and what is refused


def test_sizes_of_memory():
    assert _plan.memory_of("1.5 GiB") == 3 << 29
    assert _plan.memory_of(12345) == 12345
    for wrong in ("", "many", "-1MB", 0, True, "1 PB"):
        with pytest.raises(ValueError, match="memory must be a number of bytes or a text like '512MiB'"):
            _plan.memory_of(wrong)


def test_blocks_are_whole_numbers_of_what_is_stored_together_and_within_the_memory():
    for memory in (160 << 20, 1 << 30):
        for stored in (1, 100, 1 << 40):
            rows = _plan.rows_together(_plan.Need(row=8192, result=8), memory, stored)
            assert stored > rows or rows % stored == 0
            assert rows * 8192 <= _plan.BLOCK_BYTES
            assert _plan.COPIES * rows * 8192 <= memory - _plan.OVERHEAD
    with pytest.raises(batch.Refused, match="is too little for this run; it needs 129 MiB"):
        _plan.rows_together(_plan.Need(row=8192, result=8), 1 << 20, 1)


PEAK = """
import numpy as np
import fastkl, fastkl.batch

def peak():
    return [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")][0] / 1024

before = peak()
fastkl.batch.run({arguments}, memory="{memory}MiB", threads=2)
print(peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads Linux's account of memory")
@pytest.mark.parametrize(
    ("arguments", "memory"),
    [
        ('"kl", "big.npy", "big.npy", "out.npy", pseudocount=1', 224),
        ('"js", "big.npy", "small.npy", "out.parquet", pseudocount=1', 256),
        ('"nearest", "big.npy", "small.npy", "out.npz", pseudocount=1', 384),
        ('"renyi", "short.npy", "short.npy", "out.npy", alpha=2.0, pseudocount=1', 256),
    ],
)
def test_peak_memory_stays_within_the_budget_on_a_file_several_times_its_size(arguments, memory, run_python):
    # Sparse: no disk is filled, but each page that is mapped counts.
    np.lib.format.open_memmap("big.npy", "w+", np.float64, (100_000, 1024))
    np.lib.format.open_memmap("short.npy", "w+", np.uint8, (30_000_000, 1))
    save("small.npy", np.ones((1, 1024)))
    assert float(run_python(PEAK.format(arguments=arguments, memory=memory))) < memory


def test_progress_is_told(pair, in_blocks, capsys):
    in_blocks(40)
    told = []
    batch.run("kl", *pair, "out.npy", on_progress=told.append)
    assert [(now.rows_done, now.rows, now.bytes_read) for now in told] == [
        (rows, 101, rows * 128) for rows in (40, 80, 101)
    ]
    assert capsys.readouterr() == ("", "")


def test_lines_of_progress_where_there_is_no_terminal(pair, in_blocks, capsys, monkeypatch):
    in_blocks(40)
    monkeypatch.setattr(batch._report, "_SECONDS_BETWEEN_LINES", 0.0)
    batch.run("kl", *pair, "out.npy", progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(", ")[0] for line in lines] == [f"fastkl kl: {n} of 101 rows" for n in (40, 80, 101)]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("kl", "p.npy", "q.npy", "out.txt"), {}, "results go to files that end in"),
        (("kl", "p.npy", "q.npy", "no/out.npy"), {}, "no is not a folder"),
        (("kl", "p.npy", "q.npy", "q.npy"), {"force": True}, "q.npy is an input"),
        (("kl", "p.npy", "q.npy", "old.npy"), {}, "old.npy exists; force=True replaces it"),
        (("hellinger", "p.npy", "q.npy", "out.npy"), {}, "kind must be 'kl' or"),
        (("kl", "p.npy", "q.npy", "out.npy"), {"base": 1}, "base must be a positive number"),
        (("kl", "p.npy", "q.npy", "out.npy"), {"on_invalid": "skip"}, "on_invalid must be"),
        (("kl", "p.npy", "q.npy", "out.npy"), {"memory": "1MiB"}, "memory of 1 MiB is too little"),
        (("kl", "p.npy", np.ones((3, 8)), "out.npy"), {}, "p.npy has 101 histograms, q has 3"),
        (("kl", "p.npy", np.ones(5), "out.npy"), {}, "q has 5 bins, p.npy has 8"),
        (("nearest", "p.npy", "q.npy", "out.npy"), {}, "out.npy: .npy holds one array"),
        (("nearest", "p.npy", "q.npy", "out.npz"), {"k": 102}, "q.npy has 101 histograms, fewer than k = 102"),
        (("fit", "p.npy", None, "out.npz"), {"edges": np.arange(5.0)}, "p.npy has 8 bins and edges has 5 numbers"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(arguments, options, message, pair):
    save("old.npy", [1.0])
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        batch.run(*arguments, **options)
    assert sorted(os.listdir()) == ["old.npy", "p.npy", "q.npy"]


def test_options_of_other_calls_are_refused(pair):
    for name in ("out", "keepdims", "progress_bar", "surface"):
        with pytest.raises(TypeError):
            batch.run("kl", *pair, "out.npy", **({name: True} if name != "out" else {"dim": "x"}))


# The commands


def test_a_summary_for_programs(pair, capsys):
    assert main(["kl", "p.npy", "q.npy", "-o", "out.npy", "--json", "--quiet", "--memory", "160MiB"]) == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert err == ""
    assert (facts["rows"], facts["invalid_rows"], facts["out"]) == (101, 0, "out.npy")
    assert {"seconds", "gb_per_s"} <= set(facts)


def test_a_report_from_the_command(pair):
    p, _ = pair
    p[3] = 0
    save("p.npy", p)
    assert main(["pairwise", "p.npy", "q.npy", "-o", "d.npy", "--on-invalid", "report"]) == 0
    assert Path("d.npy.invalid.csv").read_text().splitlines()[1].startswith('3,,x,"is not a histogram: its total')
    assert np.isnan(np.load("d.npy")[3]).all()


@pytest.mark.parametrize("option", ["--resume", "--json", "--on-invalid report"])
def test_what_needs_a_file_is_refused_without(option, pair, capsys):
    assert "is for results in a file: name it with -o" in fails(capsys, f"kl p.npy q.npy {option}", 2)


def test_ids_are_printed(capsys):
    Path("p.csv").write_text("day,a,b\nmon,1,2\ntue,2,1\n")
    assert main(["kl", "p.csv", "p.csv", "--ids", "day"]) == 0
    assert capsys.readouterr().out == "day,divergence\nmon,0.0\ntue,0.0\n"


@pytest.mark.parametrize(
    ("options", "function"),
    [
        ("js --base 2", lambda p, q: fastkl.js_divergence(p, q, base=2)),
        ("js_distance", fastkl.js_distance),
        ("jeffreys --pseudocount 0.5", lambda p, q: fastkl.jeffreys_divergence(p, q, pseudocount=0.5)),
        ("renyi --alpha 0.7", lambda p, q: fastkl.renyi_divergence(p, q, 0.7)),
        ("renyi --alpha inf", lambda p, q: fastkl.renyi_divergence(p, q, np.inf)),
        ("alpha --alpha 0.3 --no-normalize", lambda p, q: fastkl.alpha_divergence(p, q, 0.3, normalize=False)),
        ("cross_entropy", fastkl.cross_entropy),
        ("kl", fastkl.kl_divergence),
    ],
)
def test_the_command_has_the_other_divergences_of_rows(options, function, pair, capsys):
    command = f"kl p.npy q.npy --divergence {options}".split()
    assert main([*command, "-o", "d.npy", "--json"]) == 0
    np.testing.assert_array_equal(np.load("d.npy"), function(*pair), strict=True)
    assert json.loads(capsys.readouterr().out)["kind"] == options.split()[0]
    assert main(command) == 0
    np.testing.assert_array_equal(np.array(capsys.readouterr().out.split(), float), function(*pair))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--divergence hellinger", "invalid choice: 'hellinger'"),
        ("--divergence renyi", "--alpha is the order of --divergence renyi and --divergence alpha, which need one"),
        ("--divergence js --alpha 2", "--alpha is the order of --divergence renyi"),
        ("--divergence alpha --alpha nan", "is not a number"),
        ("--divergence alpha --alpha inf -o d.npy", "alpha"),
    ],
)
def test_orders_that_do_not_fit_are_refused(options, message, pair, capsys):
    assert main(["kl", "p.npy", "q.npy", *options.split()]) in (1, 2)
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == ["p.npy", "q.npy"]


def test_a_header_of_numbers_in_the_command(capsys):
    Path("p.csv").write_text("0,1\n1,2\n2,1\n")
    assert main(["kl", "p.csv", "p.csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["kl", "p.csv", "p.csv", "--header"]) == 0
    assert capsys.readouterr().out.splitlines() == ["0.0", "0.0"]
    assert main(["kl", "p.csv", "p.csv", "--no-header", "-o", "d.csv"]) == 0
    assert len(Path("d.csv").read_text().splitlines()) == 3
    assert batch.run("kl", "p.csv", "p.csv", "e.npy", header=True).rows == 2
