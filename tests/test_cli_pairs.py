"""The commands `pairwise` and `nearest`: results of the functions, whole files or none, one line for what is wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import ENVIRONMENT, _in_empty_folder, fails, save  # noqa: F401 (every test has a folder of its own)

import fastkl
from fastkl.batch import _allpairs, _open
from fastkl.cli import main

Array = np.ndarray[Any, Any]


@pytest.fixture
def files() -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    x, y = rng.random((30, 8)), rng.random((20, 8), dtype=np.float32)
    save("x.csv", x)
    save("y.csv", y)
    return save("x.npy", x), save("y.npy", y)


def test_a_matrix_file_is_the_one_that_numpy_would_save(files):
    x, y = files
    for names, arrays in (("x.npy y.npy", (x, y)), ("x.csv y.npy", (x, y)), ("y.npy", (y,))):
        assert main(["pairwise", *names.split(), "-o", "d.npy", "--force"]) == 0
        np.save("by_numpy.npy", fastkl.pairwise(*arrays))
        with open("d.npy", "rb") as got, open("by_numpy.npy", "rb") as want:
            assert got.read() == want.read()


def test_options_are_those_of_the_function(files, capsys):
    x, y = files
    options = "--divergence alpha --alpha 0.7 --base 2 --pseudocount 0.5 --dtype float32 --threads 1"
    expected = {"divergence": "alpha", "alpha": 0.7, "base": 2, "pseudocount": 0.5, "dtype": "float32", "threads": 1}
    assert main(f"pairwise x.npy y.npy --method direct -o d.npy {options}".split()) == 0
    np.testing.assert_array_equal(np.load("d.npy"), fastkl.pairwise(x, y, method="direct", **expected), strict=True)
    assert main(f"nearest x.npy y.npy -k 4 -o n.npz {options}".split()) == 0
    divergences, indices = fastkl.nearest(x, y, 4, **expected)
    with np.load("n.npz") as found:
        np.testing.assert_array_equal(found["divergences"], divergences, strict=True)
        np.testing.assert_array_equal(found["indices"], indices, strict=True)
    assert main(["pairwise", "x.npy", "--no-normalize", "--rtol", "1e-15"]) == 0
    printed = np.loadtxt(capsys.readouterr().out.splitlines(), delimiter=",")
    np.testing.assert_array_equal(printed, fastkl.pairwise(x, normalize=False, rtol=1e-15))
    assert (printed != fastkl.pairwise(x, normalize=False)).any()


def test_lines_read_back_as_the_same_bits(files, capsys):
    x, y = files
    assert main(["pairwise", "x.npy", "y.npy", "-o", "d.csv"]) == 0
    np.testing.assert_array_equal(np.loadtxt("d.csv", delimiter=","), fastkl.pairwise(x, y))
    divergences, indices = fastkl.nearest(x, y, 3)
    assert main(["nearest", "x.npy", "y.npy", "-k", "3"]) == 0
    names, *lines = capsys.readouterr().out.splitlines()
    assert names == "row,index_1,divergence_1,index_2,divergence_2,index_3,divergence_3"
    table = np.loadtxt(lines, delimiter=",")
    np.testing.assert_array_equal(table[:, 0], np.arange(30))
    np.testing.assert_array_equal(table[:, 1::2], indices)
    np.testing.assert_array_equal(table[:, 2::2], divergences)
    assert main(["nearest", "x.npy", "y.npy", "-k", "3", "-o", "n.csv"]) == 0
    with open("n.csv") as file:
        assert file.read().splitlines() == [names, *lines]


def test_lines_of_single_precision_have_its_digits(files, capsys):
    x, y = files
    for command, columns in (("pairwise", slice(None)), ("nearest", slice(2, None, 2))):
        assert main([command, "x.npy", "y.npy", "--dtype", "float32"]) == 0
        cells = [line.split(",")[columns] for line in capsys.readouterr().out.splitlines() if "row" not in line]
        expected = getattr(fastkl, command)(x, y, dtype="float32")
        np.testing.assert_array_equal(np.array(cells, np.float32), expected[0] if command == "nearest" else expected)
        assert max(len(cell) for line in cells for cell in line) <= 13


def test_no_rows(capsys):
    save("none.npy", np.empty((0, 8)))
    save("x.npy", np.ones((3, 8)))
    assert main(["pairwise", "none.npy", "x.npy", "-o", "d.npy"]) == 0
    assert np.load("d.npy").shape == (0, 3)
    assert main(["nearest", "none.npy", "x.npy"]) == 0
    assert capsys.readouterr().out == "row,index_1,divergence_1\n"


def test_an_invalid_histogram_is_named_by_its_place_in_the_file(files, capsys):
    bad = files[0].copy()
    bad[3, 2] = -1.0
    save("bad.npy", bad)
    save("bad.csv", bad, header="a,b,c,d,e,f,g,h")
    row = "is not a histogram: bin 2 is -1.0; bins must be finite and >= 0 (1 of 30 histograms are invalid)"
    for call in ("pairwise bad.npy y.npy -o d.npy", "pairwise y.npy bad.npy -o d.npy", "nearest y.npy bad.npy"):
        assert f"bad.npy[3] {row}" in fails(capsys, call, 1)
    assert f"bad.csv, line 5 {row}" in fails(capsys, "pairwise bad.csv -o d.npy", 1)
    assert main(["pairwise", "bad.npy", "y.npy", "--on-invalid", "nan", "-o", "d.npy"]) == 0
    assert np.isnan(np.load("d.npy")[3]).all()
    assert main(["nearest", "bad.npy", "y.npy", "--on-invalid", "nan"]) == 0
    assert capsys.readouterr().out.splitlines()[4] == "3,-1,nan"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("pairwise", 2, "required: X"),
        ("nearest x.npy", 2, "required: Y"),
        ("pairwise no.npy", 1, "no.npy: No such file"),
        ("pairwise x.txt", 2, "x.txt: files to read end in .npy, .npz, .csv"),
        ("pairwise x.npy -o d.txt", 2, "results go to files that end in .npy, .npz, .csv"),
        ("nearest x.npy y.npy -o n.npy", 2, "n.npy: .npy holds one array, and there are indices, divergences"),
        ("pairwise x.npy -o x.npy --force", 2, "x.npy is an input"),
        ("pairwise x.npy -o y.npy", 2, "y.npy exists; --force replaces it"),
        ("nearest x.npy y.npy -o nowhere/n.npz", 2, "nowhere is not a folder"),
        ("pairwise x.npy --divergence hellinger", 2, "invalid choice: 'hellinger'"),
        ("pairwise no.npy --divergence renyi -o d.npy", 2, "--alpha is the order of --divergence renyi"),
        ("nearest no.npy no.npy --divergence alpha --alpha inf", 2, "alpha must be a finite number, not inf"),
        ("nearest no.npy no.npy --alpha 0.5", 2, "--alpha is the order of --divergence renyi"),
        ("pairwise x.npy --alpha one", 2, "'one' is not a number"),
        ("pairwise x.npy --rtol 2", 2, "'2' is not a number between 0 and 1"),
        ("pairwise no.npy --method blas --divergence js --no-normalize", 2, "no product"),
        ("nearest x.npy y.npy -k 0", 2, "'0' is not a whole number >= 1"),
        ("nearest x.npy y.npy -k 21", 1, "y.npy has 20 histograms, fewer than -k 21"),
        ("pairwise x.npy wide.npy -o d.npy", 1, "wide.npy has 9 bins, x.npy has 8"),
        ("nearest x.csv wide.npy", 1, "wide.npy has 9 bins, x.csv has 8"),
        ("pairwise complex.npy -o d.npy", 1, "complex.npy has dtype complex128"),
        ("nearest x.npy complex.npy", 1, "complex.npy has dtype complex128"),
        ("pairwise cube.npy", 1, "cube.npy has 3 dimensions; it must have two"),
        ("nearest x.npy one.npy", 1, "one.npy has 1 dimension; it must have two"),
        ("pairwise a.csv b.csv -o d.npy", 1, "a.csv and b.csv must have the same bin labels in the same order: bin 0"),
        ("nearest a.csv b.csv", 1, "bin 0 is 'A' in a.csv and 'B' in b.csv"),
        ("nearest x.npy narrow.npy", 1, "narrow.npy has 1 bin, x.npy has 8"),
        ("pairwise words.csv -o d.npy", 1, "words.csv, line 2: field 2 is 'b', not a number"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, status, message, files, capsys):
    save("wide.npy", np.ones((2, 9)))
    save("cube.npy", np.ones((2, 2, 8)))
    save("one.npy", np.ones(8))
    save("complex.npy", np.ones((2, 8), complex))
    Path("words.csv").write_text("1,2\n3,b\n")
    save("narrow.npy", np.ones((2, 1)))
    Path("a.csv").write_text("A,B\n1,2\n")
    Path("b.csv").write_text("B,A\n1,2\n")
    assert message in fails(capsys, arguments, status)


@pytest.mark.parametrize("command", ["pairwise x.npy y.npy -o old.npy", "nearest x.npy y.npy -o old.npz"])
def test_a_result_is_replaced_only_when_told_so(command, files, capsys, monkeypatch):
    target = Path(command.split()[-1])
    target.write_text("precious")
    with monkeypatch.context() as patch:
        patch.setattr(_open, "open_source", lambda *_, **__: pytest.fail("read before it was refused"))
        assert f"{target} exists; --force" in fails(capsys, command, 2)
    assert target.read_text() == "precious"
    assert main([*command.split(), "--force"]) == 0
    x, y = files
    if target.suffix == ".npy":
        np.testing.assert_array_equal(np.load(target), fastkl.pairwise(x, y))
    else:
        with np.load(target) as found:
            np.testing.assert_array_equal(found["indices"], fastkl.nearest(x, y)[1])


@pytest.mark.parametrize("command", ["pairwise x.npy -o old.npy --force", "nearest x.npy y.npy -o old.npz --force"])
def test_a_run_that_ends_in_the_middle_leaves_what_was_there(command, files, capsys, monkeypatch):
    for name in ("old.npy", "old.npz"):
        with open(name, "w") as file:
            file.write("old")

    def interrupted(self: Any, start: int, blocks: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(_allpairs.PairwiseKind, "compute", interrupted)
    monkeypatch.setattr(_allpairs.NearestKind, "compute", interrupted)
    assert "interrupted" in fails(capsys, command, 130)
    for name in ("old.npy", "old.npz"):
        with open(name) as file:
            assert file.read() == "old"


def test_a_matrix_that_the_disk_has_no_room_for_is_an_error(capsys):
    # A file that may not grow so far stands for the full disk.
    resource = pytest.importorskip("resource")
    save("x.npy", np.ones((2000, 8)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000_000, hard))
    try:
        assert "no room for a result of 30.52 MiB: File too large" in fails(capsys, "pairwise x.npy -o d.npy", 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("command", ["pairwise x.npy -o d.npy --method direct", "nearest x.npy x.npy -k 100 -o n.npz"])
def test_ctrl_c_ends_the_process_with_one_line_and_nothing_behind(command):
    # Work for a minute in a sparse file, whose zeros the pseudo-count makes histograms, all alike.
    np.lib.format.open_memmap("x.npy", "w+", np.float64, (4000, 10_000))
    arguments = [*command.split(), "--pseudocount", "1", "--threads", "1"]
    script = f"import sys, fastkl.cli.{arguments[0]}; print(flush=True); sys.exit(fastkl.cli.main({arguments}))"
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], text=True, env=ENVIRONMENT, **streams) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"  # all is imported
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "fastkl: interrupted\n")
    assert os.listdir() == ["x.npy"]


@pytest.mark.parametrize("command", ["pairwise x.npy y.npy -o d.npy", "nearest x.npy y.npy -o n.npz"])
def test_a_bar_is_drawn_on_a_terminal_unless_quiet(command, files, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for options, bar in ([], f"\rfastkl {command.split()[0]}:"), (["--quiet"], ""):
        assert main([*command.split(), *options, "--force"]) == 0
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(bar)
        assert bool(err) == bool(bar)


@pytest.mark.parametrize("command", ["pairwise", "nearest"])
def test_help_teaches_by_examples(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "examples:\n  fastkl" in out
    assert f"  fastkl {command} x.npy" in out
    assert max(map(len, out.splitlines())) <= 120
