"""The commands `pairwise` and `nearest`: results of the functions, whole files or none, one line for what is wrong."""

import os
import subprocess
import time
from typing import Any

import numpy as np
import pytest
from test_cli import ENVIRONMENT, FASTKL, _in_empty_folder, fails, save  # noqa: F401 (every test has a folder of its own)

import fastkl
from fastkl.cli import main, nearest, pairwise

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
    for name in ("x.npy y.npy", "x.csv y.npy"):
        assert main(["pairwise", *name.split(), "-o", "d.npy", "--force"]) == 0
        np.save("by_numpy.npy", fastkl.pairwise(x, y))
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
    assert main(["pairwise", "x.npy", "--divergence", "js", "--no-normalize", "--rtol", "1e-12"]) == 0
    printed = np.loadtxt(capsys.readouterr().out.splitlines(), delimiter=",")
    np.testing.assert_array_equal(printed, fastkl.pairwise(x, divergence="js", normalize=False, rtol=1e-12))


def test_lines_read_back_as_the_same_bits(files, capsys):
    x, y = files
    assert main(["pairwise", "x.npy", "y.npy", "-o", "d.csv"]) == 0
    np.testing.assert_array_equal(np.loadtxt("d.csv", delimiter=","), fastkl.pairwise(x, y))
    divergences, indices = fastkl.nearest(x, y, 3)
    assert main(["nearest", "x.npy", "y.npy", "-k", "3"]) == 0
    names, *lines = capsys.readouterr().out.splitlines()
    assert names == "index_1,divergence_1,index_2,divergence_2,index_3,divergence_3"
    table = np.loadtxt(lines, delimiter=",")
    np.testing.assert_array_equal(table[:, ::2], indices)
    np.testing.assert_array_equal(table[:, 1::2], divergences)
    assert main(["nearest", "x.npy", "y.npy", "-k", "3", "-o", "n.csv"]) == 0
    with open("n.csv") as file:
        assert file.read().splitlines() == [names, *lines]


def test_no_rows():
    save("none.npy", np.empty((0, 8)))
    save("x.npy", np.ones((3, 8)))
    assert main(["pairwise", "none.npy", "x.npy", "-o", "d.npy"]) == 0
    assert np.load("d.npy").shape == (0, 3)


def test_an_invalid_histogram_is_named_by_its_place_in_the_file(files, capsys):
    bad = files[0].copy()
    bad[3, 2] = -1.0
    save("bad.npy", bad)
    save("bad.csv", bad, header="a,b,c,d,e,f,g,h")
    row = "is not a histogram: bin 2 is -1.0; bins must be finite and >= 0 (1 of 30 histograms are invalid)"
    for call in ("pairwise bad.npy y.npy -o d.npy", "pairwise y.npy bad.npy -o d.npy", "nearest y.npy bad.npy"):
        assert f"bad.npy, row 3 (counted from 0), {row}" in fails(capsys, call, 1)
    assert f"bad.csv, row 3 (line 5), {row}" in fails(capsys, "pairwise bad.csv -o d.npy", 1)
    assert main(["pairwise", "bad.npy", "y.npy", "--on-invalid", "nan", "-o", "d.npy"]) == 0
    assert np.isnan(np.load("d.npy")[3]).all()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("pairwise", 2, "required: X"),
        ("nearest x.npy", 2, "required: Y"),
        ("pairwise no.npy", 1, "no.npy: No such file"),
        ("pairwise x.txt", 2, "x.txt: files to read end in .npy or .csv"),
        ("pairwise x.npy -o d.npz", 2, "results go to files that end in .npy or .csv"),
        ("nearest x.npy y.npy -o n.npy", 2, "results go to files that end in .npz or .csv"),
        ("pairwise x.npy -o x.npy --force", 2, "x.npy is an input"),
        ("pairwise x.npy -o y.npy", 2, "y.npy exists; --force replaces it"),
        ("nearest x.npy y.npy -o nowhere/n.npz", 2, "nowhere is not a folder"),
        ("pairwise x.npy --divergence hellinger", 2, "invalid choice: 'hellinger'"),
        ("pairwise x.npy --divergence renyi -o d.npy", 1, "'renyi' has an order: pass alpha"),
        ("pairwise x.npy --alpha 0.5", 1, "kl has none"),
        ("pairwise x.npy --rtol 2", 2, "'2' is not a number between 0 and 1"),
        ("pairwise x.npy --method blas --divergence js --no-normalize", 1, "no product"),
        ("nearest x.npy y.npy -k 0", 2, "'0' is not a whole number >= 1"),
        ("nearest x.npy y.npy -k 21", 1, "y.npy has 20 histograms, fewer than -k 21"),
        ("pairwise x.npy wide.npy", 1, "y has 9 bins, x has 8"),
        ("pairwise cube.npy", 1, "cube.npy has 3 dimensions; it must have two"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, status, message, files, capsys):
    save("wide.npy", np.ones((2, 9)))
    save("cube.npy", np.ones((2, 2, 8)))
    assert message in fails(capsys, arguments, status)


@pytest.mark.parametrize("command", ["pairwise x.npy -o old.npy --force", "nearest x.npy y.npy -o old.npz --force"])
def test_a_run_that_ends_in_the_middle_leaves_what_was_there(command, files, capsys, monkeypatch):
    for name in ("old.npy", "old.npz"):
        with open(name, "w") as file:
            file.write("old")

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if options.get("out") is not None or len(arguments) == 3 or not len(arguments[0]):
            raise KeyboardInterrupt
        return fastkl.pairwise(*arguments, **options)

    monkeypatch.setattr(pairwise, "pairwise", interrupted)
    monkeypatch.setattr(nearest, "nearest", interrupted)
    assert "interrupted" in fails(capsys, command, 130)
    for name in ("old.npy", "old.npz"):
        with open(name) as file:
            assert file.read() == "old"


def test_a_full_disk_is_an_error(files, capsys, monkeypatch):
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    assert "No space left on device" in fails(capsys, "pairwise x.npy -o d.npy", 1)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_leaves_nothing_behind():
    np.save("x.npy", np.broadcast_to(np.random.default_rng(0).random(500), (20_000, 500)))
    process = subprocess.Popen(
        [*FASTKL, *["pairwise", "x.npy", "-o", "d.npy"]], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    deadline = time.monotonic() + 60
    while not any(name.endswith(".part") for name in os.listdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "fastkl: interrupted\n"
    assert os.listdir() == ["x.npy"]


@pytest.mark.parametrize("command", ["pairwise", "nearest"])
def test_help_teaches_by_examples(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"  fastkl {command} x.npy" in capsys.readouterr().out
